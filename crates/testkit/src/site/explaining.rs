//! What would become of a message, beside what becomes of it.

use std::sync::Arc;

use strowger_server::config;
use strowger_server::explain::{Asked, Detached, Explanation, Names, Stage, Unclear, owner};
use strowger_server::node::Control;
use strowger_sip::Source;
use strowger_sip::registrar::Bindings;

use super::Site;
use crate::message::lines;
use crate::peer;
use crate::sent::Sent;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

impl Site {
    fn source(&self, who: char, by_connection: bool) -> Source {
        if by_connection {
            peer::connection(who, self.arrival)
        } else {
            peer::datagram(who)
        }
    }

    /// What would become of a datagram that a peer sent, or of a message over its connection. DNS has these records.
    #[track_caller]
    pub fn explain(&self, who: char, bytes: &[u8], by_connection: bool, dns: &str) -> Explanation {
        self.explain_as(None, who, bytes, by_connection, dns)
            .expect("nothing unclear")
    }

    /// [`explain`](Self::explain), with the right credentials of a user where they are asked for.
    ///
    /// # Errors
    /// [`Unclear`].
    #[track_caller]
    pub fn explain_as(
        &self,
        user: Option<&str>,
        who: char,
        bytes: &[u8],
        by_connection: bool,
        dns: &str,
    ) -> Result<Explanation, Unclear> {
        let asked = Asked {
            bytes: bytes.to_owned(),
            source: self.source(who, by_connection),
            now: self.now,
            user: user.map(str::to_owned),
            assumed: Vec::new(),
            remarks: Vec::new(),
        };
        let shard = owner(&self.endpoint, bytes, by_connection);
        let names = Names::of(Some(dns), &config::Dns::default()).expect("records");
        let (detached, journal) = Detached::of(&self.shared, false);
        let node = &self.shards[usize::from(shard)].node;
        let node = node.copy(Arc::clone(&detached.shared), journal);
        let stage = Stage::over(node.expect("few transactions"), detached, &self.endpoint, shard);
        runtime().block_on(stage.explain(&asked, &names))
    }

    /// A peer sends a datagram, or a message over its connection. The shard that dealt with it.
    pub fn send_as(&mut self, who: char, bytes: &[u8], by_connection: bool) -> usize {
        let source = self.source(who, by_connection);
        self.deliver(bytes, &source)
    }

    /// The resolver answers all questions that wait by these records.
    #[track_caller]
    pub fn resolve_by(&mut self, dns: &str) {
        let names = Names::of(Some(dns), &config::Dns::default()).expect("records");
        while let Some(question) = self.question() {
            let now_ms = self.now.mono_ms();
            runtime().block_on(names.answer(&self.shared.dns, &question, now_ms));
            if let Some((shard, ticket)) = question.asker {
                self.control(usize::from(shard), Control::Resolved(ticket));
            }
        }
    }

    /// Every address-of-record with every contact that has not expired, in order.
    pub fn contacts(&self) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut all = Vec::new();
        self.shared.location.for_each(&mut |aor, record| {
            let live = Bindings::new(record).live(self.now.wall_secs());
            all.extend(live.map(|binding| (text(aor), text(binding.contact))));
        });
        all.sort();
        all
    }

    /// The requests that were forwarded so far.
    pub fn forwarded(&self) -> Vec<&str> {
        let requests = self.sent.iter().filter(|sent| !sent.text.starts_with("SIP/2.0 "));
        requests.map(|sent| sent.text.as_str()).collect()
    }

    /// The values of Record-Route in what was forwarded so far.
    pub fn recorded(&self) -> Vec<String> {
        let of = |text| lines(text, "Record-Route").into_iter().map(str::to_owned);
        self.forwarded().into_iter().flat_map(of).collect()
    }

    /// The messages sent since it was last asked, with the times in milliseconds.
    pub fn timed_messages(&mut self) -> Vec<(u64, String)> {
        let told = |sent: &Sent| (sent.at_ms, sent.text.clone());
        self.take_new().iter().map(told).collect()
    }
}
