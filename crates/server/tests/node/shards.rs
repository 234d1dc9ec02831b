//! Several shards: whatever arrives where, the messages of a call meet.

use strowger_testkit::message::{lines, request, start_line, with};
use strowger_testkit::peer::address;
use strowger_testkit::{Plan, Site};

const BOB: &str = "sip:bob@example.test";

fn site() -> Site {
    let mut site = Site::of(Plan {
        shards: 3,
        ..Plan::default()
    });
    site.register('b');
    site
}

#[test]
fn a_call_goes_through_whichever_shard_its_messages_arrive_at() {
    for (i, arrivals) in [
        [0, 0, 0, 0],
        [0, 1, 2, 0],
        [2, 2, 1, 1],
        [1, 0, 0, 2],
        [2, 1, 0, 2],
    ]
    .into_iter()
    .enumerate()
    {
        let mut site = site();
        let n = 10 + i as u32;
        let invite = request('a', "INVITE", BOB, n);
        site.arrival = arrivals[0];
        let owner = site.send('a', &invite);
        site.arrival = arrivals[1];
        assert_eq!(site.send('a', &invite), owner, "the retransmission");
        site.arrival = arrivals[2];
        site.answer('b', 180);
        site.arrival = arrivals[3];
        assert_eq!(site.send('a', &request('a', "CANCEL", BOB, n)), owner);
        assert_eq!(site.log(), "a 100, b INVITE, a 100, a 180, a 200, b CANCEL");
        site.answer_cancel('b', 200);
        site.answer('b', 487);
        assert_eq!(site.log(), "b ACK, a 487");
        site.send('a', &request('a', "ACK", BOB, n));
        site.assert_ends();
    }
}

// However the Call-ID is written, a CANCEL finds its INVITE.
#[test]
fn a_folded_or_compact_call_id_leads_to_the_same_shard() {
    for n in 0..12 {
        let mut site = site();
        site.arrival = n as usize % 3;
        let owner = site.send(
            'a',
            &request('a', "INVITE", BOB, n).replace("Call-ID: ", "Call-ID:\r\n   "),
        );
        site.answer('b', 180);
        site.log();
        site.arrival = (n as usize / 3) % 3;
        let cancel = request('a', "CANCEL", BOB, n).replace("Call-ID: ", "i :");
        assert_eq!(site.send('a', &cancel), owner);
        assert_eq!(site.log(), "a 200, b CANCEL");
    }
}

#[test]
fn every_shard_has_its_share_of_the_calls() {
    let mut site = site();
    let mut owned = [0; 3];
    for n in 0..60 {
        owned[site.send('a', &request('a', "MESSAGE", BOB, n))] += 1;
    }
    assert!(owned.iter().all(|&n| n > 5), "{owned:?}");
}

// A request that lacks a usable Call-ID is answered where it arrived.
#[test]
fn a_request_without_a_usable_call_id_is_answered_where_it_arrived() {
    for at in 0..3 {
        let mut site = site();
        site.arrival = at;
        let none = request('a', "MESSAGE", BOB, 1).replace("Call-ID:", "X-Call-ID:");
        let odd = request('a', "MESSAGE", BOB, 1).replace("Call-ID: call1@a", "Call-ID: @@ <>");
        for (text, answer) in [(none, "400 Missing Call-ID"), (odd, "400 Malformed Call-ID")] {
            assert_eq!(start_line(&site.ask('a', &text)), format!("SIP/2.0 {answer}"));
            assert_eq!(site.send('a', &text), at);
        }
        site.assert_ends();
    }
}

#[test]
fn what_one_shard_registers_the_others_know() {
    for n in 0..6 {
        let mut site = Site::of(Plan {
            shards: 3,
            ..Plan::default()
        });
        site.arrival = n as usize % 3;
        site.register('b');
        site.send('a', &request('a', "MESSAGE", BOB, n));
        assert_eq!(site.log(), "b MESSAGE");
    }
}

// The kernel may tell any socket of the port of an ICMP error. It counts for the transaction that its branch names, and
// for none of the shard that it came to.
#[test]
fn an_icmp_error_ends_its_transaction_whichever_shard_it_comes_to() {
    for at in 0..3 {
        let mut site = site();
        let mut owned = [0; 3];
        for n in 0..40 {
            owned[site.send('a', &request('a', "INVITE", BOB, n))] += 1;
        }
        assert!(owned.iter().all(|&n| n > 0));
        site.log();
        site.icmp(at, 'b');
        assert_eq!(site.log(), "a 500");
        let call_id = lines(site.last('b', "INVITE"), "Call-ID")[0].to_owned();
        assert_eq!(lines(site.last('a', "SIP/2.0 500"), "Call-ID"), [call_id]);
    }
}

/// The shard that a branch of ours names.
fn owner_of(forwarded: &str) -> usize {
    let via = lines(forwarded, "Via")[0];
    let branch = via.split("branch=z9hG4bKt").nth(1).expect("our branch");
    usize::from_str_radix(&branch[..4], 16).expect("a number")
}

#[test]
fn a_response_to_a_shard_that_does_not_exist_is_dropped() {
    let mut site = site();
    site.send('a', &request('a', "INVITE", BOB, 1));
    site.log();
    let response = site.response('b', 200, "");
    let shard = format!("z9hG4bKt{:04x}", owner_of(&response));
    for forged in ["z9hG4bKt0003", "z9hG4bKtffff", "z9hG4bKt00zz"] {
        site.send('b', &response.replacen(&shard, forged, 1));
        assert_eq!(site.log(), "");
    }
}

#[test]
fn a_name_is_answered_to_the_shard_that_asked() {
    for n in 0..6 {
        let trusted = &["192.0.2.10/32"][..];
        let mut site = Site::of(Plan {
            shards: 3,
            trusted,
            ..Plan::default()
        });
        let owner = site.send('a', &with(&request('a', "MESSAGE", "sip:x@far.test", n), "X: y"));
        let question = site.question().expect("a question");
        assert_eq!(question.asker.map(|(shard, _)| usize::from(shard)), Some(owner));
        site.answer_question(&question, &[address('f').ip()]);
        assert_eq!(site.log(), "f MESSAGE");
    }
}
