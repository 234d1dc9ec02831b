//! The admin listener: accepts, bounds, and stops.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use strowger_server::admin::Admin;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::access::Access;
use crate::api;

/// Connections that are open at a time; others wait in the backlog.
const CONNECTIONS: usize = 128;

/// How long a client may take to send the head of a request, and a connection to be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a request that is being answered may keep a stopping listener.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the admin listener cannot be served.
#[derive(Debug)]
pub enum Refused {
    /// The listener is not on loopback, and there is no TLS.
    NotLoopback(SocketAddr),
    /// The listener is broken.
    Listener(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoopback(address) => {
                write!(
                    f,
                    "the admin address {address} is not loopback, and it carries no TLS"
                )
            }
            Self::Listener(error) => write!(f, "the admin listener is broken: {error}"),
        }
    }
}

impl std::error::Error for Refused {}

/// Serves administration on a bound listener until `stop` is done, then lets what is being answered end.
///
/// # Errors
/// A listener that is not on loopback, or broken.
pub async fn serve<A: Admin>(
    listener: TcpListener,
    admin: Arc<A>,
    access: Access,
    stop: impl Future<Output = ()>,
) -> Result<(), Refused> {
    let address = listener.local_addr().map_err(Refused::Listener)?;
    if !address.ip().to_canonical().is_loopback() {
        return Err(Refused::NotLoopback(address));
    }
    let service = TowerToHyperService::new(api::router(admin, access));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or a peer that has gone: it passes, and must not become a busy loop.
                tracing::warn!(%error, "the admin listener could not accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (service, stopped) = (service.clone(), stopped.clone());
        connections.spawn(async move {
            converse(stream, service, stopped).await;
            drop(place);
        });
    }
    drop(stopping);
    let all_done = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(STOP_TIMEOUT, all_done).await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn converse(
    stream: TcpStream,
    service: TowerToHyperService<axum::Router>,
    mut stopped: watch::Receiver<()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let outcome = tokio::select! {
        outcome = &mut connection => outcome,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "an admin connection ended badly");
    }
}
