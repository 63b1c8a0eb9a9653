//! Whether the process answers, and whether guests can be served.

use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use posada::Posada;
use posada::clock::{Clock as _, SystemClock};
use serde_json::{Map, Value, json};

/// `/health` and `/health/live`: the process answers. `/health/ready`: guests can be served, or 503.
///
/// The last one answers within a second. It is 503 while Redis is down or takes no writes, and 200 while Postgres is down
/// as long as hotels are known, because then guests are served; `serves` says what is, and `status` is `degraded`. It has
/// the members of [`Health::to_json`](posada::health::Health::to_json) and of
/// [`to_readiness_json`](posada::health::Health::to_readiness_json).
pub fn health_routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Posada: FromRef<S>,
{
    Router::new()
        .route("/health", get(async || told("status", &json!("healthy"))))
        .route("/health/live", get(async || told("alive", &json!(true))))
        .route("/health/ready", get(ready))
}

fn told(name: &str, value: &Value) -> Json<Value> {
    let now = SystemClock
        .now()
        .to_rfc3339_opts(posada::chrono::SecondsFormat::Micros, false);
    Json(json!({name: value, "timestamp": now}))
}

async fn ready(State(posada): State<Posada>) -> Response {
    let health = posada.health().await;
    let mut body = Map::new();
    for shape in [health.to_json(), health.to_readiness_json()] {
        // Both are objects that posada wrote.
        if let Ok(Value::Object(members)) = serde_json::from_str(&shape) {
            body.extend(members);
        }
    }
    let status = if health.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body)).into_response()
}
