//! User agents of the testkit's own: phones that make and take calls and register. They share no code with the node
//! but the words of the messages, so that an error is not made twice.

mod account;
mod client;
mod dialog;
mod leg;
mod registration;
mod script;
mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;

pub use account::{Account, How, View};
pub use registration::Standing;
pub use script::{Answer, Script, Side};

use super::{MS, S};
use crate::message::start_line;
use dialog::Pen;
pub(super) use dialog::value;
use leg::Leg;
use registration::Registration;
use server::method;

/// The timers' values (RFC 3261 §17.1.1.1), in nanoseconds.
pub const T1: u64 = 500 * MS;
const T2: u64 = 4 * S;
const T4: u64 = 5 * S;

/// How long a phone rings when nobody is there.
const NO_ANSWER: u64 = 60 * S;

/// What a phone sends, in order: all of it to the node.
type Out = Vec<String>;

/// A phone.
#[derive(Debug)]
pub(super) struct Phone {
    pen: Pen,
    registration: Registration,
    legs: BTreeMap<String, Leg>,
    /// Calls that nothing can happen to any more.
    past: Vec<Account>,
}

impl Phone {
    /// The phone of a user, who sends calls on to a friend. `rank` is the `q` with which it registers.
    pub(super) fn new(
        number: usize,
        names: [String; 2],
        rank: Option<&'static str>,
        address: SocketAddr,
    ) -> Self {
        Self {
            pen: Pen::new(number, names, rank, address),
            registration: Registration::new(number),
            legs: BTreeMap::new(),
            past: Vec::new(),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.pen.address
    }

    pub(super) fn aor(&self) -> String {
        self.pen.aor()
    }

    pub(super) fn contact(&self) -> String {
        self.pen.contact()
    }

    pub(super) fn standing(&self) -> Standing {
        self.registration.standing
    }

    /// Whether it knows whether it is registered.
    pub(super) fn is_sure(&self) -> bool {
        self.registration.is_sure()
    }

    pub(super) fn answered(&self) -> (u32, u32) {
        self.registration.answered
    }

    /// The accounts of all its calls.
    pub(super) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.past.iter().chain(self.legs.values().map(|leg| &leg.account))
    }

    /// Whether it has no transaction and no call.
    pub(super) fn is_quiet(&self) -> bool {
        self.legs.is_empty() && self.registration.is_quiet()
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        let legs = self.legs.values().filter_map(Leg::deadline);
        legs.chain(self.registration.deadline()).min()
    }

    pub(super) fn call(&mut self, to: &str, call_id: &str, script: Script, now: u64, out: &mut Out) {
        let leg = Leg::call(to, call_id, script, now, &mut self.pen, out);
        self.legs.insert(call_id.to_owned(), leg);
    }

    pub(super) fn register(&mut self, expires: u32, now: u64) {
        self.registration.refreshes = true;
        self.registration.want_in(expires, now);
    }

    pub(super) fn register_once(&mut self, expires: u32, now: u64) {
        self.registration.refreshes = false;
        self.registration.want_in(expires, now);
    }

    pub(super) fn unregister(&mut self, now: u64) {
        self.registration.want_out(now);
    }

    /// The phone has another address from now on: it says so to the registrar and to those that it talks with.
    pub(super) fn move_to(&mut self, address: SocketAddr, now: u64, out: &mut Out) {
        let left = self.pen.contact();
        self.pen.address = address;
        self.registration.leave(left, now);
        for leg in self.legs.values_mut() {
            leg.moved(now, &mut self.pen, out);
        }
    }

    /// A datagram came. `script` says what is done when it rings.
    pub(super) fn receive(&mut self, text: &str, script: Script, now: u64, out: &mut Out) {
        let call_id = value(text, "Call-ID");
        if let Some(status) = start_line(text).strip_prefix("SIP/2.0 ") {
            let code = status[..3].parse().expect("a status code");
            if self.registration.owns(text) {
                self.registration.on_response(code, text, now, &mut self.pen, out);
            } else if let Some(leg) = self.legs.get_mut(call_id) {
                leg.on_response(code, text, now, &mut self.pen, out);
            }
        } else if let Some(leg) = self.legs.get_mut(call_id) {
            leg.on_request(text, now, &mut self.pen, out);
        } else if method(text) == "INVITE" && !value(text, "To").contains(";tag=") {
            let leg = Leg::ring(text, script, now, &self.pen, out);
            self.legs.insert(call_id.to_owned(), leg);
        } else if method(text) != "ACK" {
            out.push(self.pen.response(text, 481));
        }
    }

    /// Time has passed.
    pub(super) fn wake(&mut self, now: u64, out: &mut Out) {
        self.registration.wake(now, &mut self.pen, out);
        for leg in self.legs.values_mut() {
            leg.wake(now, &mut self.pen, out);
        }
        let done = self.legs.extract_if(.., |_, leg| leg.is_done());
        self.past.extend(done.map(|(_, leg)| leg.account));
    }
}
