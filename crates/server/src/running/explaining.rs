//! What a running node would do with a message: played through by a copy of the shard that it belongs to.

use std::net::IpAddr;
use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::Running;
use crate::admin::{AdminError, Explain};
use crate::explain::{Asked, Detached, Explanation, Ground, Names, Stage, Wanted, Zone, owner};
use crate::node::{Control, Copying};

/// The system's resolver.
#[derive(Debug)]
pub struct System;

impl Names for System {
    fn look_up(&mut self, name: &str) -> Vec<IpAddr> {
        let found = (name, 0).to_socket_addrs();
        found.map_or_else(
            |_| Vec::new(),
            |found| found.map(|address| address.ip()).collect(),
        )
    }

    fn authority(&self) -> String {
        "from the system's resolver".to_owned()
    }
}

/// Who is asked for names: these records, or DNS itself.
///
/// # Errors
/// The first line that is no record.
pub fn names(dns: Option<&str>) -> Result<Box<dyn Names + Send>, crate::explain::ZoneError> {
    Ok(match dns {
        Some(text) => Box::new(Zone::parse(text)?),
        None => Box::new(System),
    })
}

impl Running {
    pub(super) async fn explain_message(&self, explain: Explain) -> Result<Explanation, AdminError> {
        let wanted = Wanted {
            source: explain.source.as_deref(),
            listener: explain.listener.as_deref(),
            at: explain.at.as_deref(),
        };
        let now = strowger_net::now();
        let asked = Asked::of(&explain.bytes()?, &wanted, &self.endpoint.listeners, now)?;
        let mut names = names(explain.dns.as_deref()).map_err(|error| AdminError::Invalid {
            what: format!("`dns`: {error}"),
            mend: "write records as `sip.example.test A 192.0.2.7`, one to a line".to_owned(),
        })?;
        let endpoint = self.endpoint.clone();
        let (asked, detached, shard) = self
            .beside(move |shared| {
                let shard = owner(&endpoint, &asked.bytes, asked.source.flow.is_some());
                (asked, Detached::of(shared), shard)
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
        let endpoint = self.endpoint.clone();
        self.beside(move |shared| {
            let stage = match node {
                Some(node) => Stage::over(*node, detached, &endpoint, shard),
                None => Stage::new(Detached::of(shared), &endpoint, Ground::Live, shard),
            };
            stage.explain(&asked, &mut *names)
        })
        .await
    }
}
