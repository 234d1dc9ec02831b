//! One user agent's half of a call (RFC 3261 §9, §13, §14, §15).

use super::account::{Account, How, View};
use super::client::{Client, Ended};
use super::dialog::{Dialog, Pen, cseq, tag, value};
use super::script::{Answer, Script, Side};
use super::server::{Server, method};
use super::{NO_ANSWER, Out, T1, T2};
use crate::message::{ack, authorize};

/// How often a caller sends credentials.
const MOST_TRIES: u32 = 3;

/// A half of a call.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) account: Account,
    script: Script,
    dialog: Option<Dialog>,
    clients: Vec<Client>,
    servers: Vec<Server>,
    /// The ACKs that were sent for 2xx, by the To tag and CSeq of these.
    acks: Vec<(String, u32, String)>,
    unacknowledged: Option<Unacknowledged>,
    /// Whether a re-INVITE waits for the end of another one (§14.1).
    refreshes_later: bool,
    /// The next thing that the person at the phone does, and when.
    due: Option<(u64, Act)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    PickUp,
    Refuse(u16),
    GiveUp,
    Refresh,
    HangUp,
}

/// A 2xx to an INVITE, sent until its ACK comes (§13.3.1.4).
#[derive(Debug)]
struct Unacknowledged {
    ok: String,
    cseq: u32,
    resend_at: u64,
    interval: u64,
    until: u64,
}

impl Leg {
    /// A call to somebody.
    pub(super) fn call(
        to: &str,
        call_id: &str,
        script: Script,
        now: u64,
        pen: &mut Pen,
        out: &mut Out,
    ) -> Self {
        let invite = pen.invite(to, call_id, 1);
        let mut leg = Self::new(call_id, pen.number, Side::Caller, script, now);
        leg.clients.push(Client::start(invite, now, out));
        leg.due = Some((now + script.patience, Act::GiveUp));
        leg
    }

    /// A call from somebody: it rings.
    pub(super) fn ring(invite: &str, script: Script, now: u64, pen: &Pen, out: &mut Out) -> Self {
        let mut leg = Self::new(value(invite, "Call-ID"), pen.number, Side::Callee, script, now);
        let mut server = Server::new(invite);
        server.respond(180, pen.response(invite, 180), now, out);
        leg.servers.push(server);
        leg.account.see(View::Ringing, now);
        leg.due = Some(match script.answers[pen.number % 2] {
            Answer::PickUp(after) => (now + after, Act::PickUp),
            Answer::Refuse(after) => (now + after, Act::Refuse(486)),
            Answer::SendOn(after) => (now + after, Act::Refuse(302)),
            Answer::Ring => (now + NO_ANSWER, Act::Refuse(480)),
        });
        leg
    }

    fn new(call_id: &str, phone: usize, side: Side, script: Script, now: u64) -> Self {
        Self {
            account: Account::new(call_id, phone, side, now),
            script,
            dialog: None,
            clients: Vec::new(),
            servers: Vec::new(),
            acks: Vec::new(),
            unacknowledged: None,
            refreshes_later: false,
            due: None,
        }
    }

    /// Whether nothing can happen to it any more.
    pub(super) fn is_done(&self) -> bool {
        self.account.is_over() && self.clients.is_empty() && self.servers.is_empty()
    }

    /// When [`wake`](Self::wake) wants to be called.
    pub(super) fn deadline(&self) -> Option<u64> {
        let clients = self.clients.iter().filter_map(Client::deadline);
        let servers = self.servers.iter().filter_map(Server::deadline);
        let ok = self.unacknowledged.as_ref().map(|ok| ok.resend_at.min(ok.until));
        let due = self.due.map(|(at, _)| at);
        clients.chain(servers).chain(ok).chain(due).min()
    }

    fn become_over(&mut self, how: How, now: u64) {
        self.account.see(View::Over(how), now);
        self.unacknowledged = None;
        self.due = None;
        self.give_up_invites(now);
    }

    /// Nobody may answer what is under way any more: because the call is over, or because answers go to where the phone was.
    fn give_up_invites(&mut self, now: u64) {
        for client in &mut self.clients {
            client.give_up_at(now + 64 * T1);
        }
    }

