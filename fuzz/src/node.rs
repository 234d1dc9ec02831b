//! A whole node in virtual time: the first byte chooses how it is set up, then come messages that peers send it, with an empty
//! line and a NUL between them, each behind the letter of who sends. In upper case, it answers a challenge with its password.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use strowger_server::config::{Defence, Mode};
use strowger_testkit::message::{authorize, lines, registration, request, with};
use strowger_testkit::{Plan, Site, peer};

/// Messages that one site is given before it is replaced.
const LIFETIME: u32 = 500;

const BETWEEN: &str = "\r\n\0";

const MODES: [Mode; 3] = [Mode::Stateful, Mode::Stateless, Mode::Redirect];

/// How many plans there are: each mode, with one shard and two, without digest and with it.
const PLANS: u8 = 12;

thread_local! {
    static SITES: RefCell<HashMap<u8, Visited>> = RefCell::default();
}

/// A site, and how many messages it has been given.
struct Visited {
    site: Site,
    shards: u16,
    count: u32,
}

impl Visited {
    fn new(choice: u8) -> Self {
        let shards = 1 + u16::from(choice / 2 % 2);
        let digest: &[&str] = if choice.is_multiple_of(2) {
            &[]
        } else {
            &["REGISTER", "INVITE"]
        };
        // Little is enough for a ban, and a ban is over before the next input.
        let short = Duration::from_secs(60);
        let defence = Defence {
            refusals: 1,
            failures: 2,
            accounts: 2,
            window: short,
            ban: short,
        };
        let site = Site::of(Plan {
            shards,
            challenged: digest,
            mode: MODES[usize::from(choice / 4)],
            defence,
            ..Plan::default()
        });
        let mut visited = Self {
            site,
            shards,
            count: 0,
        };
        visited.register_bob();
        visited.site.last('b', "SIP/2.0 200");
        visited
    }

    /// Bob is registered, whatever has come before.
    fn register_bob(&mut self) {
        let (aor, contact) = (
            "sip:bob@example.test",
            format!("<sip:bob@{}>", peer::address('b')),
        );
        self.send('B', &registration('b', aor, &contact, 1 + 2 * self.count));
    }

    fn send(&mut self, who: char, text: &str) {
        self.count += 1;
        let lower = who.to_ascii_lowercase();
        self.site.arrival = self.count as usize % usize::from(self.shards);
        self.site.log();
        self.site.send(lower, text);
        if who != lower
            && let Some(challenge) = self.challenge()
        {
            self.site
                .send(lower, &authorize(text, &challenge, peer::user(lower), 1));
        }
    }

    /// The node's challenge among what a peer has just been sent.
    fn challenge(&mut self) -> Option<String> {
        let sent = self.site.new_messages();
        let texts = sent.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes));
        let ours = |text: &str| {
            let asked = ["WWW-Authenticate", "Proxy-Authenticate"];
            let values = asked.iter().flat_map(|name| lines(text, name));
            values.take(1).any(|value| {
                value.starts_with("Digest realm=\"example.test\", ") && value.contains("algorithm=MD5")
            })
        };
        texts
            .filter(|text| text.starts_with("SIP/2.0 40") && ours(text))
            .map(|text| text.into_owned())
            .next()
    }
}

/// The message from a user and from a stranger, and its method in a request to bob, who answers with it.
pub fn seeds(message: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(message);
    let method = text.split(' ').next().unwrap_or_default();
    let ours = request('a', method, "sip:bob@example.test", 1);
    let route = "Route: <sip:192.0.2.1;lr>\r\nProxy-Require: x\r\nExpires: 1";
    let contact = registration('a', "sip:alice@example.test", "<sip:alice@192.0.2.10>;q=0.1", 3);
    let (cancel, ack) = (ours.replace(method, "CANCEL"), ours.replace(method, "ACK"));
    let (routed, later) = (with(&ours, route), contact.replace(" 3 ", " 4 "));
    let bodies = [
        vec![('a', &*text)],
        vec![('d', &text), ('b', &text), ('d', &text)],
        vec![('A', &ours), ('a', &cancel), ('b', &text)],
        vec![('a', &routed), ('a', &ack)],
        vec![('A', &contact), ('a', &contact), ('A', &later)],
    ];
    let joined = bodies.map(|messages| {
        let texts = messages.iter().map(|(who, text)| format!("{who}{text}"));
        texts.collect::<Vec<_>>().join(BETWEEN).into_bytes()
    });
    let of = |choice: u8| joined.iter().map(move |body| [&[choice], &body[..]].concat());
    (0..PLANS).flat_map(of).collect()
}

/// Every second name has an address.
fn resolve(site: &mut Site, number: usize) {
    let mut known = number.is_multiple_of(2);
    while let Some(question) = site.question() {
        known = !known;
        let address = known.then(|| peer::address('e').ip());
        site.answer_question(&question, address.as_slice());
    }
}

/// Whatever it gets, it does not panic, what it sends parses, and when all timers have run out nothing is left.
pub fn check(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    let choice = choice % PLANS;
    SITES.with_borrow_mut(|sites| {
        let visited = sites.entry(choice).or_insert_with(|| Visited::new(choice));
        if visited.count > LIFETIME {
            *visited = Visited::new(choice);
        }
        visited.register_bob();
        for text in String::from_utf8_lossy(data).split(BETWEEN) {
            let mut letters = text.chars();
            let Some(who @ ('a'..='l' | 'A'..='C')) = letters.next() else {
                continue;
            };
            visited.send(who, letters.as_str());
            resolve(&mut visited.site, data.len());
        }
        visited.site.assert_ends();
    });
}
