//! Who may ask: the guard in front of every route.
//!
//! - The Host must name loopback or a configured name, or a web page could reach us by letting its own name resolve
//!   to 127.0.0.1 (DNS rebinding).
//! - What changes something must not come from a web page of another origin.
//! - All but `/`, `/healthz` and the API's description needs the bearer token. `/metrics` too: it tells how much an
//!   office telephones, and Prometheus reads a token from a file (`authorization: credentials_file`).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use strowger_server::admin::Secret;
use subtle::ConstantTimeEq;

use crate::error::ApiError;

/// What a request must show.
#[derive(Clone, Debug)]
pub struct Access {
    /// The token that `Authorization: Bearer` must carry.
    pub token: Secret,
    /// Host names, besides loopback's, that a request may name; in lower case.
    pub names: Vec<String>,
}

impl Access {
    /// Decides on a request by its head alone.
    fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let host = self.check_host(uri, headers)?;
        if !matches!(*method, Method::GET | Method::HEAD) {
            check_origin(&host, headers)?;
        }
        match uri.path() {
            "/" | "/healthz" | "/api/v1/openapi.json" => Ok(()),
            _ => self.check_token(headers),
        }
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<Authority, ApiError> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
            _ => None,
        };
        let Some(host) = uri.authority().cloned().or(host) else {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "the request names no host",
                "send one Host header",
            ));
        };
        if self.knows(host.host()) {
            return Ok(host);
        }
        let what = format!("this is not {}", host.host());
        let mend = "ask for 127.0.0.1, or list the name in the configuration: [admin] names";
        Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, what, mend))
    }

    fn knows(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let bare = host
            .strip_prefix('[')
            .and_then(|v6| v6.strip_suffix(']'))
            .unwrap_or(host);
        match bare.parse::<IpAddr>() {
            Ok(address) if address.to_canonical().is_loopback() => true,
            _ => {
                let known = |name: &String| name.eq_ignore_ascii_case(bare);
                host.eq_ignore_ascii_case("localhost") || self.names.iter().any(known)
            }
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let shown = headers
            .get(AUTHORIZATION)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        let (scheme, token) = shown.split_at(shown.len().min(7));
        let right = token.ct_eq(self.token.expose().as_bytes());
        if scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(right) && !self.token.expose().is_empty() {
            return Ok(());
        }
        let mend = "send `Authorization: Bearer TOKEN` with the token of admin.token in the data directory";
        Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "the token is missing or wrong",
            mend,
        ))
    }
}

/// Refuses what a browser sends for a page of another origin.
fn check_origin(host: &Authority, headers: &HeaderMap) -> Result<(), ApiError> {
    const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let foreign_site = headers
        .get(FETCH_SITE)
        .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let own = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
    };
    let foreign_origin = headers.get_all(ORIGIN).iter().any(|origin| !own(origin));
    if foreign_site || foreign_origin {
        let mend = "use `strowger ctl` or the API from a program";
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "a web page may not do this",
            mend,
        ));
    }
    Ok(())
}

/// The guard as a layer.
pub(crate) async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match access.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}