    /// Sends BYE in the dialog: for who sends it, the call is over (§15.1.1).
    fn bye(&mut self, how: How, now: u64, pen: &mut Pen, out: &mut Out) {
        if let Some(dialog) = &mut self.dialog {
            let bye = dialog.request("BYE", pen);
            self.clients.push(Client::start(bye, now, out));
        }
        self.become_over(how, now);
    }

    /// Talks, and hangs up after a while if that is this side's part.
    fn talk(&mut self, now: u64) {
        self.account.see(View::Talking, now);
        let refreshes = self.script.refreshes && self.account.side == Side::Caller;
        if refreshes {
            self.due = Some((now + self.script.talk / 2, Act::Refresh));
        } else {
            self.hang_up_after(self.script.talk, now);
        }
    }

    fn hang_up_after(&mut self, talk: u64, now: u64) {
        let hangs_up = self.script.hangs_up == self.account.side;
        self.due = hangs_up.then_some((now + talk, Act::HangUp));
    }

    /// The phone has another address. Whom it talks with is told; what has not come to that can't go on, for the way back
    /// through the Vias leads to the old one.
    pub(super) fn moved(&mut self, now: u64, pen: &mut Pen, out: &mut Out) {
        match (self.account.view(), self.account.side) {
            (View::Talking, _) => {
                self.refresh(now, pen, out);
                self.give_up_invites(now);
            }
            (View::Calling | View::Ringing, Side::Caller) => self.act(Act::GiveUp, now, pen, out),
            (View::Calling | View::Ringing, Side::Callee) => self.act(Act::Refuse(480), now, pen, out),
            (View::Answered | View::Over(_), _) => {}
        }
    }

    /// A re-INVITE (§14.1), which also tells this side's contact.
    fn refresh(&mut self, now: u64, pen: &mut Pen, out: &mut Out) {
        let under_way = |client: &Client| client.method() == "INVITE" && client.is_pending();
        self.refreshes_later = self.clients.iter().any(under_way);
        if let (View::Talking, Some(dialog), false) =
            (self.account.view(), &mut self.dialog, self.refreshes_later)
        {
            let invite = dialog.request("INVITE", pen);
            self.clients.push(Client::start(invite, now, out));
        }
    }
}

/// What comes from the network.
impl Leg {
    /// A response.
    pub(super) fn on_response(&mut self, code: u16, text: &str, now: u64, pen: &mut Pen, out: &mut Out) {
        let Some(client) = self.clients.iter_mut().find(|client| client.matches(text)) else {
            return;
        };
        if !client.on_response(code, text, now, out) || client.method() != "INVITE" {
            return;
        }
        let (invite, is_first) = (
            client.request.clone(),
            !value(&client.request, "To").contains(";tag="),
        );
        match code {
            100 => self.cancel_if_wanted(now, out),
            101..200 => {
                if self.account.view() == View::Calling {
                    self.account.see(View::Ringing, now);
                }
                self.cancel_if_wanted(now, out);
            }
            200..300 => self.on_ok(&invite, text, now, pen, out),
            _ if self.account.is_over() => {}
            407 if is_first => self.prove(&invite, text, now, pen, out),
            _ if is_first => self.become_over(How::Refused(code), now),
            // §14.1: the session goes on as it was, unless the dialog is unknown there or nobody answers.
            408 | 481 => self.bye(How::Lost, now, pen, out),
            _ => {}
        }
        if self.refreshes_later && code >= 200 {
            self.refresh(now, pen, out);
        }
    }

    /// A challenge: the INVITE once more, with credentials (§22.3). What was wrong, or was used up meanwhile, is not tried
    /// for ever.
    fn prove(&mut self, invite: &str, challenge: &str, now: u64, pen: &mut Pen, out: &mut Out) {
        let tried = cseq(invite);
        if tried > MOST_TRIES {
            return self.become_over(How::Refused(407), now);
        }
        let to = value(invite, "To").trim_matches(['<', '>']);
        let again = pen.invite(to, &self.account.call_id, tried + 1);
        let again = authorize(&again, challenge, &pen.user, 1);
        self.clients.push(Client::start(again, now, out));
    }

