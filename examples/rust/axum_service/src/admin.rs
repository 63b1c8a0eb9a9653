//! What operators do: sign in, add hotels and their numbers, throw switches, look into conversations, read the news.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use posada::auth::{Permission, SignIn, TokenPair};
use posada::flags::FlagValue;
use posada::sessions::Document;
use posada::settings::Secret;
use posada::tenants::{Channel, Identifier, NewTenant, Tenant};
use posada::{Claims, Posada, TenantId};
use posada_axum::{Authenticated, Error, Json, Peer, Privileged, RateLimitLayer, Result, Superuser};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::Service;

/// The routes of operators.
///
/// # Errors
/// None that the limits here cause.
pub fn routes(posada: &Posada) -> posada::Result<Router<Service>> {
    let desk = Router::new()
        .route("/api/admin/tenants", post(create).get(list))
        .route("/api/admin/tenants/{tenant}/identifiers", post(add_identifier))
        .route("/api/admin/tenants/{tenant}/flags/{flag}", put(set_flag))
        .route("/api/admin/news", get(news))
        .route("/api/support/tenants/{tenant}/conversations", post(conversation))
        .route_layer(RateLimitLayer::new(posada, "60/minute")?);
    Ok(Router::new()
        .route("/admin/token", post(sign_in))
        .route("/admin/refresh", post(refresh))
        .route("/admin/logout", post(sign_out))
        .route("/admin/me", get(me))
        .merge(desk))
}

/// Who signs in.
#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: Secret,
}

/// The tokens, member by member, so that none gets into an answer by accident.
#[derive(Serialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
}

impl From<TokenPair> for Tokens {
    fn from(pair: TokenPair) -> Self {
        Self {
            access_token: pair.access,
            refresh_token: pair.refresh,
            token_type: "bearer",
        }
    }
}

/// Signs in. posada slows down clients that guess: 429 with `Retry-After`.
async fn sign_in(
    State(posada): State<Posada>,
    Peer(peer): Peer,
    Json(given): Json<Credentials>,
) -> Result<Json<Tokens>> {
    let mut attempt = SignIn::new(&given.username, given.password);
    if let Some(address) = peer {
        attempt = attempt.address(address);
    }
    Ok(Json(posada.auth().login(&attempt).await?.into()))
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: Secret,
}

async fn refresh(State(posada): State<Posada>, Json(given): Json<Refresh>) -> Result<Json<Tokens>> {
    let pair = posada.auth().refresh(given.refresh_token.expose()).await?;
    Ok(Json(pair.into()))
}

async fn sign_out(State(posada): State<Posada>, Json(given): Json<Refresh>) -> Result<StatusCode> {
    posada.auth().logout(given.refresh_token.expose()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Adds a hotel.
async fn create(
    _: Superuser,
    State(posada): State<Posada>,
    Json(new): Json<NewTenant>,
) -> Result<(StatusCode, Json<Tenant>)> {
    let tenant = posada.tenants().create(new).await?;
    Ok((StatusCode::CREATED, Json(tenant)))
}

async fn list(_: Superuser, State(posada): State<Posada>) -> Result<Json<Vec<Tenant>>> {
    Ok(Json(posada.tenants().list().await?))
}

/// A number, address or host name by which guests reach a hotel.
#[derive(Deserialize)]
struct NewIdentifier {
    identifier: String,
    channel: Channel,
}

/// Gives a hotel a number; answers it as it is stored.
async fn add_identifier(
    _: Superuser,
    State(posada): State<Posada>,
    Path(tenant): Path<TenantId>,
    Json(new): Json<NewIdentifier>,
) -> Result<(StatusCode, Json<Identifier>)> {
    let tenants = posada.tenants();
    let added = tenants
        .add_identifier(&tenant, &new.identifier, new.channel)
        .await?;
    Ok((StatusCode::CREATED, Json(added)))
}

/// Throws a switch for one hotel: the body is `true`, `false` or a definition.
async fn set_flag(
    _: Superuser,
    State(posada): State<Posada>,
    Path((tenant, flag)): Path<(TenantId, String)>,
    Json(value): Json<FlagValue>,
) -> Result<StatusCode> {
    posada
        .for_tenant(&tenant)?
        .flags()
        .set(None, &flag, value)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What was heard of flags and bookings, the latest last.
async fn news(_: Superuser, State(service): State<Service>) -> Json<Vec<Value>> {
    Json(service.news.read())
}

/// A guest, as a channel knows them.
#[derive(Deserialize)]
struct WhoWrote {
    guest: String,
}

/// What a guest and a hotel said to each other: of one's own hotel, or of any for who stands above them. The audit of
/// sign-in has who looked where, and who tried. The guest's number stands in the body, because paths are logged.
async fn conversation(
    Privileged(mut user): Privileged,
    State(posada): State<Posada>,
    Path(tenant): Path<TenantId>,
    Json(who): Json<WhoWrote>,
) -> Result<Json<Document>> {
    if user.tenant.as_ref() != Some(&tenant) {
        let reason = "support reads a conversation";
        user = posada.auth().act_across_tenants(&tenant, &user, reason).await?;
    }
    user.require_for(&tenant, &Permission::VIEW_REPORTS)?;
    let found = posada.for_claims(&user)?.sessions().get(None, &who.guest).await?;
    let session = found.ok_or(Error::new(StatusCode::NOT_FOUND, "there is no such conversation"))?;
    Ok(Json(session.document))
}

/// Who asks.
async fn me(Authenticated(user): Authenticated) -> Json<Claims> {
    Json(user)
}
