//! A user agent's dialogs (RFC 3261 §12), and the requests and responses that it writes.

use std::net::SocketAddr;

use crate::message::lines;

/// Who writes: the address in Via and Contact, and a source of branches and tags.
#[derive(Debug)]
pub(super) struct Pen {
    pub(super) number: usize,
    pub(super) user: String,
    /// Another user, to whom calls are sent on.
    pub(super) friend: String,
    /// The `q` with which it registers.
    pub(super) rank: Option<&'static str>,
    pub(super) address: SocketAddr,
    written: u32,
}

/// One peer's side of a dialog.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    call_id: String,
    /// Our From or To value with its tag, and theirs.
    local: String,
    pub(super) remote: String,
    target: String,
    routes: Vec<String>,
    cseq: u32,
    /// The number of the last request of theirs.
    heard: u32,
}

impl Dialog {
    /// The caller's, from the INVITE and its 2xx (§12.1.2).
    pub(super) fn of_caller(invite: &str, ok: &str) -> Self {
        let mut routes = values(ok, "Record-Route");
        routes.reverse();
        Self {
            call_id: value(invite, "Call-ID").to_owned(),
            local: value(invite, "From").to_owned(),
            remote: value(ok, "To").to_owned(),
            target: contact(ok),
            routes,
            cseq: cseq(invite),
            heard: 0,
        }
    }

    /// The callee's, from the INVITE and the 2xx that it has written (§12.1.1).
    pub(super) fn of_callee(invite: &str, ok: &str) -> Self {
        Self {
            call_id: value(invite, "Call-ID").to_owned(),
            local: value(ok, "To").to_owned(),
            remote: value(invite, "From").to_owned(),
            target: contact(invite),
            routes: values(invite, "Record-Route"),
            cseq: 0,
            heard: cseq(invite),
        }
    }

    /// Whether a request with this number comes in its order (§12.2.2).
    pub(super) fn hears(&mut self, cseq: u32) -> bool {
        let in_order = cseq > self.heard;
        self.heard = self.heard.max(cseq);
        in_order
    }

    /// A target refresh (§12.2): requests go to this message's contact from now on.
    pub(super) fn refresh(&mut self, message: &str) {
        self.target = contact(message);
    }

    /// A request within the dialog (§12.2.1.1).
    pub(super) fn request(&mut self, method: &str, pen: &mut Pen) -> String {
        self.cseq += 1;
        self.write(method, self.cseq, pen)
    }

    /// The ACK to the 2xx that an INVITE with this number got (§13.2.2.4).
    pub(super) fn ack(&self, cseq: u32, pen: &mut Pen) -> String {
        self.write("ACK", cseq, pen)
    }

    fn write(&self, method: &str, cseq: u32, pen: &mut Pen) -> String {
        // Without a record of the proxy the dialog would go on past it, which the node's rules exclude.
        assert!(!self.routes.is_empty(), "no route was recorded: {self:?}");
        let routes: String = self.routes.iter().map(|r| format!("Route: {r}\r\n")).collect();
        let (via, contact) = (pen.via(), pen.contact());
        let Self {
            call_id,
            local,
            remote,
            target,
            ..
        } = self;
        format!(
            "{method} {target} SIP/2.0\r\n{via}Max-Forwards: 70\r\n{routes}From: {local}\r\nTo: {remote}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <{contact}>\r\nContent-Length: 0\r\n\r\n"
        )
    }
}

impl Pen {
    pub(super) fn new(
        number: usize,
        [user, friend]: [String; 2],
        rank: Option<&'static str>,
        address: SocketAddr,
    ) -> Self {
        Self {
            number,
            user,
            friend,
            rank,
            address,
            written: 0,
        }
    }

    fn via(&mut self) -> String {
        self.written += 1;
        let (address, number, n) = (self.address, self.number, self.written);
        format!("Via: SIP/2.0/UDP {address};rport;branch=z9hG4bKp{number}n{n}\r\n")
    }

    pub(super) fn contact(&self) -> String {
        format!("sip:{}@{}", self.user, self.address)
    }

    pub(super) fn aor(&self) -> String {
        format!("sip:{}@example.test", self.user)
    }

    /// An INVITE outside of any dialog.
    pub(super) fn invite(&mut self, to: &str, call_id: &str, cseq: u32) -> String {
        let (via, aor, number, contact) = (self.via(), self.aor(), self.number, self.contact());
        format!(
            "INVITE {to} SIP/2.0\r\n{via}Max-Forwards: 70\r\nFrom: <{aor}>;tag=f{number}\r\nTo: <{to}>\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} INVITE\r\nContact: <{contact}>\r\nContent-Length: 0\r\n\r\n"
        )
    }

    /// A REGISTER (§10.2). `contacts` are whole header field lines.
    pub(super) fn register(&mut self, call_id: &str, cseq: u32, contacts: &str) -> String {
        let (via, aor, number) = (self.via(), self.aor(), self.number);
        format!(
            "REGISTER sip:example.test SIP/2.0\r\n{via}Max-Forwards: 70\r\nFrom: <{aor}>;tag=r{number}\r\n\
             To: <{aor}>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\n{contacts}Content-Length: 0\r\n\r\n"
        )
    }

    /// The answer to a request (§8.2.6).
    pub(super) fn response(&self, request: &str, code: u16) -> String {
        let copied = |name: &str| -> String {
            let lines = lines(request, name);
            lines.iter().map(|value| format!("{name}: {value}\r\n")).collect()
        };
        let (vias, from, call_id, cseq) = (copied("Via"), copied("From"), copied("Call-ID"), copied("CSeq"));
        let to = value(request, "To");
        let tag = if to.contains(";tag=") || code == 100 {
            String::new()
        } else {
            format!(";tag=t{}", self.number)
        };
        let dialog = match code {
            302 => format!("Contact: <sip:{}@example.test>\r\n", self.friend),
            _ if request.starts_with("INVITE ") && code < 300 => {
                format!("{}Contact: <{}>\r\n", copied("Record-Route"), self.contact())
            }
            _ => String::new(),
        };
        format!(
            "SIP/2.0 {code} Said\r\n{vias}{from}To: {to}{tag}\r\n{call_id}{cseq}{dialog}Content-Length: 0\r\n\r\n"
        )
    }
}

/// The value of a header field that is there once.
pub(in super::super) fn value<'t>(text: &'t str, name: &str) -> &'t str {
    lines(text, name).first().copied().unwrap_or_default()
}

/// The tag of a From or To value.
pub(super) fn tag(value: &str) -> &str {
    value.split(";tag=").nth(1).unwrap_or_default()
}

/// The number of CSeq.
pub(super) fn cseq(text: &str) -> u32 {
    let number = value(text, "CSeq").split(' ').next();
    number.and_then(|n| n.parse().ok()).unwrap_or_default()
}

fn values(text: &str, name: &str) -> Vec<String> {
    lines(text, name).into_iter().map(str::to_owned).collect()
}

fn contact(text: &str) -> String {
    value(text, "Contact").trim_matches(['<', '>']).to_owned()
}
