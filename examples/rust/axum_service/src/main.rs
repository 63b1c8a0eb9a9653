//! The service as a program: in memory, or on the servers that the environment names.

use std::env;
use std::future::IntoFuture as _;
use std::io::Error;
use std::net::SocketAddr;

use axum_service::app::{self, Options, Service};
use axum_service::watching;
use posada::{Posada, Settings};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let options = Options::from_env()?;
    let address = env::var("BIND").unwrap_or_else(|_| "127.0.0.1:8002".to_owned());

    // Counting begins before the handle is made, some of whose counters are found once.
    let pages = app::pages(&options);
    let posada = if env::var_os("DATABASE_URL").is_some() {
        Posada::connect(Settings::from_env()?).await?
    } else {
        Posada::embedded()
    };
    posada.migrate().await?;
    app::seed_administrator(&posada, env::var("ADMIN_PASSWORD").ok().as_deref()).await?;

    let service = Service::new(posada.clone(), &options);
    let router = app::router(&service, &options)?.merge(pages);
    let listener = TcpListener::bind(&address).await?;
    tracing::info!("listening on {}", listener.local_addr()?);
    let stopped = stopped()?;
    let serving = axum::serve(
        listener,
        router.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(stopped);
    // What is watched ends with the server: requests that are under way are answered first.
    tokio::select! {
        served = serving.into_future() => served?,
        () = watching::watch(&posada, &service.news) => {}
    }
    posada.close().await?;
    Ok(())
}

/// Ends when the program is told to.
fn stopped() -> Result<impl Future<Output = ()> + Send + 'static, Error> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    })
}
