//! The layer itself, given the same events.

use std::fmt::Write as _;
use std::net::SocketAddr;

use strowger_sip::memory::Id;
use strowger_sip::transaction::{
    Expired, FailedSend, KeyHasher, Layer, Matched, Patience, Sending, Timers, User,
};
use strowger_sip::{Destination, Failure, Flow, Outbox};
use strowger_syntax::{Index, Limits, Message, Method, Status, Transport};

use crate::reference::back;
use crate::sequence::{self, CSeq, Event, Span, Way};
use crate::{Answer, Effect, Label, What};

/// When a sequence begins, in monotonic milliseconds.
const BEGIN: u64 = 5_000_000;
/// The port of the other way that a response has.
const FALLBACK: u16 = 5062;
const CONNECTION: Flow = Flow {
    shard: 0,
    index: 1,
    generation: 1,
};

pub(crate) struct Subject {
    layer: Layer,
    now_ms: u64,
    out: Outbox,
    hasher: KeyHasher,
    index: Index,
    text: String,
    clients: Vec<Client>,
    servers: Vec<Server>,
}

struct Client {
    id: Id,
    invite: bool,
    token: u64,
}

struct Server {
    id: Id,
    token: u64,
}

impl Subject {
    pub(crate) fn new(timers: Timers) -> Self {
        Self {
            layer: Layer::new(timers),
            now_ms: BEGIN,
            out: Outbox::default(),
            hasher: KeyHasher::new([7; 16]),
            index: Index::default(),
            text: String::new(),
            clients: Vec::new(),
            servers: Vec::new(),
        }
    }

    pub(crate) fn happen(&mut self, number: usize, event: Event, effects: &mut Vec<Effect>) {
        let answer = match event {
            Event::Pass(Span::Ms(ms)) => {
                self.pass(ms, effects);
                None
            }
            Event::Pass(_) => panic!("resolved before"),
            Event::Lag(ms) => {
                self.now_ms += ms;
                None
            }
            Event::Send { invite, reliable } => {
                self.send(invite, reliable);
                None
            }
            Event::Request { branch, method, way } => Some(self.request(branch, method, way)),
            Event::Response { client, code, cseq } => self.response(client, number, code, cseq),
            Event::Cancel { .. }
            | Event::SendFails { .. }
            | Event::Unreachable { .. }
            | Event::GiveUp { .. } => self.client_event(event),
            Event::Answer { server, code } => back(server, self.servers.len()).map(|server| {
                let id = self.servers[server].id;
                Answer::Yes(self.respond(id, server, number, code))
            }),
            Event::AnswerFails { server } => back(server, self.servers.len()).map(|server| {
                let token = self.servers[server].token;
                self.fail(token)
            }),
            Event::Drop { server } => {
                if let Some(server) = back(server, self.servers.len()) {
                    self.layer.drop_server(self.servers[server].id);
                }
                None
            }
            Event::GiveUpAll => {
                self.give_up_all();
                None
            }
        };
        effects.extend(answer.map(Effect::Said));
        self.collect(effects);
        let (servers, clients) = self.layer.counts();
        effects.push(Effect::Live { servers, clients });
    }

    /// What is still there when nothing should be.
    pub(crate) fn left_over(&self) -> Option<String> {
        let (servers, clients) = self.layer.counts();
        let (bytes, deadline) = (self.layer.pool.used_bytes(), self.layer.wheel.next_deadline());
        (servers + clients + bytes > 0 || deadline.is_some()).then(|| {
            format!(
                "left over: {servers} servers, {clients} clients, {bytes} stored bytes, deadline {deadline:?}"
            )
        })
    }

    fn send(&mut self, invite: bool, reliable: bool) {
        let number = self.clients.len();
        let (word, method) = if invite {
            ("INVITE", Method::Invite)
        } else {
            ("MESSAGE", Method::Message)
        };
        write_request(&mut self.text, word, 9, number);
        let (text, user) = (
            &self.text,
            User {
                context: Id {
                    index: number as u32,
                    counter: 1,
                },
                branch: 0,
            },
        );
        let to = if reliable { tcp(5061) } else { udp() };
        let write = |_, out: &mut Vec<u8>| {
            out.extend_from_slice(text.as_bytes());
            0
        };
        let sending = Sending {
            method,
            to,
            user,
            patience: Patience::Usual,
        };
        let id = self.layer.send(sending, self.now_ms, &mut self.out, write);
        let token = self.out.transmits.last().map_or(0, |transmit| transmit.token);
        self.clients.push(Client { id, invite, token });
    }