    /// A 2xx to an INVITE: acknowledged whenever it comes (§13.2.2.4). Beyond the first dialog none is kept.
    fn on_ok(&mut self, invite: &str, ok: &str, now: u64, pen: &mut Pen, out: &mut Out) {
        let key = (tag(value(ok, "To")), cseq(ok));
        if let Some((.., ack)) = self.acks.iter().find(|(tag, cseq, _)| (&**tag, *cseq) == key) {
            out.push(ack.clone());
            return;
        }
        let known = self.dialog.as_mut().filter(|dialog| tag(&dialog.remote) == key.0);
        if let Some(dialog) = known {
            dialog.refresh(ok);
            let ack = dialog.ack(key.1, pen);
            return self.acknowledge(key, ack, out);
        }
        let mut dialog = Dialog::of_caller(invite, ok);
        let ack = dialog.ack(key.1, pen);
        self.acknowledge(key, ack, out);
        if matches!(self.account.view(), View::Calling | View::Ringing) {
            self.dialog = Some(dialog);
            self.talk(now);
        } else {
            let bye = dialog.request("BYE", pen);
            self.clients.push(Client::start(bye, now, out));
        }
    }

    fn acknowledge(&mut self, (tag, cseq): (&str, u32), ack: String, out: &mut Out) {
        self.acks.push((tag.to_owned(), cseq, ack.clone()));
        out.push(ack);
    }

    /// A request.
    pub(super) fn on_request(&mut self, text: &str, now: u64, pen: &mut Pen, out: &mut Out) {
        if let Some(server) = self.servers.iter_mut().find(|server| server.matches(text)) {
            return server.on_request(text, now, out);
        }
        let from = tag(value(text, "From"));
        let peer = self.dialog.as_ref().map(|dialog| tag(&dialog.remote));
        let is_peer = peer == Some(from) && !self.account.is_over();
        // §12.2.2: what was overtaken by a later request of the dialog.
        let counts = is_peer && !matches!(method(text), "ACK" | "CANCEL");
        let dialog = self.dialog.as_mut().filter(|_| counts);
        if dialog.is_some_and(|dialog| !dialog.hears(cseq(text))) {
            return self.answer(text, 500, now, pen, out);
        }
        match method(text) {
            "ACK" => self.on_ack(text, now),
            "CANCEL" => self.on_cancel(text, now, pen, out),
            "BYE" if is_peer => {
                self.answer(text, 200, now, pen, out);
                self.become_over(How::PeerHungUp, now);
            }
            // Of a second one that picked up, and was sent a BYE.
            "BYE" if self.acks.iter().any(|(tag, ..)| tag == from) => self.answer(text, 200, now, pen, out),
            "INVITE" if value(text, "To").contains(";tag=") && is_peer => {
                self.on_reinvite(text, now, pen, out);
            }
            // §8.2.2.2: the same request by another way.
            "INVITE" if !value(text, "To").contains(";tag=") => self.answer(text, 482, now, pen, out),
            _ => self.answer(text, 481, now, pen, out),
        }
    }

    fn answer(&mut self, request: &str, code: u16, now: u64, pen: &Pen, out: &mut Out) {
        let mut server = Server::new(request);
        server.respond(code, pen.response(request, code), now, out);
        self.servers.push(server);
    }

    fn on_ack(&mut self, text: &str, now: u64) {
        if self.unacknowledged.take_if(|ok| ok.cseq == cseq(text)).is_some()
            && self.account.view() == View::Answered
        {
            self.talk(now);
        }
    }

    fn on_cancel(&mut self, cancel: &str, now: u64, pen: &Pen, out: &mut Out) {
        let Some(at) = self
            .servers
            .iter()
            .position(|server| server.is_cancelled_by(cancel))
        else {
            return self.answer(cancel, 481, now, pen, out);
        };
        self.answer(cancel, 200, now, pen, out);
        let invite = &mut self.servers[at];
        if invite.is_open_invite() {
            let response = pen.response(&invite.request, 487);
            invite.respond(487, response, now, out);
            self.become_over(How::Cancelled, now);
        }
    }

    /// §14.2. Its sender has got our 2xx, or it could not know the dialog.
    fn on_reinvite(&mut self, text: &str, now: u64, pen: &Pen, out: &mut Out) {
        let Some(dialog) = &mut self.dialog else {
            return self.answer(text, 481, now, pen, out);
        };
        dialog.refresh(text);
        if self.account.view() == View::Answered {
            self.talk(now);
        }
        self.answer(text, 200, now, pen, out);
        self.repeat_ok(text, pen.response(text, 200), now);
    }

