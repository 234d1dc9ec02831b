//! Subscriptions and notifications that wait: for the disk, and for the name of their way.

use strowger_testkit::message::with;
use strowger_testkit::{Plan, Scratch, Site, peer};

use super::{again, register, subscribe, told, told_to};

/// A site that keeps subscriptions in this directory.
fn keeping(dir: &Scratch) -> Site {
    Site::of(Plan {
        subscriptions_in: Some(dir.path().to_owned()),
        ..Plan::default()
    })
}

/// [`subscribed`], where subscriptions are kept.
#[track_caller]
fn subscribed_for_good(site: &mut Site) -> (String, String) {
    let first = subscribe(1, "600");
    site.send('a', &first);
    assert_eq!(site.log(), "", "it waits for the disk");
    site.subscription_kept();
    assert_eq!(site.log(), "a 200, a NOTIFY");
    let ok = site.last('a', "SIP/2.0 200").to_owned();
    site.answer('a', 200);
    (first, ok)
}

// RFC 6665 §4.2.1.4: what has ended while its refresh was on its way to the disk is not there any more.
#[test]
fn a_refresh_of_a_subscription_that_ends_meanwhile_is_answered_with_481() {
    let dir = Scratch::new();
    let mut site = keeping(&dir);
    let (first, ok) = subscribed_for_good(&mut site);
    site.pass(6000);
    register(&mut site, "<sip:alice@192.0.2.10>", 1);
    assert_eq!(site.log(), "a 200, a NOTIFY");
    site.send('a', &again(&first, &ok, 2, 900));
    site.answer('a', 481);
    assert_eq!(site.log(), "");
    site.subscription_kept();
    assert_eq!(site.log(), "a 481");
    let late = site.ask('a', &again(&first, &ok, 3, 900));
    assert!(late.starts_with("SIP/2.0 481 "), "{late}");
    site.assert_ends();
    drop(site);
    // Nothing of it is left on the disk either.
    let mut site = keeping(&dir);
    site.pass(1000);
    assert_eq!(site.log(), "");
}

/// How long a subscriber is told that its subscription lasts after a restart.
#[track_caller]
fn lasts_after_restart(dir: &Scratch) -> u64 {
    let mut site = keeping(dir);
    site.pass(0);
    let text = told(&site);
    let secs = text.split("active;expires=").nth(1);
    let secs = secs.and_then(|rest| rest.split(' ').next()?.parse().ok());
    secs.unwrap_or_else(|| panic!("{text}"))
}

// RFC 6665 §4.2.1.4: a 200 to a refresh holds, whatever is told of the subscription before it is given.
#[test]
fn a_notification_does_not_undo_a_refresh() {
    let dir = Scratch::new();
    let mut site = keeping(&dir);
    let (first, ok) = subscribed_for_good(&mut site);
    drop(site);
    // The first notification after a restart sets numbers of requests aside.
    let mut site = keeping(&dir);
    site.send('a', &again(&first, &ok, 2, 3000));
    site.pass(0);
    assert_eq!(site.log(), "a NOTIFY");
    site.subscription_kept();
    assert_eq!(site.log(), "a 200, a NOTIFY");
    drop(site);
    assert_eq!(lasts_after_restart(&dir), 3000);
}

// RFC 6665 §4.2.1.4: of two refreshes at once the one that was granted holds.
#[test]
fn a_refresh_that_fails_does_not_undo_a_later_one() {
    let dir = Scratch::new();
    let mut site = keeping(&dir);
    let (first, ok) = subscribed_for_good(&mut site);
    drop(site);
    let mut site = keeping(&dir);
    site.send('a', &again(&first, &ok, 2, 900));
    site.send('a', &again(&first, &ok, 3, 3000));
    site.subscription_not_kept();
    site.subscription_kept();
    assert_eq!(site.log(), "a 503, a 200, a NOTIFY");
    drop(site);
    assert_eq!(lasts_after_restart(&dir), 3000);
}

/// A SUBSCRIBE whose notifications go by a name.
fn by_name(expires: &str) -> String {
    with(&subscribe(1, expires), "Record-Route: <sip:edge.test;lr>")
}

// RFC 6665 §4.4.3: who is told once and no more is told when its way is known, though the subscription is over by then.
#[test]
fn a_last_notification_waits_for_the_name_of_its_way() {
    let mut site = Site::new();
    site.send('a', &by_name("0"));
    assert_eq!(site.log(), "a 200");
    let question = site.question().expect("the name is asked for");
    site.pass(5000);
    assert_eq!(site.log(), "");
    site.answer_question(&question, &[peer::address('d').ip()]);
    site.pass(300);
    assert_eq!(site.log(), "d NOTIFY");
    assert_eq!(told_to('d', &site), "1 pending;expires=0 | ");
    site.answer('d', 200);
    site.resolve(&[peer::address('d').ip()]);
    site.pass(300);
    assert_eq!(site.log(), "d NOTIFY", "who has answered is told all");
    assert_eq!(told_to('d', &site), "2 terminated;reason=timeout | 0 full init");
    site.answer('d', 200);
    site.assert_ends();
}

// RFC 3263 §4.2: an answer that holds for no time at all is one for whoever has asked; and who can never be found is given up.
#[test]
fn a_name_whose_answers_do_not_last_is_asked_for_each_time() {
    let (mut site, mut n) = (Site::new(), 0);
    site.send('a', &by_name("600"));
    // What it is told first says nothing yet.
    for what in ["pending", "active", "active"] {
        site.log();
        site.resolve(&[peer::address('d').ip()]);
        site.pass(300);
        assert_eq!(site.log(), "d NOTIFY", "{what}");
        assert!(told_to('d', &site).contains(what));
        site.answer('d', 200);
        if what == "pending" {
            continue;
        }
        n += 1;
        site.pass(6000);
        while site.question().is_some() {}
        register(&mut site, &format!("<sip:alice@192.0.2.{n}>"), n);
    }
    let mut site = Site::new();
    site.send('a', &by_name("600"));
    site.pass(10_000);
    let journal = site.journal().join("\n");
    assert!(
        journal.contains("subscription ended") && journal.contains("reason=unreachable"),
        "{journal}"
    );
    site.assert_ends();
}
