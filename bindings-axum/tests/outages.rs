//! What callers are told while servers are down, and what becomes of requests that go wrong.

#![allow(clippy::unwrap_used, reason = "a test, which fails loudly")]

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::MockConnectInfo;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use posada::auth::{NewUser, SignIn};
use posada::correlation::Correlation;
use posada::tenants::NewTenant;
use posada::{Posada, Settings};
use posada_axum::{
    Authenticated, CorrelationLayer, CurrentTenant, Error, Flag, FlagName, Json, RateLimitLayer, Scope,
    Superuser, health_routes,
};
use serde_json::Value;
use tower::ServiceExt as _;

const KEY: &str = "the key of the tests, long enough for HS256";
const PASSWORD: &str = "el loro pinta mapas de cobre";

struct Chat;
impl FlagName for Chat {
    const NAME: &'static str = "chat.enabled";
}

async fn welcome<T>(_: T) -> &'static str {
    "welcome"
}

fn app(posada: &Posada) -> Router {
    let peer = MockConnectInfo(SocketAddr::from(([203, 0, 113, 7], 40001)));
    Router::new()
        .route("/limited", get(async || "welcome"))
        .route_layer(RateLimitLayer::new(posada, "2/minute").unwrap())
        .route("/me", get(welcome::<Authenticated>))
        .route("/hotel", get(welcome::<CurrentTenant>))
        .route("/scope", get(welcome::<Scope>))
        .route("/all", get(welcome::<Superuser>))
        .route("/flag", get(welcome::<Flag<Chat>>))
        .merge(health_routes())
        .layer(peer)
        .with_state(posada.clone())
}

