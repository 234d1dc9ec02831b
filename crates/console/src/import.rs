//! Import of users from a stream of lines, without ever holding more than one batch.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use strowger_server::admin::{Admin, IMPORT_BATCH, Import, LINE_LIMIT, NewUser, import_line};

use crate::error::ApiError;

/// Bytes of a whole import: some ten million users.
const BODY_LIMIT: u64 = 1 << 30;

/// How long the client may keep silent.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// `POST /api/v1/users/import`: lines of `user@domain,password`; empty lines and lines that begin with `#` are skipped.
pub(crate) async fn import<A: Admin>(
    State(admin): State<Arc<A>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    if !kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("text/csv")
    {
        let mend = "send lines of user@domain,password with Content-Type: text/csv";
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body is not text/csv",
            mend,
        ));
    }
    let mut run = Run {
        admin: &*admin,
        line: 0,
        batch: Vec::new(),
        numbers: Vec::new(),
        import: Import::default(),
    };
    run.read(body).await?;
    run.commit().await?;
    tracing::info!(
        added = run.import.added,
        changed = run.import.changed,
        failures = run.import.failures,
        "users imported"
    );
    Ok(Json(run.import).into_response())
}

/// One import under way.
struct Run<'a, A> {
    admin: &'a A,
    line: u64,
    batch: Vec<NewUser>,
    /// The line of each user of the batch.
    numbers: Vec<u64>,
    import: Import,
}

impl<A: Admin> Run<'_, A> {
    async fn read(&mut self, mut body: Body) -> Result<(), ApiError> {
        let mut pending: Vec<u8> = Vec::new();
        let mut seen = 0;
        while let Some(chunk) = next_chunk(&mut body).await? {
            seen += chunk.len() as u64;
            if seen > BODY_LIMIT {
                let mend = "split it; what came before the limit is there";
                return Err(ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the import is too large",
                    mend,
                ));
            }
            let mut rest: &[u8] = &chunk;
            while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                let (line, tail) = rest.split_at(end);
                pending.extend_from_slice(&line[..line.len().min(LINE_LIMIT + 1)]);
                self.take_line(&pending).await?;
                pending.clear();
                rest = &tail[1..];
            }
            // One byte more than the limit marks the line as too long, however long it is.
            let room = (LINE_LIMIT + 1).saturating_sub(pending.len());
            pending.extend_from_slice(&rest[..rest.len().min(room)]);
        }
        if pending.is_empty() {
            Ok(())
        } else {
            self.take_line(&pending).await
        }
    }

    async fn take_line(&mut self, line: &[u8]) -> Result<(), ApiError> {
        self.line += 1;
        match import_line(line) {
            None => {}
            Some(Ok(user)) => {
                self.batch.push(user);
                self.numbers.push(self.line);
            }
            Some(Err(wrong)) => self.import.fail(self.line, wrong.to_string()),
        }
        if self.batch.len() >= IMPORT_BATCH {
            self.commit().await
        } else {
            Ok(())
        }
    }

    async fn commit(&mut self) -> Result<(), ApiError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut done = self.admin.import_users(std::mem::take(&mut self.batch)).await?;
        for failed in &mut done.failed {
            let place = usize::try_from(failed.line)
                .ok()
                .and_then(|place| place.checked_sub(1));
            failed.line = place
                .and_then(|place| self.numbers.get(place))
                .copied()
                .unwrap_or_default();
        }
        self.numbers.clear();
        self.import.add(done);
        Ok(())
    }
}

async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, ApiError> {
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
        match tokio::time::timeout(READ_TIMEOUT, frame).await {
            Err(_) => {
                let mend = "send the lines without a pause";
                return Err(ApiError::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "the import stalled",
                    mend,
                ));
            }
            Ok(None) => return Ok(None),
            Ok(Some(Err(broken))) => {
                return Err(ApiError::new(
                    StatusCode::BAD_REQUEST,
                    format!("the import broke off: {broken}"),
                    "try again",
                ));
            }
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
