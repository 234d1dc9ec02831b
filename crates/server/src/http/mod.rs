//! What this node asks of HTTP servers (RFC 9110): one small client on the control side, HTTP/1.1 with TLS where the URL says
//! `https`, bounded in time, size and number. Nothing of a request but the server's name gets into logs.
//!
//! Whoever asks has a client of its own, so that a slow server keeps only its own askers waiting.

mod error;
mod request;
mod tls;

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

pub use error::{Error, Fault};
pub use request::{Request, RequestError, Url};

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);
/// The most that the header of an answer may have, in bytes.
const HEADER: usize = 16 << 10;

/// What one client may take up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long an answer may take, from the asking on, waiting for others and connecting included.
    pub time: Duration,
    /// The bytes that the body of an answer may have.
    pub body: usize,
    /// Requests under way at once, which is also how many connections there are.
    pub at_once: usize,
    /// Requests that may wait for one of these to end; those beyond fail at once.
    pub waiting: usize,
}

/// An answer, whatever its status: redirects are not followed, as they could lead anywhere.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub header: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Whether the status is a 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

type Connections = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client with its connections, which it uses again.
#[derive(Debug)]
pub struct Client {
    limits: Limits,
    /// Places for requests that wait or are under way.
    places: Semaphore,
    /// Those that are under way.
    turns: Semaphore,
    /// Made when something is first asked: most nodes never ask.
    connections: OnceCell<Connections>,
}

impl Client {
    /// A client without connections.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            places: Semaphore::new(limits.at_once + limits.waiting),
            turns: Semaphore::new(limits.at_once),
            connections: OnceCell::new(),
        }
    }

    /// Sends a request and waits for the answer; to be awaited within a tokio runtime. Given up when this future is dropped.
    ///
    /// # Errors
    /// What kept the answer away, and whose fault it is. Answers of any status are none.
    pub async fn ask(&self, request: &Request) -> Result<Answer, Error> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Error::Full);
        };
        let (asked_at, mut waited) = (Instant::now(), None);
        let asked = async {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await;
            waited = Some(asked_at.elapsed());
            self.exchange(request).await
        };
        let Limits { time, .. } = self.limits;
        match tokio::time::timeout(time, asked).await {
            Ok(outcome) => outcome,
            // A server that others had kept busy has had too little of the time to be blamed.
            Err(_) if waited.is_some_and(|waited| waited < time / 2) => {
                Err(Error::Late(request.origin(), time))
            }
            Err(_) => Err(Error::Crowded(time)),
        }
    }

    async fn exchange(&self, request: &Request) -> Result<Answer, Error> {
        let connections = self.connections.get_or_init(|| self.connect()).await;
        let sent = connections.request(request.to_hyper()).await;
        // A connection that was kept may have been closed while the request was on its way (RFC 9112 §9.3.1).
        let answer = match sent {
            Err(error) if request.is_repeatable() && error::is_closed(&error) => {
                connections.request(request.to_hyper()).await
            }
            sent => sent,
        };
        let answer = answer.map_err(|error| Error::of_request(request.origin(), &error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, self.limits.body).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Error::TooLarge(request.origin(), self.limits.body)
            } else {
                Error::of_body(request.origin(), &*error)
            }
        })?;
        Ok(Answer {
            status: head.status.as_u16(),
            header: head.headers,
            body: body.to_bytes(),
        })
    }

    async fn connect(&self) -> Connections {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Before the whole time is over, so that it is known what took so long.
        tcp.set_connect_timeout(Some(self.limits.time * 3 / 4));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config().await)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(self.limits.at_once)
            .http1_max_buf_size(HEADER)
            .build(https)
    }
}

#[cfg(test)]
mod tests;