    fn response(&mut self, client: usize, number: usize, code: u16, cseq: CSeq) -> Option<Answer> {
        let client = back(client, self.clients.len())?;
        let Client { id, invite, .. } = self.clients[client];
        let method = match cseq {
            CSeq::Own if invite => "INVITE",
            CSeq::Own => "MESSAGE",
            CSeq::Cancel => "CANCEL",
            CSeq::Other => "OPTIONS",
        };
        write_response(&mut self.text, method, client, Some(number), code);
        let response = parse(&mut self.index, &self.text);
        let user = self.layer.on_response(id, response, self.now_ms, &mut self.out);
        assert!(
            user.is_none_or(|user| user.context.index as usize == client),
            "another's user"
        );
        Some(Answer::Yes(user.is_some()))
    }

    fn client_event(&mut self, event: Event) -> Option<Answer> {
        let (Event::Cancel { client }
        | Event::SendFails { client }
        | Event::Unreachable { client }
        | Event::GiveUp { client }) = event
        else {
            return None;
        };
        let Client { id, token, .. } = self.clients[back(client, self.clients.len())?];
        match event {
            Event::Cancel { .. } => Some(Answer::Yes(self.layer.cancel(id, self.now_ms, &mut self.out))),
            Event::SendFails { .. } => Some(self.fail(token)),
            Event::Unreachable { .. } => Some(answer_of(self.layer.on_unreachable(id))),
            _ => {
                self.layer.drop_client(id);
                None
            }
        }
    }

    fn fail(&mut self, token: u64) -> Answer {
        let (layer, out) = (&mut self.layer, &mut self.out);
        answer_of(layer.on_send_failed(token, Failure::Refused, self.now_ms, out))
    }

    fn request(&mut self, branch: usize, method: sequence::Method, way: Way) -> Answer {
        let word = match method {
            sequence::Method::Invite => "INVITE",
            sequence::Method::Message => "MESSAGE",
            sequence::Method::Ack => "ACK",
            sequence::Method::Cancel => "CANCEL",
        };
        write_request(&mut self.text, word, branch, 0);
        let request = parse(&mut self.index, &self.text);
        let key = self.hasher.of(request);
        match self.layer.on_request(request, key, self.now_ms, &mut self.out) {
            Matched::Absorbed => return Answer::Absorbed,
            Matched::Cancel(id) => {
                let server = self.servers.iter().position(|server| server.id == id);
                return Answer::Cancels(server.expect("one that was made"));
            }
            Matched::New => {}
        }
        if matches!(method, sequence::Method::Invite | sequence::Method::Message) {
            let to = match way {
                Way::Udp => udp(),
                Way::Tcp => tcp(5061),
                Way::TcpWithFallback => Destination::Flow(CONNECTION),
            };
            let fallback = (way == Way::TcpWithFallback).then(|| tcp(FALLBACK));
            let method = request.method();
            let id = self
                .layer
                .accept(key, method, to, fallback, self.now_ms, &mut self.out);
            self.servers.push(Server { id, token: 0 });
        }
        Answer::New
    }

    fn respond(&mut self, id: Id, server: usize, number: usize, code: u16) -> bool {
        let start = self.out.bytes.len();
        write_response(
            &mut self.text,
            "INVITE",
            server,
            (code != 100).then_some(number),
            code,
        );
        self.out.bytes.extend_from_slice(self.text.as_bytes());
        let sent = self
            .layer
            .respond(id, Status::new(code), start, self.now_ms, &mut self.out);
        if let Some(transmit) = self.out.transmits.last().filter(|_| sent.is_ok()) {
            self.servers[server].token = transmit.token;
        }
        sent.is_ok()
    }

    fn give_up_all(&mut self) {
        self.clients
            .iter()
            .for_each(|client| self.layer.drop_client(client.id));
        for server in &self.servers {
            if !self.layer.is_final(server.id) {
                self.layer.drop_server(server.id);
            }
        }
    }

