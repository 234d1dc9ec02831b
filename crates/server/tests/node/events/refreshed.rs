//! Who may go on with a subscription (RFC 6665 §4.2.1.3), and how often (§4.2.2).

use strowger_testkit::message::{authorize, lines, registration, start_line};
use strowger_testkit::reload::Next;
use strowger_testkit::{Plan, Site};

use super::{accepted, again, anew, digest, subscribe, subscribed, told};

/// A SUBSCRIBE in the dialog that `ok` made, with the credentials of somebody.
fn by(site: &mut Site, user: &str, text: &str, cseq: u32) -> String {
    let bare: String = text
        .split_inclusive("\r\n")
        .filter(|line| !line.starts_with("Authorization"))
        .collect();
    let challenge = site.ask('a', &bare);
    assert!(challenge.starts_with("SIP/2.0 401 "), "{challenge}");
    let text = authorize(
        &bare.replace("z9hG4bK", &format!("z9hG4bKby{cseq}")),
        &challenge,
        user,
        1,
    );
    site.send('a', &text);
    start_line(site.last('a', "SIP/2.0")).to_owned()
}

// RFC 6665 §4.2.1.3: to know a dialog is no leave to go on with it.
#[test]
fn only_who_began_a_subscription_refreshes_it() {
    let mut site = digest(&["bob@example.test"], &["192.0.2.14"]);
    let first = subscribe(1, "600");
    let challenge = site.ask('a', &first);
    let own = authorize(&anew(&first, 2), &challenge, "alice", 1);
    let ok = accepted(&mut site, &own);
    site.answer('a', 200);
    site.log();
    let refresh = |cseq: u32| again(&own, &ok, cseq, 900).replace("CSeq: 2 ", &format!("CSeq: {cseq} "));
    // Not even a watcher, or who may speak for everybody.
    let stranger = refresh(3).replace("From: <sip:alice@", "From: <sip:bob@");
    assert_eq!(by(&mut site, "bob", &stranger, 3), "SIP/2.0 403 Forbidden");
    assert_eq!(start_line(&site.ask('e', &stranger)), "SIP/2.0 403 Forbidden");
    assert!(!site.log().contains("NOTIFY"));
    // By another name it is the same user.
    let alias = refresh(4).replace("From: <sip:alice@", "From: <sip:1001@");
    assert_eq!(by(&mut site, "alice", &alias, 4), "SIP/2.0 200 OK");
    site.answer('a', 200);
    assert_eq!(by(&mut site, "alice", &refresh(5), 5), "SIP/2.0 200 OK");
}

#[test]
fn without_digest_too_a_refresh_comes_from_who_began() {
    let mut site = Site::new();
    let (first, ok) = subscribed(&mut site);
    let stranger = again(&first, &ok, 2, 900).replace("From: <sip:alice@", "From: <sip:alice@elsewhere.");
    let refused = site.ask('a', &stranger);
    assert_eq!(start_line(&refused), "SIP/2.0 403 Forbidden");
    accepted(&mut site, &again(&first, &ok, 2, 900));
}

// RFC 6665 §4.2.1.3: by what is in force now.
#[test]
fn who_may_watch_no_longer_does_not_refresh() {
    let mut site = digest(&["carol@example.test"], &[]);
    let first = subscribe(1, "600").replace("From: <sip:alice@", "From: <sip:carol@");
    let challenge = site.ask('a', &first);
    let own = authorize(&anew(&first, 2), &challenge, "carol", 1);
    let ok = accepted(&mut site, &own);
    site.answer('a', 200);
    let refresh = |cseq: u32| again(&own, &ok, cseq, 900).replace("CSeq: 2 ", &format!("CSeq: {cseq} "));
    assert_eq!(by(&mut site, "carol", &refresh(3), 3), "SIP/2.0 200 OK");
    site.answer('a', 200);
    site.reload(&Next {
        policy: |policy| policy.events.watchers = [].into(),
        ..Next::default()
    });
    // RFC 6665 §4.1.3: and is told so, without the state.
    assert_eq!(told(&site), "3 terminated;reason=rejected | ");
    site.log();
    let refused = by(&mut site, "carol", &refresh(4), 4);
    assert!(refused.starts_with("SIP/2.0 481 "), "{refused}");
    assert!(!site.log().contains("NOTIFY"));
    let anew = first.replace("call1", "anew").replace("z9hG4bK", "z9hG4bKanew");
    assert_eq!(by(&mut site, "carol", &anew, 5), "SIP/2.0 403 Forbidden");
}

// RFC 6665 §4.2.2: whoever refreshes often and answers nothing is sent the last notification again, not each of them.
#[test]
fn one_notification_is_under_way_however_often_it_is_refreshed() {
    let mut site = Site::new();
    let (first, ok) = subscribed(&mut site);
    for cseq in 2..=30 {
        accepted(&mut site, &again(&first, &ok, cseq, 900));
        assert_eq!(site.log(), "a 200, a NOTIFY", "{cseq}");
    }
    site.pass(600);
    assert_eq!(site.log(), "a NOTIFY");
    let last = site.last('a', "NOTIFY ").to_owned();
    assert_eq!(lines(&last, "CSeq"), ["30 NOTIFY"]);
    site.answer('a', 200);
    site.pass(4000);
    assert_eq!(site.log(), "");
}

// RFC 6665 §6.3: refreshes take no more transactions than everything else that was begun.
#[test]
fn refreshes_are_limited_as_all_requests_are() {
    let mut site = Site::of(Plan {
        max_transactions: 40,
        ..Plan::default()
    });
    let (first, ok) = subscribed(&mut site);
    let mut refused = 0;
    for cseq in 2..=400 {
        site.send('a', &again(&first, &ok, cseq, 900));
        let answer = site.last('a', "SIP/2.0").to_owned();
        if answer.starts_with("SIP/2.0 503 ") {
            assert_eq!(lines(&answer, "Retry-After"), ["5"]);
            refused += 1;
        }
    }
    assert!(refused >= 350, "{refused}");
    // It was not lost.
    site.answer('a', 200);
    site.pass(32_000);
    site.send('a', &again(&first, &ok, 500, 900));
    assert_eq!(start_line(site.last('a', "SIP/2.0")), "SIP/2.0 200 OK");
}

// RFC 6665 §4.1.3: a user who is removed is told nothing more, of nobody.
#[test]
fn a_subscription_of_a_user_who_is_removed_ends() {
    for (user, reason) in [("alice", "noresource"), ("carol", "rejected")] {
        let mut site = digest(&["carol@example.test"], &["192.0.2.14"]);
        let first = subscribe(1, "600").replace("From: <sip:alice@", &format!("From: <sip:{user}@"));
        let challenge = site.ask('a', &first);
        let own = authorize(&anew(&first, 2), &challenge, user, 1);
        accepted(&mut site, &own);
        site.answer('a', 200);
        site.pass(6000);
        // Somebody who is there goes on being told.
        let text = registration('e', "sip:alice@example.test", "<sip:alice@192.0.2.10>", 1);
        site.send('e', &text);
        assert!(told(&site).starts_with("2 active"), "{}", told(&site));
        site.answer('a', 200);
        site.remove_user(&format!("{user}@example.test"));
        site.pass(6000);
        let text = registration(
            'e',
            "sip:alice@example.test",
            "<sip:alice@192.0.2.10>;expires=0",
            2,
        );
        site.send('e', &text);
        let end = told(&site);
        assert!(
            end.starts_with(&format!("3 terminated;reason={reason} ")),
            "{end}"
        );
        assert_eq!(end.ends_with("| "), user == "carol", "{end}");
        site.answer('a', 200);
    }
}
