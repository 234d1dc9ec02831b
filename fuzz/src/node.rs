//! A whole node in virtual time: messages that peers send it, separated by two empty lines and the letter of who sends.

use std::cell::RefCell;

use strowger_testkit::Site;

/// Messages that one site is given before it is replaced.
const LIFETIME: u32 = 500;

thread_local! {
    static SITE: RefCell<(Site, u32)> = RefCell::new((Site::new(), 0));
}

/// The message, as it is, and to somebody whom the node knows.
pub fn seeds(message: &[u8]) -> Vec<Vec<u8>> {
    let ours =
        String::from_utf8_lossy(message).replacen("sip:bob@biloxi.example.com", "sip:bob@example.test", 3);
    vec![[b"a", message].concat(), [b"b", ours.as_bytes()].concat()]
}

/// Whatever it gets, it does not panic, what it sends parses, and when all timers have run out nothing is left.
pub fn check(data: &[u8]) {
    SITE.with_borrow_mut(|(site, count)| {
        *count += 1;
        if *count > LIFETIME {
            (*site, *count) = (Site::new(), 0);
            site.register('b');
        }
        for text in String::from_utf8_lossy(data).split("\r\n\r\n\r\n\r\n") {
            let mut letters = text.chars();
            let Some(who @ 'a'..='l') = letters.next() else {
                continue;
            };
            site.send(who, letters.as_str());
        }
        site.assert_ends();
    });
}
