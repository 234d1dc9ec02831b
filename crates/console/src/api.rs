//! The routes and what they answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use serde::Deserialize;
use strowger_server::admin::{
    Admin, Deregister, DnsFlush, DnsFlushed, DrainTarget, Explain, Filter, MESSAGE_LIMIT, NewUser,
    PageRequest, Secret, State as NodeState, Unban, UserId, rollback_after,
};

use crate::access::{Access, guard};
use crate::error::ApiError;
use crate::openapi::openapi;
use crate::{import, metrics};

/// Bytes of a JSON body.
const BODY_LIMIT: usize = 64 * 1024;

/// Bytes of a JSON body with a message in hexadecimal, and records of DNS.
const EXPLAIN_LIMIT: usize = 2 * MESSAGE_LIMIT + (2 << 20);

/// How long the node may take to answer one request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// All routes behind the guard.
pub(crate) fn router<A: Admin>(admin: Arc<A>, access: Access) -> Router {
    let answered_in_time = Router::new()
        .route("/", get(front))
        .route("/healthz", get(healthz::<A>))
        .route("/metrics", get(figures::<A>))
        .route("/api/v1/openapi.json", get(description))
        .route("/api/v1/status", get(status::<A>))
        .route(
            "/api/v1/registrations",
            get(registrations::<A>).delete(deregister::<A>),
        )
        .route("/api/v1/subscriptions", get(subscriptions::<A>))
        .route("/api/v1/calls", get(calls::<A>))
        .route("/api/v1/users", get(users::<A>).post(add_user::<A>))
        .route("/api/v1/users/{address}", delete(remove_user::<A>))
        .route("/api/v1/users/{address}/password", put(set_password::<A>))
        .route("/api/v1/bans", get(bans::<A>).delete(unban::<A>))
        .route("/api/v1/groups", get(groups::<A>).put(drain_target::<A>))
        .route("/api/v1/trunks", get(trunks::<A>))
        .route("/api/v1/dns", get(dns::<A>).delete(flush_dns::<A>))
        .route("/api/v1/drain", post(drain::<A>))
        .route(
            "/api/v1/explain",
            post(explain::<A>).layer(DefaultBodyLimit::max(EXPLAIN_LIMIT)),
        )
        .route("/api/v1/reload", post(reload::<A>))
        .route("/api/v1/reload/confirm", post(confirm_reload::<A>))
        .route("/api/v1/reload/rollback", post(roll_back::<A>))
        .layer(from_fn(in_time));
    let streaming = Router::new().route("/api/v1/users/import", post(import::import::<A>));
    answered_in_time
        .merge(streaming)
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_that_way)
        .with_state(admin)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(Arc::new(access), guard))
        .layer(from_fn(plainly))
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(
            StatusCode::GATEWAY_TIMEOUT,
            "the node did not answer in time",
            "try again",
        )
        .into_response(),
    }
}

/// Nothing here may be cached, guessed at, or shown inside another page.
async fn plainly(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = HeaderName::from_static("content-security-policy");
    headers.insert(
        policy,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    response
}

async fn nothing_here() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "there is nothing here",
        "see /api/v1/openapi.json",
    )
}

async fn not_that_way() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this cannot be done here",
        "see /api/v1/openapi.json",
    )
}

async fn front() -> &'static str {
    "Strowger\n\n/healthz              is it well\n/metrics              figures for Prometheus (token)\n\
     /api/v1/...           the API (token)\n/api/v1/openapi.json  its description\n\n\
     The token is in admin.token in the data directory: Authorization: Bearer TOKEN\n"
}

async fn healthz<A: Admin>(State(admin): State<Arc<A>>) -> Response {
    match admin.status().await {
        Ok(status) if status.state == NodeState::Running => match status.failing {
            None => "ok\n".into_response(),
            // Whoever asks would send the calls elsewhere on anything but a success.
            Some(why) => format!("calls are ok, but registrations can't be stored: {why}\n").into_response(),
        },
        Ok(_) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not answering\n").into_response(),
    }
}

