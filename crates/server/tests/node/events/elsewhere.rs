//! Notifications to addresses that the SUBSCRIBE did not come from.

use strowger_testkit::Site;
use strowger_testkit::message::lines;

use super::{accepted, again, register, subscribe};

/// A SUBSCRIBE of `a` that is to be told at `b`.
fn subscribe_elsewhere(n: u32, expires: &str) -> String {
    subscribe(n, expires).replace("<sip:alice@192.0.2.10:5060>", "<sip:alice@192.0.2.11:5060>")
}

/// What the last NOTIFY to `b` says: its Subscription-State, and whether it has a body.
fn told_elsewhere(site: &Site) -> (String, bool) {
    let (head, body) = site.last('b', "NOTIFY ").split_once("\r\n\r\n").expect("a head");
    (lines(head, "Subscription-State")[0].to_owned(), !body.is_empty())
}

#[test]
fn rfc_6665_section_6_3_whom_a_subscriber_names_is_told_little_until_it_answers() {
    let mut site = Site::new();
    register(&mut site, "<sip:alice@192.0.2.10>", 1);
    site.log();
    let ok = accepted(&mut site, &subscribe_elsewhere(1, "600"));
    assert_eq!(site.log(), "a 200, b NOTIFY");
    assert_eq!(told_elsewhere(&site), ("pending;expires=600".to_owned(), false));
    // What happens meanwhile tells it nothing.
    register(&mut site, "<sip:alice@192.0.2.20>", 2);
    assert_eq!(site.log(), "a 200");
    site.answer('b', 200);
    assert_eq!(site.log(), "b NOTIFY");
    assert_eq!(told_elsewhere(&site), ("active;expires=600".to_owned(), true));
    let full = site.last('b', "NOTIFY ").to_owned();
    assert!(
        full.contains(" version=\"0\" state=\"full\"") && full.contains("192.0.2.20"),
        "{full}"
    );
    site.answer('b', 200);
    site.pass(6000);
    site.log();
    register(&mut site, "<sip:alice@192.0.2.20>;expires=0", 3);
    assert_eq!(site.log(), "a 200, b NOTIFY");
    assert!(told_elsewhere(&site).1, "it has answered before");
    site.answer('b', 200);
    // Somebody else has not.
    let moved = again(&subscribe_elsewhere(1, "600"), &ok, 2, 600).replace("192.0.2.11", "192.0.2.12");
    accepted(&mut site, &moved);
    assert!(site.log().ends_with("a 200, c NOTIFY"));
    let text = site.last('c', "NOTIFY ").to_owned();
    assert_eq!(lines(&text, "Content-Length"), ["0"]);
}

#[test]
fn rfc_6665_section_6_3_who_does_not_answer_is_sent_few_small_messages() {
    let mut site = Site::new();
    let text = subscribe_elsewhere(1, "600");
    accepted(&mut site, &text);
    site.pass(32_000);
    let count = site.log().matches("b NOTIFY").count();
    assert!((2..=4).contains(&count), "{count} were sent");
    let bytes = site.last('b', "NOTIFY ").len();
    assert!(bytes <= 2 * text.len(), "{bytes} bytes for {}", text.len());
    register(&mut site, "<sip:alice@192.0.2.10>", 1);
    assert_eq!(site.log(), "a 200", "it is given up");
    site.assert_ends();
}

#[test]
fn rfc_6665_section_4_4_3_a_poll_for_somebody_else_is_told_when_that_has_answered() {
    let mut site = Site::new();
    register(&mut site, "<sip:alice@192.0.2.10>", 1);
    accepted(&mut site, &subscribe_elsewhere(1, "0"));
    assert_eq!(told_elsewhere(&site), ("pending;expires=0".to_owned(), false));
    site.answer('b', 200);
    assert_eq!(
        told_elsewhere(&site),
        ("terminated;reason=timeout".to_owned(), true)
    );
    site.answer('b', 200);
    site.assert_ends();
}

#[test]
fn rfc_3261_section_18_1_1_large_notifications_to_elsewhere_go_by_tcp_and_back_to_udp() {
    let mut site = Site::new();
    for n in 1..=8 {
        register(
            &mut site,
            &format!("<sip:alice@192.0.2.{n};line=0123456789abcdef>"),
            n,
        );
    }
    // Whoever is at the address that subscribed gets them where its datagrams come from.
    accepted(&mut site, &subscribe(1, "600"));
    assert!(site.last('a', "NOTIFY ").contains("Via: SIP/2.0/UDP"));
    site.answer('a', 200);
    site.log();
    accepted(&mut site, &subscribe_elsewhere(2, "600"));
    assert_eq!(site.log(), "a 200, b NOTIFY");
    assert!(site.last('b', "NOTIFY ").contains("Via: SIP/2.0/TCP"));
    assert!(told_elsewhere(&site).1);
    // Nobody listens there: then it is asked by datagrams first.
    site.fail_last();
    assert_eq!(site.log(), "b NOTIFY");
    assert!(site.last('b', "NOTIFY ").contains("Via: SIP/2.0/UDP"));
    assert!(!told_elsewhere(&site).1);
    site.answer('b', 200);
    assert_eq!(site.log(), "b NOTIFY");
    assert!(site.last('b', "NOTIFY ").contains("Via: SIP/2.0/UDP"));
    assert!(told_elsewhere(&site).1);
    site.answer('b', 200);
    site.log();
    site.pass(6000);
    register(&mut site, "<sip:alice@192.0.2.1>;expires=0", 9);
    assert_eq!(site.log(), "a 200, a NOTIFY, b NOTIFY");
}
