//! A whole node in virtual time: messages that peers send it, each behind the letter of who sends, with an empty line and a
//! NUL between them.

use std::cell::RefCell;

use strowger_server::node::Control;
use strowger_testkit::message::{registration, request, with};
use strowger_testkit::{Site, peer};

/// Messages that one site is given before it is replaced.
const LIFETIME: u32 = 500;

const BETWEEN: &str = "\r\n\0";

thread_local! {
    static SITE: RefCell<(Site, u32)> = RefCell::new((site(), 0));
}

/// A node at which bob is registered.
fn site() -> Site {
    let mut site = Site::new();
    site.register('b');
    site
}

/// The message from a user and from a stranger, and its method in a request to bob, who answers with it.
pub fn seeds(message: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(message);
    let method = text.split(' ').next().unwrap_or_default();
    let ours = request('a', method, "sip:bob@example.test", 1);
    let route = "Route: <sip:192.0.2.1;lr>\r\nProxy-Require: x\r\nExpires: 1";
    let contact = registration('a', "sip:alice@example.test", "<sip:alice@192.0.2.10>;q=0.1", 3);
    let of = |messages: &[(char, &str)]| {
        let texts = messages.iter().map(|(who, text)| format!("{who}{text}"));
        texts.collect::<Vec<_>>().join(BETWEEN).into_bytes()
    };
    vec![
        of(&[('a', &text)]),
        of(&[('d', &text), ('b', &text), ('d', &text)]),
        of(&[('a', &ours), ('a', &ours.replace(method, "CANCEL")), ('b', &text)]),
        of(&[('a', &with(&ours, route)), ('a', &ours.replace(method, "ACK"))]),
        of(&[
            ('a', &contact),
            ('a', &contact),
            ('a', &contact.replace(" 3 ", " 4 ")),
        ]),
    ]
}

/// Every second name has an address.
fn resolve(site: &mut Site, number: usize) {
    let mut known = number.is_multiple_of(2);
    while let Some(question) = site.question() {
        known = !known;
        let address = known.then(|| peer::address('e').ip());
        let resolved = Control::Resolved {
            ticket: question.ticket,
            addresses: address.into_iter().collect(),
        };
        site.control(question.shard.into(), resolved);
    }
}

/// Whatever it gets, it does not panic, what it sends parses, and when all timers have run out nothing is left.
pub fn check(data: &[u8]) {
    SITE.with_borrow_mut(|(site, count)| {
        *count += 1;
        if *count > LIFETIME {
            (*site, *count) = (self::site(), 0);
        }
        for text in String::from_utf8_lossy(data).split(BETWEEN) {
            let mut letters = text.chars();
            let Some(who @ 'a'..='l') = letters.next() else {
                continue;
            };
            site.send(who, letters.as_str());
            resolve(site, data.len());
        }
        site.assert_ends();
    });
}
