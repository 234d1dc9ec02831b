//! What would become of a message, in one line.

use serde::{Deserialize, Serialize};
use strowger_syntax::Status;

use super::{MessageSeen, Sent};
use crate::node::trace::{
    BindingUse, BoundTo, CredentialsOutcome, DroppedWhy, GruuKind, Known, ResponseBranch, RoleTaken, Step,
    TransactionFound,
};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The request is forwarded.
    Forwarded,
    /// It is answered here with a success.
    Answered,
    /// It is told where else to ask.
    Redirected,
    /// It is asked for credentials.
    Challenged,
    /// It is refused.
    Refused,
    /// A transaction deals with it.
    Absorbed,
    /// The response goes back to whoever asked.
    PassedBack,
    /// It waits for a device that is pushed.
    Waits,
    /// It is let fall.
    Dropped,
    /// What becomes of it depends on what nobody was asked.
    Undecided,
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What becomes of it.
    pub outcome: Outcome,
    /// The Status-Code of our answer, if there is one that is final.
    pub status: Option<u16>,
    /// The role that is taken for it.
    pub role: Option<RoleTaken>,
    /// All in one line.
    pub line: String,
}

impl Verdict {
    pub(super) fn of(message: &MessageSeen, steps: &[Step], sent: &[Sent]) -> Self {
        let is_answer = |sent: &&Sent| sent.start_line.starts_with("SIP/2.0 ");
        let status = sent
            .iter()
            .filter(is_answer)
            .filter_map(status_of)
            .rfind(|code| *code >= 200);
        let role = steps.iter().rev().find_map(|step| match step {
            Step::Role { role, .. } => Some(*role),
            _ => None,
        });
        let forwarded: Vec<_> = sent.iter().filter(|sent| !is_answer(sent)).collect();
        let outcome = outcome(message, steps, status, &forwarded, sent);
        let line = line(message, outcome, steps, status, &forwarded, sent);
        Self {
            outcome,
            status,
            role,
            line,
        }
    }
}

fn status_of(sent: &Sent) -> Option<u16> {
    sent.start_line.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

fn outcome(
    message: &MessageSeen,
    steps: &[Step],
    status: Option<u16>,
    forwarded: &[&Sent],
    sent: &[Sent],
) -> Outcome {
    let absorbed = |step: &Step| {
        matches!(
            step,
            Step::Transaction {
                found: TransactionFound::Absorbed
                    | TransactionFound::CancelsForwarded
                    | TransactionFound::CancelsLookUp
            } | Step::Response {
                branch: ResponseBranch::Absorbed
            }
        )
    };
    if steps.iter().any(absorbed) {
        return Outcome::Absorbed;
    }
    if !message.request {
        return if sent.is_empty() {
            Outcome::Dropped
        } else {
            Outcome::PassedBack
        };
    }
    match status {
        _ if !forwarded.is_empty() => Outcome::Forwarded,
        None if steps.iter().any(is_push) => Outcome::Waits,
        None if unasked(steps).is_some() => Outcome::Undecided,
        None => Outcome::Dropped,
        Some(401 | 407) => Outcome::Challenged,
        Some(300..=399) => Outcome::Redirected,
        Some(..=299) => Outcome::Answered,
        Some(_) => Outcome::Refused,
    }
}

fn line(
    message: &MessageSeen,
    outcome: Outcome,
    steps: &[Step],
    status: Option<u16>,
    forwarded: &[&Sent],
    sent: &[Sent],
) -> String {
    let what = message
        .start_line
        .strip_suffix(" SIP/2.0")
        .unwrap_or(&message.start_line);
    let answer = match status {
        Some(code) => format!("{code} {}", reason(steps, code)),
        None => String::new(),
    };
    match outcome {
        Outcome::Forwarded => format!("{what} is forwarded to {}", places(forwarded)),
        Outcome::Answered if is_registration(steps) => format!("{what} is carried out and answered {answer}"),
        Outcome::Answered => format!("{what} is answered here with {answer}"),
        Outcome::Redirected => format!("{what} is redirected with {answer}"),
        Outcome::Challenged => format!("{what} is asked for credentials with {answer}{}", because(steps)),
        Outcome::Refused => format!("{what} is refused with {answer}{}", because(steps)),
        Outcome::Absorbed => format!("{what} belongs to a transaction, which deals with it"),
        Outcome::PassedBack => {
            let all: Vec<_> = sent.iter().collect();
            format!("{what} is passed on to {}", places(&all))
        }
        Outcome::Waits => format!("{what} waits for a device, which is pushed"),
        Outcome::Undecided => {
            let user = unasked(steps).unwrap_or_default();
            format!(
                "{what} waits until the server of users is asked for {user}, which an explanation does not do"
            )
        }
        Outcome::Dropped => format!("{what} is dropped: {}", why_dropped(steps)),
    }
}

/// The user for whom a server would have been asked.
fn unasked(steps: &[Step]) -> Option<&str> {
    steps.iter().rev().find_map(|step| match step {
        Step::UserLookUp { user, asked: false } => Some(user.as_str()),
        _ => None,
    })
}

/// What was the matter, if the answer alone does not say it.
fn because(steps: &[Step]) -> String {
    let why = steps.iter().rev().find_map(|step| match step {
        Step::Credentials { outcome, user, .. } => {
            let user = user.as_deref().unwrap_or("nobody");
            Some(match outcome {
                CredentialsOutcome::Right | CredentialsOutcome::RightForAlias => return None,
                CredentialsOutcome::Absent => "it has none".to_owned(),
                CredentialsOutcome::Wrong => format!("wrong password of `{user}`"),
                CredentialsOutcome::UnknownUser => format!("there is no user `{user}`"),
                CredentialsOutcome::Stale => "its nonce is stale".to_owned(),
                CredentialsOutcome::NotOwner => format!("`{user}` does not own the address it speaks for"),
                CredentialsOutcome::Banned => format!("`{user}` is banned there"),
                CredentialsOutcome::Unasked => "its credentials answer no challenge".to_owned(),
                CredentialsOutcome::Malformed(what) => what.clone(),
            })
        }
        Step::AddressAsDomain { domain } => Some(format!(
            "its domain is the server's address, and should be {domain}"
        )),
        Step::NonceCount { fresh: false } => Some("its nonce count was used before".to_owned()),
        Step::Servers { name, servers, .. } if servers.is_empty() => Some(format!("{name} leads nowhere")),
        Step::RelayDenied => Some("strangers may not send to somebody else's host".to_owned()),
        Step::Binding {
            used: BindingUse::NamesUs | BindingUse::NoWay | BindingUse::Unsuited,
            ..
        } => Some("none of its bindings can be reached".to_owned()),
        Step::Insecure { .. } => Some("nothing insecure may be used for a SIPS URI".to_owned()),
        Step::Binding {
            used: BindingUse::NotQueued,
            ..
        } => Some("its device sleeps, and the caller does not want to wait".to_owned()),
        Step::Gruu { instance: None, kind } => Some(match kind {
            GruuKind::Public => "the phone that its GRUU means is not registered".to_owned(),
            GruuKind::Temporary => "its temporary GRUU does not hold any more".to_owned(),
            GruuKind::None => "its Request-URI is no GRUU that was given out here".to_owned(),
        }),
        Step::Address { aor, known, .. } => Some(match known {
            Known::Unlisted => format!("{aor} is no user, and nobody has registered it"),
            Known::User | Known::Alias => format!("{aor} is not registered"),
        }),
        _ => None,
    });
    why.map_or(String::new(), |why| format!(": {why}"))
}

fn is_push(step: &Step) -> bool {
    let used = BindingUse::Pushed;
    matches!(step, Step::Binding { used: seen, .. } if *seen == used)
}

fn is_registration(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Registered { .. }))
}

