//! A SIP element of the test's own: one socket that sends hand-written messages and looks at what arrives.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::Message;
use crate::digest::Answer;
use crate::message::fresh;

/// How long a peer waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(8);

/// What keeps a way open.
const PING: &[u8] = b"\r\n\r\n";
/// How long the answer to one may take (RFC 5626 §4.4.1).
const PONG_LIMIT: Duration = Duration::from_secs(10);

/// Keeps a way open as long as it is there.
#[derive(Debug)]
pub struct KeepAlive(#[expect(dead_code, reason = "its end is told by dropping it")] Sender<()>);

impl KeepAlive {
    fn start(mut send: Box<dyn FnMut() + Send>, every: Duration) -> Self {
        let (kept, end) = channel();
        std::thread::spawn(move || {
            while end.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                send();
            }
        });
        Self(kept)
    }
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Tcp(RefCell<TcpStream>),
}

/// The element.
#[derive(Debug)]
pub struct Peer {
    socket: Socket,
    server: SocketAddr,
    local: SocketAddr,
    /// What has arrived over TCP and is not a whole message yet.
    partial: RefCell<Vec<u8>>,
    waiting: RefCell<VecDeque<Message>>,
    /// What has arrived before: repeats by UDP are left out.
    seen: RefCell<HashSet<String>>,
    /// What it has sent last, for messages of failing tests.
    sent: RefCell<Vec<u8>>,
    /// All datagrams that have arrived, if it is to remember them.
    heard: Option<RefCell<Vec<Vec<u8>>>>,
}

impl Peer {
    /// A peer with a UDP socket on 127.0.0.1, for this server.
    #[track_caller]
    pub fn udp(server: SocketAddr) -> Self {
        Self::udp_at("127.0.0.1:0", server)
    }

    /// A peer with a UDP socket at this address.
    #[track_caller]
    pub fn udp_at(address: &str, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let local = socket.local_addr().expect("a bound socket has an address");
        Self::new(Socket::Udp(socket), server, local)
    }

    /// A peer with a TCP connection to this server.
    #[track_caller]
    pub fn tcp(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap_or_else(|error| panic!("tcp {server}: {error}"));
        stream.set_nodelay(true).expect("an option of TCP");
        let local = stream.local_addr().expect("a connection has an address");
        Self::new(Socket::Tcp(RefCell::new(stream)), server, local)
    }

    fn new(socket: Socket, server: SocketAddr, local: SocketAddr) -> Self {
        Self {
            socket,
            server,
            local,
            partial: RefCell::default(),
            waiting: RefCell::default(),
            seen: RefCell::default(),
            sent: RefCell::default(),
            heard: None,
        }
    }

    /// The same, which remembers all datagrams that arrive.
    #[must_use]
    pub fn remembering(mut self) -> Self {
        self.heard = Some(RefCell::default());
        self
    }

