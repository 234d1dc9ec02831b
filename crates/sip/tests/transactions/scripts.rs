//! The state machines by their scripts.

use std::path::Path;

use strowger_sip::Destination;
use strowger_sip::memory::Id;
use strowger_sip::transaction::{Expired, FailedSend, Matched, Timers};
use strowger_testkit::script::{Effect, Subject, play_all};

use crate::bench::{Bench, PATIENT, request, response, tcp, udp};

#[test]
fn every_script() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transactions/scripts");
    play_all(&folder, Transaction::new);
}

/// One transaction between its TU and the network.
///
/// The TU sends a `METHOD` or a status code. It gets what is for it, `timeout`, `error`, `ended`, `send 100` when one is due,
/// `refused` for a response that the state does not allow, and `wait` for a CANCEL that must. The network brings a `METHOD`, a
/// status code with or without ` to METHOD`, or an `error` for the last message. Settings: `over UDP` or `over TCP`, and
/// `T1 MILLISECONDS`.
struct Transaction {
    bench: Bench,
    to: Destination,
    client: Option<(Id, String)>,
    server: Option<Id>,
    now_ms: u64,
    for_tu: Vec<Effect>,
}

impl Transaction {
    fn new() -> Self {
        Self {
            bench: Bench::new(),
            to: udp(),
            client: None,
            server: None,
            now_ms: 0,
            for_tu: Vec::new(),
        }
    }

    fn tell(&mut self, what: &str) {
        self.for_tu.push(effect(self.now_ms, "TU", what, ""));
    }

    fn of_tu(&mut self, what: &str) -> Result<(), String> {
        match (what.parse(), &self.client) {
            (Ok(code), _) => {
                let server = self.server.ok_or("there is no request to answer")?;
                if !self.bench.answer(server, code) {
                    self.tell("refused");
                }
            }
            (Err(_), Some((client, _))) if what == "CANCEL" => {
                if !self.bench.cancel(*client) {
                    self.tell("wait");
                }
            }
            (Err(_), _) => self.client = Some((self.bench.send(what, self.to), what.to_owned())),
        }
        Ok(())
    }

    fn of_network(&mut self, what: &str) -> Result<(), String> {
        let (word, method) = what
            .split_once(" to ")
            .map_or((what, None), |(word, method)| (word, Some(method)));
        if word == "error" {
            let token = *self.bench.tokens.last().ok_or("nothing was sent")?;
            if let FailedSend::Client(_) = self.bench.fail(token) {
                self.tell("error");
            }
        } else if let Ok(code) = word.parse() {
            let (client, own) = self
                .client
                .clone()
                .ok_or("there is no request that is answered")?;
            if self.bench.hear(client, &response(code, method.unwrap_or(&own))) {
                self.tell(word);
            }
        } else {
            match self.bench.offer(&request(word)) {
                Matched::Absorbed => return Ok(()),
                Matched::New if !["ACK", "CANCEL"].contains(&word) => {
                    self.server = Some(self.bench.accept(&request(word), self.to));
                }
                Matched::New | Matched::Cancel(_) => {}
            }
            self.tell(word);
        }
        Ok(())
    }
}

impl Subject for Transaction {
    fn set(&mut self, setting: &str) -> Result<(), String> {
        match setting.split_once(' ') {
            Some(("over", "UDP")) => self.to = udp(),
            Some(("over", "TCP")) => self.to = tcp(),
            Some(("T1", ms)) => {
                let t1_ms = ms.parse().map_err(|_| format!("not milliseconds: {ms}"))?;
                let next_hop_timeout_ms = u64::MAX;
                self.bench = Bench::with(Timers {
                    t1_ms,
                    next_hop_timeout_ms,
                    ..PATIENT
                });
            }
            _ => return Err(format!("no setting `{setting}`")),
        }
        Ok(())
    }

    fn happen(&mut self, party: &str, what: &str, fields: &[&str]) -> Result<(), String> {
        match party {
            _ if !fields.is_empty() => Err("messages have fields of their own here".to_owned()),
            "TU" => self.of_tu(what),
            "network" => self.of_network(what),
            _ => Err(format!("who is {party}?")),
        }
    }

    fn go_to(&mut self, at_ms: u64) {
        self.bench.pass(at_ms.saturating_sub(self.now_ms));
        self.now_ms = self.now_ms.max(at_ms);
    }

    /// At one time, what went to the network comes first.
    fn effects(&mut self) -> Vec<Effect> {
        let sent = self.bench.take_sent().into_iter().map(|(at_ms, text)| {
            let mut words = text.split(' ').filter(|word| *word != "SIP/2.0");
            effect(at_ms, "network", words.next().unwrap_or_default(), &text)
        });
        let mut effects: Vec<_> = sent.collect();
        effects.append(&mut self.for_tu);
        let events = self.bench.events.drain(..);
        // The proxy's, and nobody sees it.
        let events = events.filter(|(_, event)| !matches!(event, Expired::Ringing(_)));
        effects.extend(events.map(|(at_ms, event)| match event {
            Expired::Client { timed_out: true, .. } => effect(at_ms, "TU", "timeout", ""),
            Expired::Client { .. } => effect(at_ms, "TU", "ended", ""),
            Expired::TryingDue(_) => effect(at_ms, "TU", "send 100", ""),
            Expired::Context(_)
            | Expired::Call(_)
            | Expired::Registration(_)
            | Expired::Waking(_)
            | Expired::Subscription(_)
            | Expired::Ringing(_) => {
                panic!("nobody's timer")
            }
        }));
        effects.sort_by_key(|effect| effect.at_ms);
        effects
    }

    fn left(&mut self) -> Option<String> {
        let layer = &self.bench.layer;
        let (servers, clients) = layer.counts();
        let deadline = layer.wheel.next_deadline();
        (servers + clients + layer.pool.used_bytes() > 0 || deadline.is_some())
            .then(|| format!("{servers} server and {clients} client transactions"))
    }
}

fn effect(at_ms: u64, party: &str, what: &str, text: &str) -> Effect {
    Effect {
        at_ms,
        party: party.to_owned(),
        what: what.to_owned(),
        text: text.to_owned(),
    }
}
