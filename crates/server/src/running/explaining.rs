//! What a running node would do with a message: played through by a copy of the shard that it belongs to.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Running;
use crate::admin::{AdminError, Explain};
use crate::explain::{Asked, Circumstances, Detached, Explanation, Ground, Names, Stage, owner};
use crate::node::{Control, Copying};

impl Running {
    pub(super) async fn explain_message(&self, explain: Explain) -> Result<Explanation, AdminError> {
        let wanted = Circumstances {
            source: explain.source.as_deref(),
            listener: explain.listener.as_deref(),
            at: explain.at.as_deref(),
            user: explain.user.as_deref(),
        };
        let (active, now) = (self.active(), strowger_net::now());
        let asked = Asked::of(&explain.bytes()?, &wanted, &active.endpoint.listeners, now)?;
        let names =
            Names::of(explain.dns.as_deref(), &active.config.dns).map_err(|error| AdminError::Invalid {
                what: format!("`dns`: {error}"),
                mend: "write records as `sip.example.test A 192.0.2.7`, one to a line".to_owned(),
            })?;
        let (endpoint, given) = (Arc::clone(&active.endpoint), names.is_given());
        let (asked, detached, shard) = self
            .beside(move |shared| {
                let shard = owner(&endpoint, &asked.bytes, asked.source.flow.is_some());
                (asked, Detached::of(shared, given), shard)
            })
            .await?;
        let (detached, journal) = detached;
        let (reply, answer) = oneshot::channel();
        let copy = Copying {
            shared: Arc::clone(&detached.shared),
            journal,
            reply,
        };
        self.handle
            .send(shard, Control::Copy(Box::new(copy)))
            .map_err(|_| AdminError::Unavailable("it is too busy"))?;
        let node = answer
            .await
            .map_err(|_| AdminError::Unavailable("it is stopping"))?;
        let (endpoint, runtime) = (Arc::clone(&active.endpoint), Handle::current());
        let explained = self.beside(move |shared| {
            let stage = match node {
                Some(node) => Stage::over(*node, detached, &endpoint, shard),
                None => Stage::new(Detached::of(shared, given), &endpoint, Ground::Live, shard),
            };
            runtime.block_on(stage.explain(&asked, &names))
        });
        Ok(explained.await??)
    }
}
