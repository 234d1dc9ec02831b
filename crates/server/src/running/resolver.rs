//! Host names, looked up beside the shards: addresses by the system's resolver.

use std::net::IpAddr;
use std::sync::Arc;

use strowger_net::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::node::{Control, Question};

/// Look-ups that are under way at once.
const AT_ONCE: usize = 64;

/// Answers questions until nobody can ask any more.
pub(super) fn spawn(mut questions: mpsc::Receiver<Question>, shards: Handle<Control>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let shards = shards.clone();
            tokio::spawn(async move {
                let addresses = look_up(&question.host).await;
                // A shard that has ended needs no answer.
                drop(shards.send(question.shard, Control::Resolved { ticket: question.ticket, addresses }));
                drop(place);
            });
        }
    });
}

async fn look_up(host: &str) -> Vec<IpAddr> {
    match tokio::net::lookup_host((host, 0)).await {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(error) => {
            tracing::debug!(host, %error, "no address");
            Vec::new()
        }
    }
}