    fn repeat_ok(&mut self, invite: &str, ok: String, now: u64) {
        self.unacknowledged = Some(Unacknowledged {
            ok,
            cseq: cseq(invite),
            resend_at: now + T1,
            interval: T1,
            until: now + 64 * T1,
        });
    }
}

/// What the person at the phone does.
impl Leg {
    fn act(&mut self, act: Act, now: u64, pen: &mut Pen, out: &mut Out) {
        self.account.acts(now);
        match act {
            Act::PickUp => self.pick_up(now, pen, out),
            Act::Refuse(code) => {
                if let Some(invite) = self.servers.iter_mut().find(|server| server.is_open_invite()) {
                    let response = pen.response(&invite.request, code);
                    invite.respond(code, response, now, out);
                    self.become_over(How::Refused(code), now);
                }
            }
            Act::GiveUp => {
                self.become_over(How::Cancelled, now);
                self.cancel_if_wanted(now, out);
            }
            Act::Refresh => {
                self.refresh(now, pen, out);
                self.hang_up_after(self.script.talk / 2, now);
            }
            Act::HangUp => self.bye(How::HungUp, now, pen, out),
        }
    }

    fn pick_up(&mut self, now: u64, pen: &Pen, out: &mut Out) {
        let Some(server) = self.servers.iter_mut().find(|server| server.is_open_invite()) else {
            return;
        };
        let invite = server.request.clone();
        let ok = pen.response(&invite, 200);
        server.respond(200, ok.clone(), now, out);
        self.dialog = Some(Dialog::of_callee(&invite, &ok));
        self.repeat_ok(&invite, ok, now);
        self.account.see(View::Answered, now);
    }

    /// The CANCEL of a caller who has given up, once a provisional response allows it (§9.1).
    fn cancel_if_wanted(&mut self, now: u64, out: &mut Out) {
        if self.account.view() != View::Over(How::Cancelled)
            || self.clients.iter().any(|client| client.method() == "CANCEL")
        {
            return;
        }
        let Some(invite) = self.clients.iter().find(|client| client.may_cancel()) else {
            return;
        };
        // The To field stays as it is, and everything else but the method (§9.1).
        let cancel = ack(&invite.request, &invite.request).replace("ACK", "CANCEL");
        self.clients.push(Client::start(cancel, now, out));
    }
}

/// Time.
impl Leg {
    /// Time has passed.
    pub(super) fn wake(&mut self, now: u64, pen: &mut Pen, out: &mut Out) {
        if let Some((_, act)) = self.due.take_if(|(at, _)| *at <= now) {
            self.act(act, now, pen, out);
        }
        let mut timed_out = Vec::new();
        self.clients.retain_mut(|client| match client.wake(now, out) {
            Ended::Not => true,
            Ended::Done => false,
            Ended::TimedOut => {
                timed_out.push(client.request.clone());
                false
            }
        });
        for request in timed_out {
            self.on_timeout(&request, now, pen, out);
        }
        self.servers.retain_mut(|server| server.wake(now, out));
        self.repeat_or_give_up(now, pen, out);
    }

    fn on_timeout(&mut self, request: &str, now: u64, pen: &mut Pen, out: &mut Out) {
        if method(request) != "INVITE" || self.account.is_over() {
            return;
        }
        if value(request, "To").contains(";tag=") {
            self.bye(How::Lost, now, pen, out);
        } else {
            self.become_over(How::TimedOut, now);
        }
    }

    /// The 2xx again, or BYE when its ACK never came (§13.3.1.4).
    fn repeat_or_give_up(&mut self, now: u64, pen: &mut Pen, out: &mut Out) {
        let Some(waiting) = &mut self.unacknowledged else {
            return;
        };
        if waiting.until <= now {
            self.bye(How::Unacknowledged, now, pen, out);
        } else if waiting.resend_at <= now {
            out.push(waiting.ok.clone());
            waiting.interval = T2.min(waiting.interval * 2);
            waiting.resend_at = now + waiting.interval;
        }
    }
}
