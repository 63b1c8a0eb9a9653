//! What the service is put together from.

use std::env;
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use posada::auth::{NewUser, Role};
use posada::error::codes;
use posada::settings::Secret;
use posada::{Posada, Result};
use posada_axum::{CorrelationLayer, MetricsLayer, Networks, ProxiesLayer, health_routes, metrics_routes};
use ring::hmac;

use crate::watching::News;
use crate::{admin, whatsapp};

/// What the environment says about the service itself. What it says about servers is in posada's own settings.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many requests the webhook takes of each address.
    pub webhook_limit: String,
    /// Who may read `/metrics`.
    pub metrics_allowed: Networks,
    /// The proxies that are believed when they say for whom they ask.
    pub proxies: Option<Networks>,
    /// The secret with which WhatsApp signs what it posts; without one, everything is taken.
    pub whatsapp_secret: Option<Secret>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            webhook_limit: "120/minute".to_owned(),
            metrics_allowed: Networks::loopback(),
            proxies: None,
            whatsapp_secret: None,
        }
    }
}

impl Options {
    /// `WEBHOOK_LIMIT`, `METRICS_ALLOWED`, `PROXIES` and `WHATSAPP_APP_SECRET`.
    ///
    /// # Errors
    /// For networks that cannot be read.
    pub fn from_env() -> posada_axum::Result<Self> {
        let networks = |name: &str| {
            env::var(name)
                .ok()
                .map(|text| Networks::parse(text.split(',')))
                .transpose()
        };
        let default = Self::default();
        Ok(Self {
            webhook_limit: env::var("WEBHOOK_LIMIT").unwrap_or(default.webhook_limit),
            metrics_allowed: networks("METRICS_ALLOWED")?.unwrap_or(default.metrics_allowed),
            proxies: networks("PROXIES")?,
            whatsapp_secret: env::var("WHATSAPP_APP_SECRET").ok().map(Secret::new),
        })
    }
}

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct Service {
    /// The handle, of all hotels.
    pub posada: Posada,
    /// What was heard lately.
    pub news: News,
    signing: Option<Arc<hmac::Key>>,
}

impl Service {
    /// The service on a handle.
    pub fn new(posada: Posada, options: &Options) -> Self {
        let key = |secret: &Secret| Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()));
        Self {
            posada,
            news: News::default(),
            signing: options.whatsapp_secret.as_ref().map(key),
        }
    }

    /// The key with which WhatsApp signs, where there is one.
    pub fn signing(&self) -> Option<&hmac::Key> {
        self.signing.as_deref()
    }
}

impl FromRef<Service> for Posada {
    fn from_ref(service: &Service) -> Self {
        service.posada.clone()
    }
}

/// The page of the metrics. Make it first: counting begins with it.
pub fn pages(options: &Options) -> Router {
    metrics_routes(options.metrics_allowed.clone())
}

/// The routes of the service.
///
/// # Errors
/// `limits.invalid` for a limit that cannot be read.
pub fn router(service: &Service, options: &Options) -> Result<Router> {
    let router = Router::new()
        .merge(admin::routes(&service.posada)?)
        .merge(whatsapp::routes(&service.posada, &options.webhook_limit)?)
        .merge(health_routes())
        .layer(CorrelationLayer::new())
        .layer(MetricsLayer::new())
        .with_state(service.clone());
    Ok(match &options.proxies {
        Some(proxies) => router.layer(ProxiesLayer::new(proxies.clone())),
        None => router,
    })
}

/// Makes the first user, `admin`, unless it is there already.
///
/// # Errors
/// Those of [`create_user`](posada::Authenticator::create_user).
pub async fn seed_administrator(posada: &Posada, password: Option<&str>) -> Result<()> {
    let Some(password) = password else {
        tracing::warn!("no user can sign in for the first time: set ADMIN_PASSWORD");
        return Ok(());
    };
    let admin = NewUser::new("admin", "admin@example.com", password)?;
    match posada
        .auth()
        .create_user(admin.role(Role::Admin).superuser())
        .await
    {
        Err(error) if error.is(codes::AUTH_USER_EXISTS) => tracing::info!("the user admin exists already"),
        made => drop(made?),
    }
    Ok(())
}
