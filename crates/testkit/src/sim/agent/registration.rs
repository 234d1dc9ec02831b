//! A user agent's registration (RFC 3261 §10.2): made, refreshed, removed, and moved with the phone.

use super::client::{Client, Ended};
use super::dialog::Pen;
use super::{Out, S};
use crate::message::{authorize, lines};

/// How long a phone waits before it tries again what has failed.
const AGAIN: u64 = 5 * S;

/// What a phone believes of its registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Out,
    /// There is one until then, in nanoseconds since the simulation began.
    In(u64),
    /// It was not told yet.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Registration {
    call_id: String,
    cseq: u32,
    client: Option<Client>,
    pub(super) standing: Standing,
    wanted: Wanted,
    /// Contacts of addresses that the phone has left, until they are known to be gone.
    left: Vec<String>,
    /// Whether to refresh it in time.
    pub(super) refreshes: bool,
    next_at: Option<u64>,
    /// How many requests were answered with 200, and how many with anything else but a first challenge.
    pub(super) answered: (u32, u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Nothing,
    In { expires: u32 },
    Out,
}

impl Registration {
    pub(super) fn new(number: usize) -> Self {
        Self {
            call_id: format!("reg{number}"),
            cseq: 0,
            client: None,
            standing: Standing::Out,
            wanted: Wanted::Nothing,
            left: Vec::new(),
            refreshes: true,
            next_at: None,
            answered: (0, 0),
        }
    }

    pub(super) fn owns(&self, response: &str) -> bool {
        self.client
            .as_ref()
            .is_some_and(|client| client.matches(response))
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.client.is_none()
    }

    pub(super) fn is_sure(&self) -> bool {
        !self.is_under_way() && self.standing != Standing::Unknown
    }

    /// The phone is to be registered for so many seconds at a time.
    pub(super) fn want_in(&mut self, expires: u32, now: u64) {
        self.wanted = Wanted::In { expires };
        self.next_at = Some(now);
    }

    /// The phone is to be registered no more.
    pub(super) fn want_out(&mut self, now: u64) {
        self.wanted = Wanted::Out;
        self.next_at = Some(now);
    }

    /// The phone has moved: this was its contact.
    pub(super) fn leave(&mut self, contact: String, now: u64) {
        self.left.push(contact);
        if let Wanted::In { .. } = self.wanted {
            self.next_at = Some(now);
        }
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        // One at a time (§10.2).
        let next = self.next_at.filter(|_| !self.is_under_way());
        let client = self.client.as_ref().and_then(Client::deadline);
        next.into_iter().chain(client).min()
    }

    fn is_under_way(&self) -> bool {
        self.client.as_ref().is_some_and(Client::is_pending)
    }

    pub(super) fn wake(&mut self, now: u64, pen: &mut Pen, out: &mut Out) {
        match self
            .client
            .as_mut()
            .map_or(Ended::Not, |client| client.wake(now, out))
        {
            Ended::Not => {}
            Ended::Done => self.client = None,
            Ended::TimedOut => {
                self.client = None;
                self.standing = Standing::Unknown;
                self.next_at = Some(now + AGAIN);
            }
        }
        if !self.is_under_way() && self.next_at.take_if(|at| *at <= now).is_some() {
            self.send(now, pen, out);
        }
    }

    fn request(&mut self, pen: &mut Pen) -> Option<String> {
        let expires = match self.wanted {
            Wanted::Nothing => return None,
            Wanted::In { expires } => expires,
            Wanted::Out => 0,
        };
        let contact = pen.contact();
        let q = pen.rank.map_or(String::new(), |q| format!(";q={q}"));
        let mut contacts = format!("Contact: <{contact}>;expires={expires}{q}\r\n");
        for left in self.left.iter().filter(|left| **left != contact) {
            contacts += &removal(left);
        }
        self.cseq += 1;
        Some(pen.register(&self.call_id, self.cseq, &contacts))
    }

    fn send(&mut self, now: u64, pen: &mut Pen, out: &mut Out) {
        if let Some(request) = self.request(pen) {
            self.client = Some(Client::start(request, now, out));
        }
    }

    pub(super) fn on_response(&mut self, code: u16, text: &str, now: u64, pen: &mut Pen, out: &mut Out) {
        let Some(client) = &mut self.client else { return };
        if !client.on_response(code, text, now, out) || code < 200 {
            return;
        }
        let request = client.request.clone();
        let asked_again = request.contains("Authorization: ");
        match code {
            200 => {
                self.left.retain(|left| !request.contains(&removal(left)));
                self.on_ok(text, now, pen);
            }
            401 if !asked_again => {
                if let Some(request) = self.request(pen) {
                    let request = authorize(&request, text, &pen.user, 1);
                    self.client = Some(Client::start(request, now, out));
                }
            }
            _ => {
                self.answered.1 += 1;
                self.standing = Standing::Unknown;
                self.next_at = Some(now + AGAIN);
            }
        }
    }

    /// The 200 lists all bindings (§10.3 step 8); what it says of ours counts.
    fn on_ok(&mut self, text: &str, now: u64, pen: &Pen) {
        self.answered.0 += 1;
        let ours = format!("<{}>", pen.contact());
        let bindings = lines(text, "Contact");
        let expires = bindings
            .iter()
            .flat_map(|line| line.split(','))
            .find_map(|binding| {
                let params = binding.trim().strip_prefix(&ours)?;
                params
                    .split("expires=")
                    .nth(1)?
                    .split(';')
                    .next()?
                    .trim()
                    .parse::<u64>()
                    .ok()
            });
        self.standing = expires.map_or(Standing::Out, |seconds| Standing::In(now + seconds * S));
        self.next_at = match (self.wanted, expires) {
            (Wanted::In { .. }, Some(seconds)) if self.refreshes => Some(now + seconds * S / 2),
            (Wanted::Out, None) | (Wanted::Nothing, _) | (Wanted::In { .. }, Some(_)) => None,
            // Not what was asked for: another request was served in between.
            (Wanted::In { .. }, None) | (Wanted::Out, Some(_)) => Some(now),
        };
    }
}

fn removal(contact: &str) -> String {
    format!("Contact: <{contact}>;expires=0\r\n")
}