async fn figures<A: Admin>(State(admin): State<Arc<A>>) -> Result<Response, ApiError> {
    let families = admin.metrics().await?;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], metrics::exposition(&families)).into_response())
}

async fn description() -> Response {
    Json(openapi()).into_response()
}

async fn status<A: Admin>(State(admin): State<Arc<A>>) -> Result<Response, ApiError> {
    Ok(Json(admin.status().await?).into_response())
}

/// The parameters of every list.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct List {
    q: String,
    after: String,
    limit: u32,
}

impl Default for List {
    fn default() -> Self {
        let PageRequest { after, limit } = PageRequest::default();
        Self {
            q: String::new(),
            after,
            limit,
        }
    }
}

impl List {
    fn split(self) -> (Filter, PageRequest) {
        (
            Filter { q: self.q },
            PageRequest {
                after: self.after,
                limit: self.limit,
            },
        )
    }
}

type ListQuery = Result<Query<List>, QueryRejection>;

async fn registrations<A: Admin>(
    State(admin): State<Arc<A>>,
    query: ListQuery,
) -> Result<Response, ApiError> {
    let (filter, page) = query?.0.split();
    Ok(Json(admin.registrations(filter, page).await?).into_response())
}

async fn deregister<A: Admin>(
    State(admin): State<Arc<A>>,
    query: Result<Query<Deregister>, QueryRejection>,
) -> Result<Response, ApiError> {
    let which = query?.0;
    let is_removed = which.after.is_none();
    let ended = admin.deregister(which).await?;
    for registration in &ended {
        let (aor, contact) = (&registration.aor, &registration.contact);
        if is_removed {
            tracing::info!(aor, contact, "registration removed");
        } else {
            tracing::info!(
                aor,
                contact,
                left = registration.expires_in,
                "registration shortened"
            );
        }
    }
    Ok(Json(ended).into_response())
}

async fn subscriptions<A: Admin>(
    State(admin): State<Arc<A>>,
    query: ListQuery,
) -> Result<Response, ApiError> {
    let (filter, page) = query?.0.split();
    Ok(Json(admin.subscriptions(filter, page).await?).into_response())
}

async fn calls<A: Admin>(State(admin): State<Arc<A>>, query: ListQuery) -> Result<Response, ApiError> {
    let (filter, page) = query?.0.split();
    Ok(Json(admin.calls(filter, page).await?).into_response())
}

async fn users<A: Admin>(State(admin): State<Arc<A>>, query: ListQuery) -> Result<Response, ApiError> {
    let (filter, page) = query?.0.split();
    Ok(Json(admin.users(filter, page).await?).into_response())
}

async fn bans<A: Admin>(State(admin): State<Arc<A>>, query: ListQuery) -> Result<Response, ApiError> {
    let (filter, page) = query?.0.split();
    Ok(Json(admin.bans(filter, page).await?).into_response())
}

async fn unban<A: Admin>(
    State(admin): State<Arc<A>>,
    query: Result<Query<Unban>, QueryRejection>,
) -> Result<Response, ApiError> {
    let lifted = admin.unban(query?.0).await?;
    for ban in &lifted {
        tracing::info!(ban = ban.id, "ban lifted");
    }
    Ok(Json(lifted).into_response())
}

async fn groups<A: Admin>(State(admin): State<Arc<A>>, query: ListQuery) -> Result<Response, ApiError> {
    let (filter, page) = query?.0.split();
    Ok(Json(admin.groups(filter, page).await?).into_response())
}

async fn trunks<A: Admin>(State(admin): State<Arc<A>>, query: ListQuery) -> Result<Response, ApiError> {
    let (filter, page) = query?.0.split();
    Ok(Json(admin.trunks(filter, page).await?).into_response())
}

