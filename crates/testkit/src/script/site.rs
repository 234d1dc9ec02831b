//! Scripts about a whole node, played by the peers of a [`Site`].

use std::panic::{AssertUnwindSafe, catch_unwind};

use strowger_server::config::Fork;

use super::{Effect, Subject};
use crate::message::{ack, authorize, lines, request, start_line, with};
use crate::peer;
use crate::plan::Plan;
use crate::sent::Sent;
use crate::site::Site;

/// A node of one shard. Parties are `alice`, `bob`, `carol` and the letters of other peers.
///
/// What a party does is `METHOD`, `METHOD URI` (without it, a REGISTER is for the party itself, and anything else for bob), with
/// ` as USER` at the end with credentials for the last challenge; `again` for the last request as it was; `ACK` for a refusal; a status
/// code, or `CODE to CANCEL`; `nothing is there` for an ICMP error. Header fields given for a request stand instead of those that it
/// would have. The settings `challenge REGISTER` and `challenge REGISTER and INVITE` say what needs credentials; others are `contacts
/// are tried one after the other` and `the contacts of a 3xx are tried`.
#[derive(Debug, Default)]
pub struct OnSite {
    plan: Plan,
    site: Option<Site>,
    now_ms: u64,
    /// How many requests there were.
    requests: u32,
    /// The last request of each party, and the last INVITE.
    last: Vec<(char, String)>,
    /// The last challenge, and how often it was answered.
    challenge: (String, u32),
}

impl Subject for OnSite {
    fn set(&mut self, setting: &str) -> Result<(), String> {
        let plan = &mut self.plan;
        match setting {
            "challenge REGISTER" => plan.challenged = &["REGISTER"],
            "challenge REGISTER and INVITE" => plan.challenged = &["REGISTER", "INVITE"],
            "contacts are tried one after the other" => plan.fork = Fork::Sequential,
            "the contacts of a 3xx are tried" => plan.recurse = true,
            _ => return Err(format!("no setting `{setting}`")),
        }
        Ok(())
    }

    fn happen(&mut self, party: &str, what: &str, fields: &[&str]) -> Result<(), String> {
        let who = letter(party).ok_or_else(|| format!("who is {party}?"))?;
        if what == "nothing is there" {
            self.site().icmp(0, who);
            return Ok(());
        }
        if what == "again" {
            let (_, text) = self
                .last
                .iter()
                .rfind(|(by, _)| *by == who)
                .ok_or("it sent nothing yet")?;
            let text = text.clone();
            self.site().send(who, &text);
            return Ok(());
        }
        if let Some((code, method)) = status(what) {
            match method {
                "" => {
                    let text = self.site().response(who, code, &fields.join("\r\n"));
                    self.site().send(who, &text);
                }
                "CANCEL" => self.site().answer_cancel(who, code),
                _ => return Err(format!("no answer to {method} is known")),
            }
            return Ok(());
        }
        let text = self.request(who, what, fields)?;
        self.site().send(who, &text);
        Ok(())
    }

    fn go_to(&mut self, at_ms: u64) {
        let passed = at_ms.saturating_sub(self.now_ms);
        self.site().pass(passed);
        self.now_ms += passed;
    }

    fn effects(&mut self) -> Vec<Effect> {
        let effects: Vec<_> = self.site().take_new().iter().map(effect).collect();
        let challenge = effects
            .iter()
            .rfind(|effect| effect.what == "401" || effect.what == "407");
        if let Some(challenge) = challenge {
            self.challenge = (challenge.text.clone(), 0);
        }
        effects
    }

    fn left(&mut self) -> Option<String> {
        let site = self.site();
        let ends = catch_unwind(AssertUnwindSafe(|| site.assert_ends()));
        ends.is_err().then(|| "something is left in the node".to_owned())
    }
}

impl OnSite {
    fn site(&mut self) -> &mut Site {
        let plan = &self.plan;
        self.site.get_or_insert_with(|| Site::of(plan.clone()))
    }

    fn request(&mut self, who: char, what: &str, fields: &[&str]) -> Result<String, String> {
        let (what, user) = what
            .split_once(" as ")
            .map_or((what, None), |(what, user)| (what, Some(user)));
        let (method, uri) = what
            .split_once(' ')
            .map_or((what, None), |(method, uri)| (method, Some(uri)));
        self.requests += 1;
        let own = match method {
            "ACK" | "CANCEL" => {
                let is_invite = |(by, text): &&(char, String)| *by == who && text.starts_with("INVITE ");
                let (_, invite) = self
                    .last
                    .iter()
                    .rfind(is_invite)
                    .ok_or("it sent no INVITE")?
                    .clone();
                match method {
                    "ACK" => ack(&invite, self.site().last(who, "SIP/2.0")),
                    _ => invite.replace("INVITE", "CANCEL"),
                }
            }
            "REGISTER" => {
                let text = request(who, method, uri.unwrap_or("sip:example.test"), self.requests);
                let aor = format!("<sip:{}@example.test>", peer::user(who));
                replace(
                    &replace(&text, &format!("To: {aor}")),
                    &format!("Call-ID: registrations@{who}"),
                )
            }
            _ => request(who, method, uri.unwrap_or("sip:bob@example.test"), self.requests),
        };
        let own = match method {
            "ACK" | "CANCEL" => own,
            _ => replace(&own, &format!("CSeq: {} {method}", self.requests)),
        };
        let mut text = fields.iter().fold(own, |text, field| replace(&text, field));
        if let Some(user) = user {
            self.challenge.1 += 1;
            text = authorize(&text, &self.challenge.0, user, self.challenge.1);
        }
        self.last.push((who, text.clone()));
        Ok(text)
    }
}

/// The request with a field of this name instead of its own, or in addition.
fn replace(text: &str, field: &str) -> String {
    let name = field.split(':').next().unwrap_or_default();
    match (lines(text, name).first(), name) {
        (Some(value), "To" | "From" | "Call-ID" | "CSeq" | "Via" | "Max-Forwards") => {
            text.replacen(&format!("{name}: {value}\r\n"), &format!("{field}\r\n"), 1)
        }
        _ => with(text, field),
    }
}

fn letter(party: &str) -> Option<char> {
    peer::LETTERS.chars().find(|&who| name(who) == party)
}

fn name(who: char) -> String {
    match peer::user(who) {
        "somebody" => who.to_string(),
        user => user.to_owned(),
    }
}

/// A status code, and the method after ` to `.
fn status(what: &str) -> Option<(u16, &str)> {
    let (code, method) = what.split_once(" to ").unwrap_or((what, ""));
    Some((code.parse().ok()?, method))
}

fn effect(sent: &Sent) -> Effect {
    let who = peer::LETTERS.chars().find(|&who| sent.is_to(who));
    let mut words = start_line(&sent.text).split(' ');
    let first = words.next().unwrap_or_default();
    let to_cancel = lines(&sent.text, "CSeq")
        .first()
        .is_some_and(|cseq| cseq.ends_with(" CANCEL"));
    let what = match first {
        "SIP/2.0" if to_cancel => format!("{} to CANCEL", words.next().unwrap_or_default()),
        "SIP/2.0" => words.next().unwrap_or_default().to_owned(),
        _ => first.to_owned(),
    };
    Effect {
        at_ms: sent.at_ms,
        party: who.map_or_else(|| format!("{:?}", sent.to), name),
        what,
        text: sent.text.clone(),
    }
}
