//! A phone, and what may become of it and of what it sends.

use std::net::SocketAddr;

use strowger_testkit::Random;

use crate::model::Change;

/// How long phones register for, and how many of a hundred do.
const LIFETIMES: [(u64, u64); 6] = [(1, 60), (1, 120), (4, 300), (8, 600), (40, 1800), (46, 3600)];

/// A phone of a user. Each life between two starts has a Call-ID of its own (RFC 3261 §10.2.4).
#[derive(Clone, Debug)]
pub(crate) struct Phone {
    pub(crate) user: u32,
    number: u32,
    life: u32,
    cseq: u32,
    address: u32,
    lifetime: u64,
    /// Whether it is known by its flow (RFC 5626 §6).
    outbound: bool,
    /// How often it will still change its address at once, or leave.
    restless: u32,
}

/// What a phone does when its time has come.
#[derive(Debug)]
pub(crate) struct Act {
    /// What it sends, if it does, and what of it is asked for.
    pub(crate) request: Option<(String, Vec<Change>)>,
    /// The request comes once more after so many milliseconds, whatever is there by then: the answer was lost, or the network
    /// doubles.
    pub(crate) again: Option<u64>,
    /// When the phone acts next, in milliseconds.
    pub(crate) next: u64,
}

impl Phone {
    pub(crate) fn new(user: u32, number: u32, random: &mut Random) -> Self {
        let mut draw = random.below(100);
        let mut lifetime = 3600;
        for (of_hundred, seconds) in LIFETIMES {
            lifetime = seconds;
            if draw < of_hundred {
                break;
            }
            draw -= of_hundred;
        }
        Self {
            user,
            number,
            life: 0,
            cseq: 0,
            address: 0,
            lifetime,
            outbound: random.below(3) == 0,
            restless: 0,
        }
    }

    /// The contact of this phone at its address: its number stands for it.
    fn contact(&self) -> u32 {
        self.number << 16 | self.address
    }

    /// Where it sends from.
    pub(crate) fn source(&self) -> SocketAddr {
        source(self.contact())
    }

    pub(crate) fn act(&mut self, random: &mut Random) -> Act {
        if self.restless > 0 {
            self.restless -= 1;
            let change = match random.below(2) {
                0 => {
                    self.address += 1;
                    self.bind()
                }
                _ => self.leave(),
            };
            return Act {
                next: 500 + random.below(3000),
                ..self.request(vec![change], random)
            };
        }
        match random.below(100) {
            // It dies, and is there again later, half of the time elsewhere.
            0..3 => {
                self.life += 1;
                self.cseq = 0;
                self.address += random.below(2) as u32;
                let next = 1000 * (600 + random.below(9000));
                Act {
                    request: None,
                    again: None,
                    next,
                }
            }
            // Its address changes, and it says so, or the old one stays until it ends.
            3..7 => {
                let old = self.contact();
                self.address += 1;
                let mut changes = vec![self.bind()];
                if self.outbound {
                    self.restless = 3;
                    return Act {
                        next: 500 + random.below(3000),
                        ..self.request(changes, random)
                    };
                }
                if random.below(2) == 0 {
                    changes.insert(0, Change::Remove(old));
                }
                self.request(changes, random)
            }
            7..10 => {
                let changes = vec![self.leave()];
                let next = 1000 * (10 + random.below(1200));
                Act {
                    next,
                    ..self.request(changes, random)
                }
            }
            10 => {
                let next = 1000 * (10 + random.below(1200));
                Act {
                    next,
                    ..self.request(vec![Change::RemoveAll], random)
                }
            }
            // The request is lost.
            11..15 => {
                self.cseq += 1;
                Act {
                    request: None,
                    again: None,
                    next: 500 + random.below(31_500),
                }
            }
            _ => self.request(vec![self.bind()], random),
        }
    }

    fn bind(&self) -> Change {
        match self.outbound {
            true => Change::Move(self.contact(), self.lifetime),
            false => Change::Bind(self.contact(), self.lifetime),
        }
    }

    fn leave(&self) -> Change {
        match self.outbound {
            true => Change::Leave(self.contact()),
            false => Change::Remove(self.contact()),
        }
    }

    fn request(&mut self, changes: Vec<Change>, random: &mut Random) -> Act {
        self.cseq += 1;
        let again = match random.below(10) {
            0 => Some(500 + random.below(3500)),
            1 => Some(4000 + random.below(20_000)),
            _ => None,
        };
        // Late one time in ten: the binding has ended by then.
        let share = match random.below(10) {
            0 => 1000 + random.below(500),
            1..4 => 300 + random.below(600),
            _ => 900 + random.below(90),
        };
        Act {
            request: Some((self.text(&changes), changes)),
            again,
            next: self.lifetime * share,
        }
    }

    fn text(&self, changes: &[Change]) -> String {
        let Self {
            user,
            number,
            life,
            cseq,
            ..
        } = self;
        let flow = format!(";reg-id=1;+sip.instance=\"<urn:x:{number}>\"");
        let contacts: Vec<_> = changes
            .iter()
            .map(|change| match change {
                Change::Bind(contact, seconds) => format!("<{}>;expires={seconds}", uri(*contact)),
                Change::Remove(contact) => format!("<{}>;expires=0", uri(*contact)),
                Change::Move(contact, seconds) => {
                    format!("<{}>{flow};expires={seconds}", uri(*contact))
                }
                Change::Leave(contact) => format!("<{}>{flow};expires=0", uri(*contact)),
                Change::RemoveAll => "*".to_owned(),
            })
            .collect();
        let from = self.source();
        format!(
            "REGISTER sip:example.test SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK-{user}-{number}-{life}-{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:u{user}@example.test>;tag={number}\r\nTo: <sip:u{user}@example.test>\r\n\
             Call-ID: {life}-{number}@phone\r\nCSeq: {cseq} REGISTER\r\nContact: {}\r\nExpires: 0\r\n\
             User-Agent: phone/1.2\r\nContent-Length: 0\r\n\r\n",
            contacts.join(", ")
        )
    }
}

fn source(contact: u32) -> SocketAddr {
    let [a, b, c, d] = contact.to_be_bytes();
    // Of 10.0.0.0/8, and no port that is another's.
    let port = 1024 + (u16::from(a) << 8 | u16::from(b)) % 60_000;
    SocketAddr::from(([10, b, c, d], port))
}

/// The URI of a contact.
pub(crate) fn uri(contact: u32) -> String {
    format!("sip:{contact}@{}", source(contact))
}

/// Which contact has a URI.
pub(crate) fn contact_of(uri: &str) -> u32 {
    let user = uri.strip_prefix("sip:").and_then(|rest| rest.split('@').next());
    user.and_then(|user| user.parse().ok())
        .expect("a contact that was registered")
}
