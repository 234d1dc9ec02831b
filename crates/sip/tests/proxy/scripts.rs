//! The response context by its scripts.

use std::path::Path;

use strowger_sip::proxy::Turn;
use strowger_sip::transaction::Timers;
use strowger_testkit::script::{Effect, Subject, play_all};

use crate::stage::{Manner, Stage, Way, request, ways};

#[test]
fn every_script() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy/scripts");
    play_all(&folder, Proxied::default);
}

/// One request of a caller, forwarded by UDP to targets with the names `a`, `b` ...
///
/// The caller sends `METHOD to TARGETS` first, `CANCEL` or `ACK` later. The targets behind a `then` are of the next group, and
/// `a/20` may ring for 20 s. A target answers with a status code, or `CODE to CANCEL`, or
/// sends `stray CODE`, a response whose client transaction is over; `nothing is there` is an ICMP error for what it was sent.
/// The setting `next hops are given up early` has the timers of the real node; with `the contacts of a 3xx are tried` those that
/// are the targets' become targets, by their q.
#[derive(Default)]
struct Proxied {
    stage: Option<Stage>,
    early: bool,
    recurse: bool,
    now_ms: u64,
}

impl Proxied {
    fn stage(&mut self) -> &mut Stage {
        let (early, recurse) = (self.early, self.recurse);
        self.stage.get_or_insert_with(|| {
            let mut stage = if early {
                Stage::with(Timers::DEFAULT)
            } else {
                Stage::new()
            };
            stage.recurse = recurse;
            stage
        })
    }
}

impl Subject for Proxied {
    fn set(&mut self, setting: &str) -> Result<(), String> {
        match setting {
            "next hops are given up early" => self.early = true,
            "the contacts of a 3xx are tried" => self.recurse = true,
            _ => return Err(format!("no setting `{setting}`")),
        }
        Ok(())
    }

    fn happen(&mut self, party: &str, what: &str, fields: &[&str]) -> Result<(), String> {
        let stage = self.stage();
        let (word, rest) = what.split_once(" to ").unwrap_or((what, ""));
        let lines: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let with = |text: String| text.replacen("Content-Length", &format!("{lines}Content-Length"), 1);
        match (party, word, rest) {
            ("caller", "CANCEL" | "ACK", "") => stage.caller_sends(&with(request(word))),
            ("caller", method, targets) => {
                let targets = groups(targets)?;
                stage.start_with(&with(request(method)), &targets, Manner::default());
            }
            (who, "nothing is there", "") => stage.icmp(name(who)?),
            (who, code, to) => {
                let code = code.parse().map_err(|_| format!("no status code: {code}"))?;
                match to {
                    "" => {
                        let text = with(stage.response(name(who)?, code));
                        stage.hear(&text);
                    }
                    "CANCEL" => stage.answer_cancel(name(who)?, code),
                    _ => return Err(format!("no answer to {to}")),
                }
            }
        }
        Ok(())
    }

    fn go_to(&mut self, at_ms: u64) {
        let passed = at_ms.saturating_sub(self.now_ms);
        self.stage().pass(passed);
        self.now_ms += passed;
    }

    fn effects(&mut self) -> Vec<Effect> {
        self.stage().take_new()
    }

    fn left(&mut self) -> Option<String> {
        self.stage().left()
    }
}

/// Targets in groups.
fn groups(text: &str) -> Result<Vec<Way>, String> {
    let (mut group, mut all) = (0, Vec::new());
    for word in text.split(' ') {
        if word == "then" {
            group += 1;
            continue;
        }
        let (who, secs) = word.split_once('/').unwrap_or((word, ""));
        let secs = match secs {
            "" => None,
            secs => Some(secs.parse::<u32>().map_err(|_| format!("no seconds: {secs}"))?),
        };
        let ring_ms = secs.map(|secs| secs * 1000);
        let mut way = ways(&String::from(name(who)?)).remove(0);
        way.turn = Turn {
            group,
            ring_ms,
            ..Turn::default()
        };
        all.push(way);
    }
    Ok(all)
}

fn name(who: &str) -> Result<char, String> {
    who.chars()
        .next()
        .filter(|_| who.len() == 1)
        .ok_or_else(|| format!("who is {who}?"))
}