    /// The datagrams that have arrived and been read, if it is to remember them.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        let heard = self.heard.as_ref().map(|heard| heard.borrow().clone());
        heard.unwrap_or_default()
    }

    /// Keeps the way between it and the server open, with empty lines (RFC 5626 §3.5.1), until what is returned is dropped.
    #[must_use]
    pub fn keep_alive(&self, every: Duration) -> KeepAlive {
        let server = self.server;
        let send: Box<dyn FnMut() + Send> = match &self.socket {
            Socket::Udp(socket) => {
                let socket = socket.try_clone().expect("another handle");
                Box::new(move || _ = socket.send_to(PING, server))
            }
            Socket::Tcp(stream) => {
                let mut stream = stream.borrow().try_clone().expect("another handle");
                Box::new(move || _ = stream.write_all(PING))
            }
        };
        KeepAlive::start(send, every)
    }

    /// Asks by STUN from which address its datagrams come (RFC 5626 §4.4.2): the XOR-MAPPED-ADDRESS of the answer (RFC 5389 §15.2).
    #[track_caller]
    pub fn ask_stun(&self) -> SocketAddr {
        let Socket::Udp(socket) = &self.socket else {
            panic!("by UDP only");
        };
        let request = *b"\0\x01\0\0\x21\x12\xa4\x42which are we";
        socket.send_to(&request, self.server).expect("a datagram");
        socket.set_read_timeout(Some(PONG_LIMIT)).expect("a time limit");
        let mut buffer = [0; 2048];
        loop {
            let count = socket.recv(&mut buffer).expect("an answer by STUN");
            let answer = &buffer[..count];
            if !answer.starts_with(&[1, 1]) {
                self.waiting.borrow_mut().extend(Message::parse(answer));
                continue;
            }
            assert_eq!(answer[4..20], request[4..], "the answer to another request");
            let at = answer
                .windows(6)
                .position(|window| window == [0, 0x20, 0, 8, 0, 1]);
            let [port @ .., a, b, c, d]: [u8; 6] = *at
                .and_then(|at| answer[at + 6..].first_chunk())
                .unwrap_or_else(|| panic!("no mapped address in {answer:?}"));
            let cookie = [0x21, 0x12, 0xa4, 0x42];
            let mut ip = [a, b, c, d];
            ip.iter_mut().zip(cookie).for_each(|(byte, mask)| *byte ^= mask);
            return SocketAddr::from((ip, u16::from_be_bytes(port) ^ 0x2112));
        }
    }

    /// Sends a ping over TCP and awaits its pong (RFC 5626 §4.4.1), while nothing else comes.
    #[track_caller]
    pub fn ask_pong(&self) {
        let Socket::Tcp(stream) = &self.socket else {
            panic!("by TCP only");
        };
        let mut stream = stream.borrow_mut();
        stream.write_all(PING).expect("the connection is open");
        stream.set_read_timeout(Some(PONG_LIMIT)).expect("a time limit");
        let mut pong = [0; 2];
        stream.read_exact(&mut pong).expect("a pong");
        assert_eq!(pong, *b"\r\n");
    }

    /// Its own address.
    pub fn address(&self) -> SocketAddr {
        self.local
    }

    /// The transport's name as Via spells it.
    pub fn transport(&self) -> &'static str {
        match self.socket {
            Socket::Udp(_) => "UDP",
            Socket::Tcp(_) => "TCP",
        }
    }

    /// A URI that leads to it.
    pub fn uri(&self, user: &str) -> String {
        match self.socket {
            Socket::Udp(_) => format!("sip:{user}@{}", self.local),
            Socket::Tcp(_) => format!("sip:{user}@{};transport=tcp", self.local),
        }
    }

    /// A Via for a request of its own, with a fresh branch.
    pub fn via(&self) -> String {
        format!(
            "SIP/2.0/{} {};branch={};rport",
            self.transport(),
            self.local,
            fresh("z9hG4bK")
        )
    }

    /// A request outside of a dialog. `from` and `to` are address-of-record URIs.
    pub fn request(&self, method: &str, uri: &str, from: &str, to: &str) -> Message {
        let user = from.split(['@', ':']).nth(1).unwrap_or("x");
        Message::request(method, uri)
            .with("Via", self.via())
            .with("Max-Forwards", "70")
            .with("From", format!("<{from}>;tag={}", fresh("f")))
            .with("To", format!("<{to}>"))
            .with("Call-ID", fresh("call"))
            .with("CSeq", format!("1 {method}"))
            .with("Contact", format!("<{}>", self.uri(user)))
    }

    /// A REGISTER that binds this peer's address to an address-of-record.
    pub fn register(&self, aor: &str, expires: u32) -> Message {
        let domain = aor.split('@').nth(1).unwrap_or_default();
        self.request("REGISTER", &format!("sip:{domain}"), aor, aor)
            .with("Expires", expires.to_string())
    }

    /// The next request of the dialog that `request` and its answer made; the request's sender sends it.
    #[track_caller]
    pub fn within(&self, method: &str, request: &Message, response: &Message) -> Message {
        let target = response
            .get("Contact")
            .map_or_else(|| request.uri(), crate::message::uri_of);
        let number = if method == "ACK" {
            request.cseq()
        } else {
            request.cseq() + 1
        };
        let mut message = Message::request(method, target)
            .with("Via", self.via())
            .with("Max-Forwards", "70");
        // RFC 3261 §12.1.2: the caller's route set is Record-Route in reverse order.
        for route in response.list("Record-Route").into_iter().rev() {
            message = message.with("Route", route);
        }
        message
            .with("From", request.header("From"))
            .with("To", response.header("To"))
            .with("Call-ID", request.header("Call-ID"))
            .with("CSeq", format!("{number} {method}"))
    }

    /// A request of the called side in the dialog that `request` (as it arrived) and its own `response` made.
    #[track_caller]
    pub fn within_as_callee(&self, method: &str, request: &Message, response: &Message) -> Message {
        let mut message = Message::request(method, crate::message::uri_of(request.header("Contact")))
            .with("Via", self.via())
            .with("Max-Forwards", "70");
        // RFC 3261 §12.1.1: the called side's route set keeps the order.
        for route in request.list("Record-Route") {
            message = message.with("Route", route);
        }
        message
            .with("From", response.header("To"))
            .with("To", request.header("From"))
            .with("Call-ID", request.header("Call-ID"))
            .with("CSeq", format!("7000 {method}"))
    }

    /// Sends to the server.
    #[track_caller]
    pub fn send(&self, message: &Message) {
        self.send_bytes(message.text().as_bytes());
    }

    /// Sends to somebody else; by UDP only.
    #[track_caller]
    pub fn send_to(&self, message: &Message, address: SocketAddr) {
        let Socket::Udp(socket) = &self.socket else {
            panic!("a connection leads to one place only");
        };
        let text = message.text();
        socket.send_to(text.as_bytes(), address).expect("a datagram");
        self.sent.replace(text.into_bytes());
    }

    /// Sends any bytes to the server.
    #[track_caller]
    pub fn send_bytes(&self, bytes: &[u8]) {
        match &self.socket {
            Socket::Udp(socket) => {
                socket
                    .send_to(bytes, self.server)
                    .expect("a datagram to the server");
            }
            Socket::Tcp(stream) => stream
                .borrow_mut()
                .write_all(bytes)
                .expect("the connection is open"),
        }
        self.sent.replace(bytes.to_owned());
    }

    /// Ends its side of a connection; it still receives.
    pub fn end(&self) {
        if let Socket::Tcp(stream) = &self.socket {
            stream
                .borrow()
                .shutdown(std::net::Shutdown::Write)
                .expect("the connection is open");
        }
    }

    /// The next message, repeats left out; `None` after the limit.
    pub fn receive(&self, limit: Duration) -> Option<Message> {
        let end = Instant::now() + limit;
        loop {
            if let Some(message) = self.waiting.borrow_mut().pop_front() {
                let fresh = self.seen.borrow_mut().insert(message.text());
                if fresh || matches!(self.socket, Socket::Tcp(_)) {
                    return Some(message);
                }
                continue;
            }
            if !self.read(end) {
                return None;
            }
        }
    }

    /// The next message as it comes, repeats included.
    pub fn receive_repeats(&self, limit: Duration) -> Option<Message> {
        self.seen.borrow_mut().clear();
        self.receive(limit)
    }

    /// Reads once; false when time is up.
    fn read(&self, end: Instant) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let mut buffer = vec![0; 65_536];
        let count = match &self.socket {
            Socket::Udp(socket) => {
                socket.set_read_timeout(Some(left)).expect("a time limit");
                socket.recv(&mut buffer)
            }
            Socket::Tcp(stream) => {
                let mut stream = stream.borrow_mut();
                stream.set_read_timeout(Some(left)).expect("a time limit");
                stream.read(&mut buffer)
            }
        };
        let Ok(count) = count else {
            // Time is up, or an ICMP error came back that the next read will not see.
            return Instant::now() < end;
        };
        match &self.socket {
            Socket::Udp(_) => {
                if let Some(heard) = &self.heard {
                    heard.borrow_mut().push(buffer[..count].to_vec());
                }
                self.waiting.borrow_mut().extend(Message::parse(&buffer[..count]));
            }
            Socket::Tcp(_) if count == 0 => return false,
            Socket::Tcp(_) => self.frame(&buffer[..count]),
        }
        true
    }

    /// Cuts a stream into messages (RFC 3261 §18.3).
    fn frame(&self, bytes: &[u8]) {
        let mut partial = self.partial.borrow_mut();
        partial.extend_from_slice(bytes);
        loop {
            while partial.starts_with(b"\r\n") {
                partial.drain(..2);
            }
            let Some(head) = partial.windows(4).position(|window| window == b"\r\n\r\n") else {
                return;
            };
            let Some(message) = Message::parse(&partial[..head + 4]) else {
                return;
            };
            let length: usize = message
                .header("Content-Length")
                .parse()
                .expect("a number in Content-Length");
            if partial.len() < head + 4 + length {
                return;
            }
            self.waiting
                .borrow_mut()
                .extend(Message::parse(&partial[..head + 4 + length]));
            partial.drain(..head + 4 + length);
        }
    }

    /// The next message, which has to come.
    #[track_caller]
    pub fn next(&self) -> Message {
        self.await_message("a message")
    }

    /// The next response but 100, which has to have this status.
    #[track_caller]
    pub fn expect_status(&self, status: u16) -> Message {
        let awaited = status.to_string();
        let response = self.await_response(&awaited);
        if response.status() != Some(status) {
            self.fail(&awaited, Some(&response));
        }
        response
    }

    /// The next response but 100.
    #[track_caller]
    pub fn response(&self) -> Message {
        self.await_response("a response")
    }

    /// The next message, which has to be this request.
    #[track_caller]
    pub fn expect_request(&self, method: &str) -> Message {
        let message = self.await_message(method);
        if message.method() != Some(method) {
            self.fail(method, Some(&message));
        }
        message
    }

    /// Nothing may come for so long; 100 Trying and repeats are let pass.
    #[track_caller]
    pub fn expect_silence(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while let Some(message) = self.receive(end.saturating_duration_since(Instant::now())) {
            if message.status() != Some(100) {
                self.fail("nothing", Some(&message));
            }
        }
    }

    #[track_caller]
    fn await_message(&self, awaited: &str) -> Message {
        match self.receive(PATIENCE) {
            Some(message) => message,
            None => self.fail(awaited, None),
        }
    }

    #[track_caller]
    fn await_response(&self, awaited: &str) -> Message {
        loop {
            let message = self.await_message(awaited);
            match message.status() {
                Some(100) => {}
                Some(_) => return message,
                None => self.fail(awaited, Some(&message)),
            }
        }
    }

    /// Fails the test: what was awaited here, and what came instead.
    #[track_caller]
    fn fail(&self, awaited: &str, came: Option<&Message>) -> ! {
        let came = came.map_or_else(
            || "nothing came\n".to_owned(),
            |came| format!("came\n{}", came.text()),
        );
        let sent = self.sent.borrow();
        panic!(
            "{} awaited {awaited}, but {came}--- it had sent last\n{}",
            self.local,
            String::from_utf8_lossy(&sent)
        );
    }

    /// Sends a request and returns its final response; one to INVITE that is not 2xx is acknowledged
    /// (RFC 3261 §17.1.1.3).
    #[track_caller]
    pub fn exchange(&self, request: &Message) -> Message {
        self.send(request);
        let response = loop {
            let response = self.await_response("a final response");
            if response.status().is_some_and(|status| status >= 200) {
                break response;
            }
        };
        if request.method() == Some("INVITE") && response.status().is_some_and(|status| status >= 300) {
            self.acknowledge(request, &response);
        }
        response
    }

    /// [`Self::exchange`], of which this status has to come.
    #[track_caller]
    fn exchange_for(&self, request: &Message, statuses: &[u16]) -> Message {
        let response = self.exchange(request);
        if !response.status().is_some_and(|status| statuses.contains(&status)) {
            self.fail(&format!("one of {statuses:?}"), Some(&response));
        }
        response
    }

    /// Sends the ACK to a final response other than 2xx.
    #[track_caller]
    pub fn acknowledge(&self, request: &Message, response: &Message) {
        let mut ack = Message::request("ACK", request.uri())
            .with("Via", request.header("Via"))
            .with("Max-Forwards", "70");
        for route in request.all("Route") {
            ack = ack.with("Route", route);
        }
        self.send(
            &ack.with("From", request.header("From"))
                .with("To", response.header("To"))
                .with("Call-ID", request.header("Call-ID"))
                .with("CSeq", format!("{} ACK", request.cseq())),
        );
    }

    /// Sends a request, answers the challenge that has to come, and returns the final response to that.
    #[track_caller]
    pub fn exchange_as(&self, request: &Message, user: &str, password: &str) -> Message {
        let challenge = self.exchange_for(request, &[401, 407]);
        self.exchange(&Answer::new(user, password).to(request, &challenge))
    }

    /// Registers without a password.
    #[track_caller]
    pub fn registered(self, aor: &str) -> Self {
        self.exchange_for(&self.register(aor, 300), &[200]);
        self
    }

    /// Registers with a password.
    #[track_caller]
    pub fn registered_as(self, aor: &str, password: &str) -> Self {
        let user = aor
            .trim_start_matches("sip:")
            .split('@')
            .next()
            .unwrap_or_default()
            .to_owned();
        let response = self.exchange_as(&self.register(aor, 300), &user, password);
        if response.status() != Some(200) {
            self.fail("200", Some(&response));
        }
        self
    }

    /// Answers a request that arrived here.
    #[track_caller]
    pub fn answer(&self, request: &Message, status: u16, reason: &str) -> Message {
        let user = crate::message::uri_of(request.header("To"))
            .split(['@', ':'])
            .nth(1)
            .unwrap_or("x")
            .to_owned();
        let response = Message::response(request, status, reason, &fresh("t"));
        let response = if status > 100 {
            response.with("Contact", format!("<{}>", self.uri(&user)))
        } else {
            response
        };
        self.send(&response);
        response
    }
}