/// The Reason-Phrase that was given with a status, else the usual one.
fn reason(steps: &[Step], code: u16) -> String {
    let given = steps.iter().rev().find_map(|step| match step {
        Step::Refused { status, reason, .. } if *status == code => Some(reason.clone()),
        _ => None,
    });
    given.unwrap_or_else(|| Status::new(code).reason().to_owned())
}

fn places(sent: &[&Sent]) -> String {
    const NAMED: usize = 3;
    let mut named: Vec<_> = sent
        .iter()
        .take(NAMED)
        .map(|sent| format!("{}:{}", sent.transport, sent.to))
        .collect();
    if sent.len() > NAMED {
        named.push(format!("{} more", sent.len() - NAMED));
    }
    named.join(", ")
}

fn why_dropped(steps: &[Step]) -> String {
    let why = steps.iter().rev().find_map(|step| {
        Some(match step {
            Step::Unusable {
                fault, answerable, ..
            } if *answerable => {
                format!("{fault}, and its source was refused too much to be told")
            }
            Step::Unusable { fault, .. } => format!("{fault}; there is nothing to answer"),
            Step::KeepAlive { stun: None } => "it only keeps its flow open".to_owned(),
            Step::KeepAlive { stun: Some(true) } => "it is no SIP message; STUN answers it".to_owned(),
            Step::KeepAlive { stun: Some(false) } => {
                "it is no SIP message, and none of STUN to be answered".to_owned()
            }
            Step::Response { .. } => "it answers nothing that was sent from here".to_owned(),
            Step::Dropped {
                why: DroppedWhy::AckToOurs,
            } => "it acknowledges an answer of this node, which keeps nothing of it".to_owned(),
            Step::Dropped {
                why: DroppedWhy::Multicast,
            } => "it came by multicast, where only the registrar of its domain whose challenge it meets answers".to_owned(),
            Step::Dropped { why: DroppedWhy::Ack } => "an ACK is never answered".to_owned(),
            Step::Refused { reason, told, .. } if !told => format!("{reason}, which it is not told"),
            Step::Challenged { told: false, .. } => {
                "its source was refused too much to be asked again".to_owned()
            }
            Step::Repeated { pending: true } => {
                "the same is being carried out, and will be answered".to_owned()
            }
            Step::Challenged { .. } | Step::Answered { .. } | Step::Refused { .. } => {
                "the answer would be too large for a datagram to an address that was not proven".to_owned()
            }
            Step::Bound {
                to: BoundTo::Foreign, ..
            } => "there is no way to it".to_owned(),
            _ => return None,
        })
    });
    why.unwrap_or_else(|| "nothing is to be done".to_owned())
}