    fn pass(&mut self, ms: u64, effects: &mut Vec<Effect>) {
        let until = self.now_ms + ms;
        while let Some(next) = self.layer.wheel.next_deadline().filter(|&next| next <= until) {
            self.now_ms = self.now_ms.max(next);
            let at_ms = self.now_ms - BEGIN;
            while let Some(event) = self.layer.expired(self.now_ms, &mut self.out) {
                match event {
                    Expired::Client { user, timed_out, .. } => {
                        let client = user.context.index as usize;
                        effects.push(Effect::Ended {
                            at_ms,
                            client,
                            timed_out,
                        });
                    }
                    Expired::TryingDue(id) => {
                        let server = self.servers.iter().position(|server| server.id == id);
                        let server = server.expect("one that was made");
                        effects.push(Effect::TryingDue { at_ms, server });
                        assert!(self.respond(id, server, 0, 100), "the 100 that is due");
                    }
                    Expired::Ringing(_) => {}
                    Expired::Context(_)
                    | Expired::Call(_)
                    | Expired::Registration(_)
                    | Expired::Waking(_)
                    | Expired::Subscription(_) => panic!("nobody's timer"),
                }
            }
            self.collect(effects);
        }
        self.now_ms = until;
    }

    fn collect(&mut self, effects: &mut Vec<Effect>) {
        for transmit in &self.out.transmits {
            let text = std::str::from_utf8(self.out.message(transmit)).expect("text");
            effects.push(Effect::Sent {
                at_ms: self.now_ms - BEGIN,
                label: label(text),
                fallback: transmit.to == tcp(FALLBACK),
            });
        }
        self.out.clear();
    }
}

fn answer_of(failed: FailedSend) -> Answer {
    match failed {
        FailedSend::Client(user) => Answer::Failed(user.context.index as usize),
        FailedSend::Nobody => Answer::Nobody,
    }
}

fn udp() -> Destination {
    Destination::Datagram {
        listener: 0,
        from: None,
        to: SocketAddr::from(([192, 0, 2, 4], 5061)),
    }
}

fn tcp(port: u16) -> Destination {
    Destination::Connect {
        transport: Transport::Tcp,
        to: SocketAddr::from(([192, 0, 2, 4], port)),
    }
}

fn write_request(text: &mut String, method: &str, branch: usize, call: usize) {
    text.clear();
    let _ = write!(
        text,
        "{method} sip:b@192.0.2.4 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch}\r\n\
         From: <sip:a@x.test>;tag=a\r\nTo: <sip:b@x.test>\r\nCall-ID: {call}\r\nCSeq: 7 {method}\r\n\r\n"
    );
}

fn write_response(text: &mut String, method: &str, call: usize, tag: Option<usize>, code: u16) {
    text.clear();
    let _ = write!(
        text,
        "SIP/2.0 {code} R\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK9\r\nFrom: <sip:a@x.test>;tag=a\r\nTo: <sip:b@x.test>"
    );
    if let Some(tag) = tag {
        let _ = write!(text, ";tag=t{tag}");
    }
    let _ = write!(text, "\r\nCall-ID: {call}\r\nCSeq: 7 {method}\r\n\r\n");
}

fn parse<'a>(index: &'a mut Index, text: &'a str) -> Message<'a> {
    match index.parse(text.as_bytes(), &Limits::DEFAULT) {
        Ok(message) => message,
        Err(bad) => panic!("{bad}: {text}"),
    }
}

fn label(text: &str) -> Label {
    let word = text.split(' ').next().unwrap_or_default();
    let what = match word {
        "INVITE" => What::Invite,
        "MESSAGE" => What::Message,
        "ACK" => What::Ack,
        "CANCEL" => What::Cancel,
        "SIP/2.0" => What::Status(number(&text[8..]).unwrap_or_default() as u16),
        _ => panic!("{text}"),
    };
    let after = |mark: &str| text.find(mark).and_then(|at| number(&text[at + mark.len()..]));
    Label {
        what,
        call: after("Call-ID: ").expect("a Call-ID of ours"),
        tag: after(";tag=t"),
    }
}

fn number(text: &str) -> Option<usize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse().ok()
}
