//! Host names, looked up beside the shards: addresses by the system's resolver.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use strowger_net::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::node::{Control, Question};

/// Look-ups that are under way at once.
const AT_ONCE: usize = 64;

/// How long one look-up may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often, and with which pauses, an answer is offered to a shard.
const ATTEMPTS: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(20);

/// Answers questions until nobody can ask any more.
pub(super) fn spawn(mut questions: mpsc::Receiver<Question>, shards: Handle<Control>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let shards = shards.clone();
            tokio::spawn(async move {
                let addresses = look_up(question.host.as_str()).await;
                deliver(
                    &shards,
                    question.shard,
                    Control::Resolved {
                        ticket: question.ticket,
                        number: question.number,
                        addresses,
                    },
                )
                .await;
                drop(place);
            });
        }
    });
}

/// Sends to a shard whose queue may be full for the moment: somebody waits for it there. One that is gone gets nothing.
pub(super) async fn deliver(shards: &Handle<Control>, shard: u16, mut control: Control) {
    for _ in 0..ATTEMPTS {
        match shards.send(shard, control) {
            Ok(()) => return,
            Err(back) => control = back,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn look_up(host: &str) -> Vec<IpAddr> {
    match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, 0))).await {
        Err(_) => {
            tracing::debug!(host, "no answer in time");
            Vec::new()
        }
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        Ok(Err(error)) => {
            tracing::debug!(host, %error, "no address");
            Vec::new()
        }
    }
}