/// A small session description.
pub fn sdp(port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n\
         a=rtpmap:0 PCMU/8000\r\n"
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::panic::{self, AssertUnwindSafe};
    use std::sync::{Arc, Mutex};
    use std::thread;

    use super::*;

    /// Where a test that does this fails, and what it says.
    fn failure(test: impl FnOnce()) -> (String, String) {
        let place = Arc::new(Mutex::new(String::new()));
        let (kept, us, before) = (Arc::clone(&place), thread::current().id(), panic::take_hook());
        panic::set_hook(Box::new(move |info| {
            if thread::current().id() != us {
                return before(info);
            }
            let location = info.location().map(ToString::to_string);
            *kept.lock().expect("not poisoned") = location.unwrap_or_default();
        }));
        let failed = panic::catch_unwind(AssertUnwindSafe(test)).expect_err("it fails");
        let said = failed.downcast_ref::<String>().expect("a text").clone();
        let place = place.lock().expect("not poisoned").clone();
        (place, said)
    }

    fn place(line: u32) -> String {
        format!("{}:{line}:", file!())
    }

    #[test]
    fn a_test_that_fails_names_its_own_line_and_what_it_awaited_and_sent() {
        let server = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let peer = Peer::udp(server.local_addr().expect("bound"));
        let request = peer.request("OPTIONS", "sip:a.test", "sip:b@a.test", "sip:a.test");
        let busy = Message::response(&request, 486, "Busy", "t");
        peer.send(&request);
        server
            .send_to(busy.text().as_bytes(), peer.address())
            .expect("a datagram");
        let line = line!() + 1;
        let (at, said) = failure(|| drop(peer.expect_status(200)));
        assert!(at.starts_with(&place(line)), "{at}");
        for part in ["awaited 200", "SIP/2.0 486 Busy", "OPTIONS sip:a.test SIP/2.0"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let line = line!() + 1;
        let (at, _) = failure(|| drop(busy.header("Subject").to_owned()));
        assert!(at.starts_with(&place(line)), "{at}");
    }

    #[test]
    fn a_connection_that_ends_is_nothing_came() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let peer = Peer::tcp(listener.local_addr().expect("bound"));
        drop(listener.accept());
        let (_, said) = failure(|| drop(peer.expect_request("INVITE")));
        assert!(said.contains("awaited INVITE, but nothing came"), "{said}");
    }
}
