//! RFC 3261: copies of a SUBSCRIBE that come another way, as they do when it was forked on its way here.

use strowger_testkit::message::{authorize, lines, request, start_line};
use strowger_testkit::{Plan, Scratch, Site};

use super::{accepted, again, anew, digest, subscribe};

const LOOP: &str = "SIP/2.0 482 Loop Detected";

/// The same request by another way.
fn copy(text: &str) -> String {
    text.replace("z9hG4bK", "z9hG4bKelsewhere")
}

// §8.2.2.2: the first one counts.
#[test]
fn a_subscribe_that_came_another_way_before_makes_no_second_subscription() {
    for is_challenged in [false, true] {
        let mut site = if is_challenged {
            digest(&[], &[])
        } else {
            Site::new()
        };
        let mut first = subscribe(1, "600");
        if is_challenged {
            let challenge = site.ask('a', &first);
            first = authorize(&anew(&first, 2), &challenge, "alice", 1);
        }
        let ok = accepted(&mut site, &first);
        site.answer('a', 200);
        site.log();
        // Credentials that were used once are not told stale: it would be asked for again, and make one then.
        let refused = site.ask('a', &copy(&first));
        assert_eq!(start_line(&refused), LOOP);
        assert_eq!(site.log(), "");
        // What came first comes again as often as it likes, and its dialog goes on.
        assert_eq!(site.ask('a', &first), ok);
        if !is_challenged {
            accepted(&mut site, &again(&first, &ok, 2, 900));
        }
    }
}

// §8.2.2.2: From tag, Call-ID and CSeq, of what is under way.
#[test]
fn only_what_is_the_same_is_merged() {
    let mut site = Site::new();
    let first = subscribe(1, "600");
    accepted(&mut site, &first);
    site.answer('a', 200);
    let tag = lines(&first, "From")[0].split_once(";tag=").expect("a tag").1;
    for other in [
        copy(&first)
            .replace(&format!(";tag={tag}"), ";tag=other")
            .replace("z9hG4bK", "z9hG4bKtag"),
        copy(&first)
            .replace("Call-ID: ", "Call-ID: other")
            .replace("z9hG4bK", "z9hG4bKcall"),
    ] {
        accepted(&mut site, &other);
        site.answer('a', 200);
    }
    // Its transaction is over then.
    site.pass(31_000);
    assert_eq!(start_line(&site.ask('a', &copy(&first))), LOOP);
    site.pass(1_000);
    accepted(&mut site, &copy(&first).replace("z9hG4bK", "z9hG4bKlate"));
}

// §8.2.2.2: a poll has no subscription any more, but a transaction.
#[test]
fn a_poll_is_answered_once() {
    let mut site = Site::new();
    let poll = subscribe(1, "0");
    accepted(&mut site, &poll);
    site.answer('a', 200);
    site.log();
    assert_eq!(start_line(&site.ask('a', &copy(&poll))), LOOP);
    assert_eq!(site.log(), "");
    // The next poll has a higher number.
    accepted(
        &mut site,
        &poll
            .replace("CSeq: 1 ", "CSeq: 2 ")
            .replace("z9hG4bK", "z9hG4bKnext"),
    );
    site.answer('a', 200);
    site.assert_ends();
}

// §8.2.2.2: also before the first one is answered.
#[test]
fn a_copy_is_refused_while_the_first_one_waits_for_the_disk() {
    let dir = Scratch::new();
    let mut site = Site::of(Plan {
        subscriptions_in: Some(dir.path().to_owned()),
        ..Plan::default()
    });
    site.send('a', &subscribe(1, "600"));
    assert_eq!(start_line(&site.ask('a', &copy(&subscribe(1, "600")))), LOOP);
    site.log();
    site.subscription_kept();
    assert_eq!(site.log(), "a 200, a NOTIFY");
}

// §8.2.7, §8.2.2.2: no transaction is under way that it could be merged with.
#[test]
fn each_copy_of_an_options_is_answered() {
    let mut site = Site::new();
    let options = request('a', "OPTIONS", "sip:example.test", 1);
    for text in [&options, &copy(&options)] {
        assert_eq!(start_line(&site.ask('a', text)), "SIP/2.0 200 OK");
    }
}
