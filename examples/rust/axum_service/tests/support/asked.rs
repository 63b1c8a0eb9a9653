//! The service on a handle of the test's own, asked without a socket.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum_service::app::{self, Options, Service};
use axum_service::receptionist::BOOKING_FLAG;
use posada::settings::Secret;
use posada::{Posada, PosadaBuilder, Settings, TenantId};
use posada_tests::{servers, unique};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{KEY, PASSWORD, SECRET, notification, signature};

/// The service on a handle, and how to ask it.
pub(crate) struct Asked {
    pub(crate) posada: Posada,
    pub(crate) service: Service,
    router: Router,
}

impl Asked {
    pub(crate) async fn on(posada: PosadaBuilder) -> Self {
        let posada = posada.build().unwrap();
        posada.migrate().await.unwrap();
        app::seed_administrator(&posada, Some(PASSWORD)).await.unwrap();
        // A second process that starts finds the user.
        app::seed_administrator(&posada, Some(PASSWORD)).await.unwrap();
        let options = Options {
            webhook_limit: "1000/minute".to_owned(),
            whatsapp_secret: Some(Secret::new(SECRET)),
            ..Options::default()
        };
        let service = Service::new(posada.clone(), &options);
        let router = app::router(&service, &options).unwrap();
        Self {
            posada,
            service,
            router,
        }
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        self.send(request.unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    pub(crate) async fn sign_in(&self, username: &str, password: &str) -> (StatusCode, Value) {
        let given = json!({"username": username, "password": password}).to_string();
        let request = Request::post("/admin/token").header("content-type", "application/json");
        self.send(request.body(Body::from(given)).unwrap()).await
    }

    /// Posts a signed message, and answers the reply.
    pub(crate) async fn write(&self, id: &str, from: &str, to: &str, text: &str) -> String {
        self.post(&notification(id, from, to, text).to_string()).await
    }

    pub(crate) async fn post(&self, body: &str) -> String {
        let (status, answer) = self.deliver(body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["replies"][0].as_str().unwrap().to_owned()
    }

    /// Posts a signed notification, whatever comes of it.
    pub(crate) async fn deliver(&self, body: &str) -> (StatusCode, Value) {
        let request = Request::post("/webhooks/whatsapp").header("x-hub-signature-256", signature(body));
        self.send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    /// Adds a hotel whose guests write to this number, and whose receptionist may book.
    pub(crate) async fn open_hotel(&self, hotel: &str, number: &str) -> TenantId {
        let new = json!({"tenant_id": hotel, "name": "Hotel Test"});
        let tenants = self.posada.tenants();
        let tenant = tenants
            .create(serde_json::from_value(new).unwrap())
            .await
            .unwrap();
        tenants
            .add_identifier(&tenant.id, &format!("+{number}"), None)
            .await
            .unwrap();
        self.posada
            .flags()
            .set(&tenant.id, BOOKING_FLAG, true)
            .await
            .unwrap();
        tenant.id
    }
}

/// Everything in memory.
pub(crate) fn in_memory() -> PosadaBuilder {
    Posada::builder()
}

/// The shared servers, with a database of its own; Redis by this URL.
pub(crate) fn on_servers(redis: &str) -> PosadaBuilder {
    let settings = Settings::builder()
        .postgres_url(servers::postgres().create_database(&unique("axum")))
        .redis_url(redis)
        .secret_key(Secret::new(KEY));
    Posada::builder().settings(settings.build().unwrap())
}
