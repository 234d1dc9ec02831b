//! A registration between its registrar and its user, in virtual time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use strowger_sip::auth::Account;
use strowger_sip::memory::Id;
use strowger_sip::transaction::Timers;
use strowger_sip::transport::{AdvertisedAs, Hop, Listener, Listeners};
use strowger_sip::ua::{Registration, Settings, Standing, Step, Why};
use strowger_sip::{Destination, Endpoint, EndpointConfig, MacKey};
use strowger_syntax::{Index, Limits, Transport};

pub(crate) const KEY: [u8; 16] = [7; 16];

/// What is registered in these tests.
pub(crate) fn settings() -> Settings {
    Settings {
        aor: b"sip:12345@provider.example".as_slice().into(),
        registrar: b"sip:provider.example".as_slice().into(),
        outbound: None,
        account: Account {
            username: "12345".to_owned(),
            password: "secret".to_owned(),
            realm: None,
        },
        contact_user: b"12345".as_slice().into(),
        expires: 3600,
    }
}

/// A REGISTER that was sent.
pub(crate) struct Sent {
    pub(crate) at_ms: u64,
    pub(crate) to: Destination,
    pub(crate) text: String,
}

/// A registration with everything that it needs.
pub(crate) struct Scene {
    endpoint: Endpoint,
    pub(crate) registration: Registration,
    pub(crate) settings: Settings,
    /// The registrar's servers.
    pub(crate) servers: u8,
    /// Whether the registrar's name has been looked up.
    pub(crate) is_known: bool,
    pub(crate) sent: Vec<Sent>,
    /// What it stands at, each time that this changes.
    pub(crate) standings: Vec<(u64, Standing)>,
    pub(crate) located: Vec<String>,
    pub(crate) now_ms: u64,
}

impl Scene {
    pub(crate) fn of(settings: Settings) -> Self {
        let listener = Listener {
            transport: Transport::Udp,
            address: SocketAddr::from(([192, 0, 2, 1], 5060)),
            advertise: Vec::new(),
        };
        let config = EndpointConfig {
            secret: [7; 32],
            boot: 1,
            shards: 1,
            listeners: Arc::new(Listeners::new(vec![listener], vec![])),
            realms: Arc::new([]),
            timers: Timers::DEFAULT,
            limits: Limits::DEFAULT,
        };
        Self {
            endpoint: Endpoint::new(0, &config),
            registration: registration(&settings),
            settings,
            servers: 1,
            is_known: true,
            sent: Vec::new(),
            standings: Vec::new(),
            located: Vec::new(),
            now_ms: 0,
        }
    }

    /// Begins anew with other settings.
    pub(crate) fn set(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.registration = registration(&self.settings);
    }

    fn hops(&self) -> Vec<Hop> {
        let hop = |number| Hop {
            transport: Transport::Udp,
            listener: 0,
            local: IpAddr::from([192, 0, 2, 1]),
            told: AdvertisedAs::default(),
            to: Destination::Datagram {
                listener: 0,
                from: None,
                to: SocketAddr::from(([198, 51, 100, number], 5060)),
            },
            over_flow: false,
        };
        (1..=self.servers).map(hop).collect()
    }

    /// Does what is to be done next.
    pub(crate) fn follow(&mut self, step: Step) {
        match step {
            Step::Wait | Step::End => {}
            Step::Locate => {
                let uri = String::from_utf8_lossy(self.registration.next_hop()).into_owned();
                let hops = self.is_known.then(|| self.hops());
                self.located.push(uri);
                let step = self.registration.on_located(hops.as_deref(), self.now_ms);
                self.follow(step);
            }
            Step::Send(hop) => {
                let branch = (Id { index: 1, counter: 1 }, 1);
                let mut text = Vec::new();
                let key = MacKey::new(KEY);
                self.registration
                    .write(&self.endpoint.identity, &key, &hop, branch, &mut text);
                let mut index = Index::default();
                assert!(index.parse(&text, &Limits::DEFAULT).is_ok(), "well-formed");
                self.sent.push(Sent {
                    at_ms: self.now_ms,
                    to: hop.to,
                    text: String::from_utf8(text).expect("UTF-8"),
                });
            }
        }
        let standing = self.registration.standing();
        if self.standings.last().map(|&(_, last)| last) != Some(standing) {
            self.standings.push((self.now_ms, standing));
        }
    }

    /// Time goes on to this moment.
    pub(crate) fn go_to(&mut self, at_ms: u64) {
        while let Some(due) = self.registration.deadline().filter(|&due| due <= at_ms) {
            self.now_ms = self.now_ms.max(due);
            let step = self.registration.on_deadline(self.now_ms);
            self.follow(step);
        }
        self.now_ms = self.now_ms.max(at_ms);
    }

    /// The registrar answers the last REGISTER.
    pub(crate) fn answer(&mut self, code: u16, fields: &[&str]) {
        let request = &self.sent.last().expect("a REGISTER").text;
        let copied: Vec<_> = request
            .lines()
            .filter(|line| {
                ["Via:", "From:", "To:", "Call-ID:", "CSeq:"]
                    .iter()
                    .any(|name| line.starts_with(name))
            })
            .collect();
        let text = format!(
            "SIP/2.0 {code} Reason\r\n{}\r\n{}Content-Length: 0\r\n\r\n",
            copied.join("\r\n"),
            fields
                .iter()
                .map(|field| format!("{field}\r\n"))
                .collect::<String>()
        );
        let mut index = Index::default();
        let message = index
            .parse(text.as_bytes(), &Limits::DEFAULT)
            .unwrap_or_else(|bad| panic!("{bad:?}: {text}"));
        let step = self.registration.on_response(message, self.now_ms);
        self.follow(step);
    }

    pub(crate) fn no_answer(&mut self, why: Why) {
        let step = self.registration.on_no_answer(why, self.now_ms);
        self.follow(step);
    }

    pub(crate) fn leave(&mut self) {
        let step = self.registration.leave(self.now_ms);
        self.follow(step);
    }
}

fn registration(settings: &Settings) -> Registration {
    Registration::new(Arc::new(settings.clone()), &MacKey::new(KEY), 1, "trunk", 0, 0)
}