async fn ask(app: &Router, request: Request<Body>) -> Response {
    app.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn get_of(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn settings(postgres: &str, redis: &str) -> Settings {
    Settings::from_vars(
        [
            ("DATABASE_URL", postgres),
            ("REDIS_URL", redis),
            ("SECRET_KEY", KEY),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    )
    .unwrap()
}

#[tokio::test]
async fn a_good_token_while_the_servers_are_down_is_503_and_never_a_refusal() {
    let memory = Posada::builder()
        .settings(settings("memory:", "memory:"))
        .build()
        .unwrap();
    let ana = NewUser::new("ana", "ana@example.com", PASSWORD).unwrap();
    memory.auth().create_user(ana).await.unwrap();
    let token = memory
        .auth()
        .login(&SignIn::new("ana", PASSWORD))
        .await
        .unwrap()
        .access;
    memory.close().await.unwrap();

    let down = settings(
        "postgresql://posada:hunter2@127.0.0.1:1/posada",
        "redis://127.0.0.1:1/0",
    );
    let posada = Posada::builder().settings(down).build().unwrap();
    let app = app(&posada);
    for path in ["/me", "/hotel", "/scope", "/all"] {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        let answer = ask(&app, request.body(Body::empty()).unwrap()).await;
        assert!(
            matches!(answer.status().as_u16(), 503 | 504),
            "{path}: {}",
            answer.status()
        );
        let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!(wait >= 1);
        assert!(!text(answer).await.contains("hunter2"));
    }
    // What memory can answer works on.
    for path in ["/flag", "/limited", "/health", "/health/live"] {
        assert_eq!(ask(&app, get_of(path)).await.status(), StatusCode::OK, "{path}");
    }
    let ready = ask(&app, get_of("/health/ready")).await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready: Value = serde_json::from_str(&text(ready).await).unwrap();
    assert_eq!(
        ready["checks"],
        serde_json::json!({"database": false, "redis": false, "pms": true})
    );
    posada.close().await.unwrap();
}

#[tokio::test]
async fn every_caller_has_a_quota_of_its_own_and_a_forged_header_none() {
    let posada = Posada::embedded();
    let route = || {
        Router::new()
            .route("/guests/{guest}", get(async || "welcome"))
            .route_layer(RateLimitLayer::new(&posada, "2/hour").unwrap())
    };
    let status = async |address: [u8; 4], path: &str, forwarded: &str| {
        let app = route().layer(MockConnectInfo(SocketAddr::from((address, 4000))));
        let request = Request::get(path).header("x-forwarded-for", forwarded);
        ask(&app, request.body(Body::empty()).unwrap())
            .await
            .status()
            .as_u16()
    };
    assert_eq!(status([203, 0, 113, 7], "/guests/1", "10.0.0.1").await, 200);
    assert_eq!(status([203, 0, 113, 7], "/guests/2", "10.0.0.2").await, 200);
    assert_eq!(status([203, 0, 113, 7], "/guests/3", "10.0.0.3").await, 429);
    assert_eq!(status([203, 0, 113, 8], "/guests/1", "10.0.0.1").await, 200);
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_limit_counts_by_the_key_that_the_program_says() {
    let posada = Posada::embedded();
    let layer = RateLimitLayer::new(&posada, "1/hour")
        .unwrap()
        .key(|parts| Some(parts.headers.get("x-api-key")?.to_str().ok()?.to_owned()));
    let app: Router = Router::new().route("/", get(async || "welcome")).layer(layer);
    let status = async |key: &str| {
        let request = Request::get("/").header("x-api-key", key);
        ask(&app, request.body(Body::empty()).unwrap())
            .await
            .status()
            .as_u16()
    };
    assert_eq!(
        [status("a").await, status("a").await, status("b").await],
        [200, 429, 200]
    );
    assert!(RateLimitLayer::new(&posada, "often").is_err());
    posada.close().await.unwrap();
}

#[tokio::test]
async fn a_handler_and_the_hotels_system_see_the_id_of_the_request() {
    let app: Router = Router::new()
        .route(
            "/",
            get(async |axum::Extension(ids): axum::Extension<Correlation>| {
                format!("{} {}", ids.request_id(), ids.get_traceparent().unwrap_or("none"))
            }),
        )
        .layer(CorrelationLayer::new());
    let place = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (told, wanted) in [(place, place), ("elsewhere", "none")] {
        let request = Request::get("/")
            .header("x-request-id", "req-7f3a")
            .header("traceparent", told);
        let answer = ask(&app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.headers()["x-correlation-id"], "req-7f3a");
        assert_eq!(text(answer).await, format!("req-7f3a {wanted}"));
    }
}

#[tokio::test]
async fn a_body_that_is_refused_names_its_field() {
    let app: Router = Router::new().route("/", post(async |Json(new): Json<NewTenant>| format!("{new:?}")));
    let send = async |kind: &str, body: &str| {
        let request = Request::post("/")
            .header("content-type", kind)
            .body(Body::from(body.to_owned()));
        let answer = ask(&app, request.unwrap()).await;
        assert_eq!(
            answer.headers()["content-type"],
            if answer.status() == 200 {
                "text/plain; charset=utf-8"
            } else {
                "application/json"
            }
        );
        (answer.status().as_u16(), text(answer).await)
    };
    let json = "application/json";
    assert_eq!(
        send(json, r#"{"tenant_id": "hotel-test", "name": "Hotel Test"}"#)
            .await
            .0,
        200
    );
    for (status, kind, body, said) in [
        (
            422,
            json,
            r#"{"tenant_id": "hotel-test", "name": "H"}"#,
            "name: must have 2 to 200 characters",
        ),
        (
            422,
            json,
            r#"{"tenant_id": "hotel-test", "nam": "Hotel"}"#,
            "unknown field `nam`",
        ),
        (
            422,
            json,
            r#"{"tenant_id": "hotel-test"}"#,
            "missing field `name`",
        ),
        (400, json, "{", "JSON"),
        (415, "text/plain", "{}", "application/json"),
    ] {
        let (found, told) = send(kind, body).await;
        assert_eq!(found, status, "{told}");
        let told: Value = serde_json::from_str(&told).unwrap();
        assert!(told["detail"].as_str().unwrap().contains(said), "{told}");
    }
}

#[tokio::test]
async fn an_answer_of_the_programs_own_is_a_detail_and_a_status() {
    let app: Router = Router::new().route(
        "/",
        get(async || Err::<(), _>(Error::new(StatusCode::NOT_FOUND, "there is no such conversation"))),
    );
    let answer = ask(&app, get_of("/")).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(
        text(answer).await,
        r#"{"detail":"there is no such conversation"}"#
    );
}
