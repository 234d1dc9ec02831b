//! Errors as the API writes them: `{"error": what, "mend": how}`.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use strowger_server::admin::AdminError;
use strowger_server::config::Diagnostic;

/// A refusal or failure.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: Body,
}

#[derive(Debug, Serialize)]
struct Body {
    error: String,
    mend: String,
    /// What is wrong with a configuration, and where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Diagnostic>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            status,
            body: Body {
                error: error.into(),
                mend: mend.into(),
                errors: Vec::new(),
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"strowger\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        let status = match &error {
            AdminError::Invalid { .. } | AdminError::Configuration(_) => StatusCode::UNPROCESSABLE_ENTITY,
            AdminError::NoSuchUser(_)
            | AdminError::NoSuchRegistration(_)
            | AdminError::NoSuchBan(_)
            | AdminError::NoSuchTarget(_) => StatusCode::NOT_FOUND,
            AdminError::Exists(_) | AdminError::Conflict { .. } => StatusCode::CONFLICT,
            AdminError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            AdminError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut told = Self::new(status, error.to_string(), error.mend());
        if let AdminError::Configuration(wrong) = error {
            told.body.errors = wrong;
        }
        told
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let mend = match &rejection {
            JsonRejection::MissingJsonContentType(_) => "send Content-Type: application/json",
            _ => "see /api/v1/openapi.json",
        };
        Self::new(rejection.status(), rejection.body_text(), mend)
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(
            rejection.status(),
            rejection.body_text(),
            "see /api/v1/openapi.json for the parameters",
        )
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::new(
            rejection.status(),
            rejection.body_text(),
            "write the user as alice@example.test",
        )
    }
}
