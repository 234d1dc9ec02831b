//! Another configuration under a node that runs: what was begun goes on, what was worked out is worked out anew.

use strowger_sip::auth::Algorithm;
use strowger_testkit::message::{in_dialog, request, routed};
use strowger_testkit::reload::Next;
use strowger_testkit::{Plan, Site};

const BOB: &str = "sip:bob@example.test";

#[test]
fn a_call_that_was_begun_before_ends_as_it_would_have() {
    for shards in [1, 3] {
        let mut site = Site::of(Plan {
            shards,
            ..Plan::default()
        });
        site.register('b');
        site.send('a', &request('a', "INVITE", BOB, 1));
        site.answer('b', 180);
        assert_eq!(site.log(), "a 100, b INVITE, a 180");
        let next = Next {
            domains: &["other.test"],
            live: &[2, 1],
            ..Next::default()
        };
        site.reload(&next);
        site.answer('b', 486);
        assert_eq!(site.log(), "b ACK, a 486");
        site.assert_ends();

        site.reload(&Next::default());
        let ok = site.call(2);
        site.reload(&next);
        site.send('a', &routed(&in_dialog("BYE", &ok, 2), &ok));
        site.answer('b', 200);
        assert_eq!(site.log(), "b BYE, a 200");
        site.assert_ends();
    }
}

#[test]
fn domains_are_forgotten_and_found_anew() {
    let mut site = Site::new();
    site.register('b');
    let options = request('a', "OPTIONS", "sip:example.test", 1);
    assert!(site.ask('a', &options).starts_with("SIP/2.0 200"));
    for n in 2..4 {
        site.send('a', &request('a', "MESSAGE", BOB, n));
        site.answer('b', 200);
        assert_eq!(site.log(), "b MESSAGE, a 200");
    }
    site.reload(&Next {
        domains: &["other.test"],
        ..Next::default()
    });
    for method in ["OPTIONS", "MESSAGE", "REGISTER"] {
        let answer = site.ask('a', &request('a', method, BOB, 5));
        assert!(answer.starts_with("SIP/2.0 40"), "{answer}");
    }
    site.reload(&Next::default());
    site.send('a', &request('a', "MESSAGE", BOB, 6));
    site.answer('b', 200);
    assert_eq!(site.log(), "b MESSAGE, a 200");
}

#[test]
fn challenges_are_those_of_the_configuration_in_force() {
    let mut site = Site::of(Plan {
        challenged: &["REGISTER"],
        ..Plan::default()
    });
    let register = request('a', "REGISTER", "sip:example.test", 1);
    assert!(site.ask('a', &register).contains("algorithm=MD5"));
    site.reload(&Next {
        policy: |policy| policy.algorithms = vec![Algorithm::Sha256],
        ..Next::default()
    });
    let answer = site.ask('a', &register);
    assert!(
        answer.contains("algorithm=SHA-256") && !answer.contains("MD5"),
        "{answer}"
    );
    site.reload(&Next {
        policy: |policy| policy.challenged.clear(),
        ..Next::default()
    });
    site.register('a');
}

#[test]
fn a_listener_that_is_going_takes_nothing_new_and_others_go_on() {
    let mut site = Site::new();
    site.register('b');
    let ok = site.call(1);
    site.reload(&Next {
        live: &[1, 2],
        ..Next::default()
    });
    for method in ["INVITE", "MESSAGE", "REGISTER"] {
        let to = if method == "REGISTER" {
            "sip:example.test"
        } else {
            BOB
        };
        let answer = site.ask('a', &request('a', method, to, 2));
        assert!(answer.starts_with("SIP/2.0 503"), "{answer}");
        assert!(answer.contains("Retry-After: "), "{answer}");
    }
    site.send('a', &routed(&in_dialog("BYE", &ok, 1), &ok));
    site.answer('b', 200);
    assert_eq!(site.log(), "b BYE, a 200");
    site.assert_ends();
}
