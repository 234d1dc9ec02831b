//! What answers the shards' questions: one look-up for each name, however many ask for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use strowger_net::Handle;
use strowger_sip::memory::Id;
use strowger_sip::transport::Wanted;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::procedure::servers_of;
use super::records::Records;
use super::{Answer, Dns, HostName, Question};
use crate::node::Control;

/// Look-ups that are under way at once.
const AT_ONCE: usize = 256;
/// How often, and with which pauses, an answer is offered to a shard.
const ATTEMPTS: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(20);

/// What is looked up, and who waits for it.
type UnderWay = HashMap<(HostName, Wanted), Vec<(u16, Id)>>;

/// Answers questions until nobody can ask any more, each from the records that there are when it is looked at.
pub(crate) fn spawn<R: Records>(
    dns: Arc<Dns>,
    mut questions: mpsc::Receiver<Question>,
    records: watch::Receiver<Arc<R>>,
    shards: Handle<Control>,
) {
    tokio::spawn(async move {
        let (mut under_way, mut tasks) = (UnderWay::new(), JoinSet::new());
        loop {
            tokio::select! {
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    if let Ok((host, wanted, answer)) = ended {
                        let now_ms = strowger_net::now().mono_ms();
                        note(host, wanted, &answer);
                        dns.learn(host, wanted, answer, now_ms);
                        for asker in under_way.remove(&(host, wanted)).unwrap_or_default() {
                            tell(&shards, asker);
                        }
                    }
                }
                question = questions.recv(), if tasks.len() < AT_ONCE => {
                    let Some(Question { host, wanted, asker }) = question else { return };
                    let is_new = !under_way.contains_key(&(host, wanted));
                    under_way.entry((host, wanted)).or_default().extend(asker);
                    if is_new {
                        let (records, carried) = (Arc::clone(&records.borrow()), dns.carried());
                        tasks.spawn(async move {
                            let answer = servers_of(&records, host.as_str(), wanted, carried).await;
                            (host, wanted, answer)
                        });
                    }
                }
            }
        }
    });
}

fn note(host: HostName, wanted: Wanted, answer: &Answer) {
    let Answer {
        servers,
        ttl_secs,
        failed,
    } = answer;
    tracing::debug!(
        host = host.as_str(),
        ?wanted,
        ?servers,
        ttl_secs,
        failed,
        "looked up"
    );
}

/// Tells a shard that there is an answer.
fn tell(shards: &Handle<Control>, (shard, ticket): (u16, Id)) {
    if let Err(control) = shards.send(shard, Control::Resolved(ticket)) {
        let shards = shards.clone();
        tokio::spawn(async move { deliver(&shards, shard, control).await });
    }
}

/// Sends to a shard whose queue may be full for the moment: somebody waits for it there. One that is gone gets nothing.
pub(crate) async fn deliver(shards: &Handle<Control>, shard: u16, mut control: Control) {
    for _ in 0..ATTEMPTS {
        match shards.send(shard, control) {
            Ok(()) => return,
            Err(back) => control = back,
        }
        tokio::time::sleep(PAUSE).await;
    }
}