async fn dns<A: Admin>(State(admin): State<Arc<A>>, query: ListQuery) -> Result<Response, ApiError> {
    let (filter, page) = query?.0.split();
    Ok(Json(admin.dns(filter, page).await?).into_response())
}

async fn flush_dns<A: Admin>(
    State(admin): State<Arc<A>>,
    query: Result<Query<DnsFlush>, QueryRejection>,
) -> Result<Response, ApiError> {
    let which = query?.0;
    let flushed = admin.flush_dns(which.clone()).await?;
    let DnsFlushed { names, hops } = flushed;
    tracing::info!(name = which.name, names, hops, "DNS answers forgotten");
    Ok(Json(flushed).into_response())
}

async fn drain_target<A: Admin>(
    State(admin): State<Arc<A>>,
    body: Result<Json<DrainTarget>, JsonRejection>,
) -> Result<Response, ApiError> {
    let target = admin.drain_target(body?.0).await?;
    tracing::info!(target = target.id, state = target.state, "target of a group");
    Ok(Json(target).into_response())
}

async fn add_user<A: Admin>(
    State(admin): State<Arc<A>>,
    body: Result<Json<NewUser>, JsonRejection>,
) -> Result<Response, ApiError> {
    let user = body?.0;
    user.check().map_err(strowger_server::admin::AdminError::from)?;
    let user = admin.add_user(user).await?;
    tracing::info!(user = %user.address, "user added");
    Ok((StatusCode::CREATED, Json(user)).into_response())
}

fn address(path: Result<Path<String>, PathRejection>) -> Result<UserId, ApiError> {
    let text = path?.0;
    text.parse()
        .map_err(|wrong| strowger_server::admin::AdminError::from(wrong).into())
}

async fn remove_user<A: Admin>(
    State(admin): State<Arc<A>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let user = address(path)?;
    admin.remove_user(user.clone()).await?;
    tracing::info!(%user, "user removed");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    password: Secret,
}

async fn set_password<A: Admin>(
    State(admin): State<Arc<A>>,
    path: Result<Path<String>, PathRejection>,
    body: Result<Json<NewPassword>, JsonRejection>,
) -> Result<StatusCode, ApiError> {
    let user = address(path)?;
    let NewPassword { password } = body?.0;
    password
        .check_password()
        .map_err(strowger_server::admin::AdminError::from)?;
    admin.set_password(user.clone(), password).await?;
    tracing::info!(%user, "password changed");
    Ok(StatusCode::NO_CONTENT)
}

async fn explain<A: Admin>(
    State(admin): State<Arc<A>>,
    body: Result<Json<Explain>, JsonRejection>,
) -> Result<Response, ApiError> {
    Ok(Json(admin.explain(body?.0).await?).into_response())
}

/// How a configuration is to be put into force.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    rollback_after: Option<String>,
}

async fn reload<A: Admin>(
    State(admin): State<Arc<A>>,
    query: Result<Query<Rollback>, QueryRejection>,
) -> Result<Response, ApiError> {
    let after = query?.0.rollback_after;
    let after = after.map(|text| rollback_after(&text)).transpose();
    let after = after.map_err(strowger_server::admin::AdminError::from)?;
    Ok(Json(admin.reload(after).await?).into_response())
}

async fn confirm_reload<A: Admin>(State(admin): State<Arc<A>>) -> Result<Response, ApiError> {
    Ok(Json(admin.confirm_reload().await?).into_response())
}

async fn roll_back<A: Admin>(State(admin): State<Arc<A>>) -> Result<Response, ApiError> {
    Ok(Json(admin.roll_back().await?).into_response())
}

async fn drain<A: Admin>(State(admin): State<Arc<A>>) -> Result<StatusCode, ApiError> {
    admin.drain().await?;
    tracing::info!("drain asked for by the administrator");
    Ok(StatusCode::ACCEPTED)
}
