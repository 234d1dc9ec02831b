//! Subscribers to registrations (RFC 6665, RFC 3680), and what they read in what they are told.

use std::time::Duration;

use crate::{Message, Peer, Server};

/// Who subscribes, with the request and the 200 that made the subscription.
#[derive(Debug)]
pub struct Subscriber {
    /// Its socket.
    pub peer: Peer,
    request: Message,
    ok: Message,
    credentials: Option<(&'static str, &'static str)>,
}

impl Subscriber {
    /// Subscribes to its own registrations, with name and password where it is asked for them, and is told of them.
    #[track_caller]
    pub fn new(
        server: &Server,
        aor: &str,
        credentials: Option<(&'static str, &'static str)>,
        expires: u32,
    ) -> (Self, Message) {
        let peer = Peer::udp(server.sip());
        let request = subscribe(&peer, aor, expires);
        let ok = exchange(&peer, &request, credentials);
        assert_eq!(ok.status(), Some(200), "{}", ok.text());
        let subscriber = Self {
            peer,
            request,
            ok,
            credentials,
        };
        let told = subscriber.told();
        (subscriber, told)
    }

    /// Subscribes with a server that may end at any time; `None` when no 200 comes within the limit.
    #[track_caller]
    pub fn accepted(peer: Peer, aor: &str, limit: Duration) -> Option<Self> {
        let request = subscribe(&peer, aor, 600);
        peer.send(&request);
        let ok = peer.receive(limit)?;
        assert_eq!(ok.status(), Some(200), "{}", ok.text());
        let credentials = None;
        Some(Self {
            peer,
            request,
            ok,
            credentials,
        })
    }

    /// The next NOTIFY, which is answered.
    #[track_caller]
    pub fn told(&self) -> Message {
        let notify = self.peer.expect_request("NOTIFY");
        assert_eq!(notify.header("Call-ID"), self.request.header("Call-ID"));
        self.peer.send(&Message::response(&notify, 200, "OK", ""));
        notify
    }

    /// A SUBSCRIBE in its dialog.
    #[track_caller]
    pub fn again(&self, expires: u32) -> Message {
        let request = self
            .peer
            .within("SUBSCRIBE", &self.request, &self.ok)
            .set("CSeq", format!("{} SUBSCRIBE", 100 + expires))
            .with("Contact", self.request.header("Contact"))
            .with("Event", "reg")
            .with("Expires", expires.to_string());
        exchange(&self.peer, &request, self.credentials)
    }
}

fn subscribe(peer: &Peer, aor: &str, expires: u32) -> Message {
    peer.request("SUBSCRIBE", aor, aor, aor)
        .with("Event", "reg")
        .with("Expires", expires.to_string())
}

#[track_caller]
fn exchange(peer: &Peer, request: &Message, credentials: Option<(&str, &str)>) -> Message {
    match credentials {
        Some((user, password)) => peer.exchange_as(request, user, password),
        None => peer.exchange(request),
    }
}

/// Whether this stands in a message.
pub fn says(notify: &Message, what: &str) -> bool {
    notify.text().contains(what)
}

/// The version of the document (RFC 3680 §5.2).
#[track_caller]
pub fn version(notify: &Message) -> u32 {
    let text = notify.text();
    let (_, document) = text.split_once("<reginfo ").expect("a document");
    let (_, rest) = document.split_once("version=\"").expect("a version");
    rest.split('"')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number")
}
