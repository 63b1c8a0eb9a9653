//! What the kits of all languages answer to the same requests, as the shared vectors have it.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test, which fails loudly"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::extract::connect_info::MockConnectInfo;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use posada::auth::{NewUser, Permission, Role, SignIn};
use posada::tenants::NewTenant;
use posada::{Posada, TenantId};
use posada_axum::{
    Authenticated, CorrelationLayer, CurrentTenant, Flag, FlagName, HotelOf, MetricsLayer, Networks, Permit,
    Permitted, RateLimitLayer, Result, Scope, Superuser, health_routes, metrics_routes,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const PASSWORD: &str = "el loro pinta mapas de cobre";

struct Chat;
impl FlagName for Chat {
    const NAME: &'static str = "chat.enabled";
}

struct CheckIn;
impl Permit for CheckIn {
    fn permission() -> Permission {
        Permission::GUEST_CHECKIN
    }
}

struct Rates;
impl Permit for Rates {
    const PRIVILEGED: bool = true;
    fn permission() -> Permission {
        Permission::MANAGE_RATES
    }
}

struct RatesAt;
impl Permit for RatesAt {
    const HOTEL: HotelOf = HotelOf::Parameter("place");
    fn permission() -> Permission {
        Permission::MANAGE_RATES
    }
}

struct OfGuest;
impl Permit for OfGuest {
    const HOTEL: HotelOf = HotelOf::Caller;
    fn permission() -> Permission {
        Permission::GUEST_CHECKIN
    }
}

async fn me(user: Authenticated) -> Json<Value> {
    Json(json!({"role": user.role, "tenant": user.tenant}))
}

async fn hotel(CurrentTenant(tenant): CurrentTenant) -> Json<Value> {
    Json(json!({"id": tenant.id}))
}

async fn scope(Scope(hotel): Scope) -> Json<Value> {
    Json(json!({"tenant": hotel.tenant()}))
}

async fn tenant(State(posada): State<Posada>, Path(name): Path<String>) -> Result<String> {
    posada.tenants().create(NewTenant::new(&name, &name)?).await?;
    Ok(name)
}

async fn welcome<T>(_: T) -> &'static str {
    "welcome"
}

fn app(posada: &Posada) -> Router {
    let limited = RateLimitLayer::new(posada, "2/minute").unwrap();
    Router::new()
        .route("/limited", get(async || "welcome"))
        .route_layer(limited)
        .route("/me", get(me))
        .route("/hotel", get(hotel))
        .route("/scope", get(scope))
        .route("/desk", get(welcome::<Permitted<CheckIn>>))
        .route("/rates", get(welcome::<Permitted<Rates>>))
        .route("/hotels/{hotel_id}/rates", get(welcome::<Permitted<Rates>>))
        .route("/properties/{id}/rooms/{room}", get(welcome::<Permitted<Rates>>))
        .route("/places/{place}/rates", get(welcome::<Permitted<RatesAt>>))
        .route("/houses/{house}/rates", get(welcome::<Permitted<Rates>>))
        .route("/guests/{guest}", get(welcome::<Permitted<OfGuest>>))
        .route("/all", get(welcome::<Superuser>))
        .route(
            "/flag",
            get(async |flag: Flag<Chat>| Json(json!({"on": flag.is_on()}))),
        )
        .route("/tenants/{name}", get(tenant))
        .merge(health_routes())
        .merge(metrics_routes(Networks::loopback()))
        .layer(CorrelationLayer::new())
        .layer(MetricsLayer::new())
        .layer(MockConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40001))))
        .with_state(posada.clone())
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/kits/kits.json")).unwrap()
}

/// The access token of every user of the vectors.
async fn tokens(posada: &Posada, vectors: &Value) -> BTreeMap<String, String> {
    let tenant: TenantId = vectors["hotel"].as_str().unwrap().parse().unwrap();
    let new = NewTenant::new(tenant.as_str(), "Hotel Centro").unwrap();
    posada.tenants().create(new).await.unwrap();
    posada.flags().set(&tenant, Chat::NAME, true).await.unwrap();
    let mut tokens = BTreeMap::new();
    for (name, user) in vectors["users"].as_object().unwrap() {
        let role: Role = user["role"].as_str().unwrap().parse().unwrap();
        let new = NewUser::new(name, &format!("{name}@example.com"), PASSWORD)
            .unwrap()
            .role(role);
        let new = if user["superuser"].as_bool().unwrap() {
            new.superuser()
        } else {
            new.tenant(&tenant)
        };
        posada.auth().create_user(new).await.unwrap();
        let pair = posada.auth().login(&SignIn::new(name, PASSWORD)).await.unwrap();
        tokens.insert(name.clone(), pair.access);
    }
    tokens
}

async fn body(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Fails unless every member that is wanted is there.
fn expect_members(wanted: &Value, found: &Value, case: &Value) {
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(found.get(name), Some(value), "{name} of {case}: {found}");
    }
}

#[tokio::test]
async fn every_kit_answers_these_requests_alike() {
    let vectors = vectors();
    let router = |posada: &Posada| app(posada);
    // Counting begins with the page, before the handle is made.
    let page = metrics_routes::<()>(Networks::everybody());
    let posada = Posada::embedded();
    let (app, tokens) = (router(&posada), tokens(&posada, &vectors).await);
    for case in vectors["requests"].as_array().unwrap() {
        let mut request = Request::get(case["path"].as_str().unwrap());
        if let Some(user) = case["as"].as_str() {
            request = request.header("authorization", format!("Bearer {}", tokens[user]));
        }
        for (name, value) in case["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap());
        }
        let answer = app
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), case["status"], "{case}");
        for (name, wanted) in case["answer"].as_object().into_iter().flatten() {
            let found = answer.headers().get(name).map(|value| value.to_str().unwrap());
            assert!(found.is_some_and(|found| !found.is_empty()), "{name} of {case}");
            assert!(
                wanted.is_null() || found == wanted.as_str(),
                "{name} of {case}: {found:?}"
            );
        }
        if let Some(sent) = case["headers"]["X-Request-ID"].as_str() {
            let id = answer.headers()["x-request-id"].to_str().unwrap();
            assert_eq!(id == sent, !sent.contains(' '), "{case}");
        }
        if case["body"].is_object() {
            let found = serde_json::from_str(&body(answer).await).unwrap();
            expect_members(&case["body"], &found, case);
        }
    }
    let answer = page
        .oneshot(Request::get("/metrics").body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let page = body(answer).await;
    for (endpoint, statuses) in vectors["counted"].as_object().unwrap() {
        for (status, count) in statuses.as_object().unwrap() {
            let line = format!(
                "http_requests_total{{method=\"GET\",endpoint=\"{endpoint}\",status_code=\"{status}\"}} {count}\n"
            );
            assert!(page.contains(&line), "{line}{page}");
        }
    }
    posada.close().await.unwrap();
}
