//! RFC 3261 §10.3, step by step: a store of one address-of-record, and REGISTER requests in the order they arrive.

use strowger_syntax::{Index, Limits, Status};

use super::*;
use crate::reject::{Extra, Reject};
use crate::transport::Transport;

const START: u64 = 1_764_000_000;

struct Store {
    record: Vec<u8>,
    policy: Policy,
    now: u64,
}

/// A REGISTER: Call-ID, CSeq number, and header field lines. Its branch is made of both unless one is given.
struct Sent<'a>(&'a str, u32, &'a str);

impl Store {
    fn new() -> Self {
        Self {
            record: Vec::new(),
            policy: Policy {
                max_contacts: 3,
                ..Policy::default()
            },
            now: START,
        }
    }

    fn with_branch(&mut self, sent: &Sent<'_>, branch: &str) -> Result<Outcome, Reject> {
        let Sent(call_id, cseq, fields) = sent;
        let text = format!(
            "REGISTER sip:example.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK{branch}\r\n\
             From: <sip:a@example.test>;tag=1\r\nTo: <sip:a@example.test>\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} REGISTER\r\nUser-Agent: test\r\n{fields}Content-Length: 0\r\n\r\n"
        );
        let mut index = Index::default();
        let request = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request");
        let remote = ([192, 0, 2, 1], 5070).into();
        let origin = Origin {
            transport: Transport::Udp,
            listener: 0,
            from: None,
            remote,
            flow: None,
            pushed_elsewhere: false,
            translated: false,
        };
        let mut out = b"left from before".to_vec();
        let record = Bindings::new(&self.record);
        let (policy, mut contacts) = (&self.policy, Vec::new());
        let outcome = register(
            request,
            record,
            &origin,
            policy,
            self.now,
            &mut out,
            &mut contacts,
        );
        if matches!(outcome, Ok(Outcome::Changed(_))) {
            self.record = out;
        } else {
            assert!(out.is_empty(), "nothing to commit");
        }
        outcome
    }

    fn send(&mut self, call_id: &str, cseq: u32, fields: &str) -> Result<Outcome, Reject> {
        self.with_branch(&Sent(call_id, cseq, fields), &format!("{call_id}{cseq}"))
    }

    /// The Contact lines of an answer, in one string.
    fn contacts(&self) -> String {
        let mut out = Vec::new();
        write_contacts(Bindings::new(&self.record), self.now, &mut out);
        String::from_utf8(out)
            .expect("ASCII")
            .replace("Contact: ", "")
            .replace("\r\n", " ")
            .trim_end()
            .to_owned()
    }

    fn only(&self) -> Binding<'_> {
        let mut live = Bindings::new(&self.record).live(self.now);
        let first = live.next().expect("a binding");
        assert_eq!(live.next(), None);
        first
    }
}

fn changed(added: u16, refreshed: u16, removed: u16) -> Result<Outcome, Reject> {
    Ok(Outcome::Changed(Changes {
        added,
        refreshed,
        removed,
    }))
}

fn status(outcome: Result<Outcome, Reject>) -> u16 {
    outcome.expect_err("a refusal").status.code()
}

const A: &str = "Contact: <sip:a@192.0.2.1>\r\n";
const B: &str = "Contact: <sip:b@192.0.2.1>\r\n";
const REMOVE_A: &str = "Contact: <sip:a@192.0.2.1>;expires=0\r\n";
const REMOVE_ALL: &str = "Contact: *\r\nExpires: 0\r\n";

// §10.2.3.
#[test]
fn step_6_without_contact_it_is_a_query() {
    let mut store = Store::new();
    assert_eq!(store.send("x", 1, ""), Ok(Outcome::Fetch));
    assert_eq!(store.send("x", 2, "Expires: 0\r\n"), Ok(Outcome::Fetch));
    assert_eq!(store.send("x", 3, A), changed(1, 0, 0));
    assert_eq!(store.send("x", 1, ""), Ok(Outcome::Fetch), "whatever the CSeq");
    assert_eq!(store.contacts(), "<sip:a@192.0.2.1>;expires=3600");
}

// §10.2.2.
#[test]
fn step_6_star_stands_alone_and_with_expires_0() {
    for (fields, reason) in [
        ("Contact: *\r\n", "Contact * Without Expires 0"),
        ("Contact: *\r\nExpires: 60\r\n", "Contact * Without Expires 0"),
        ("Contact: *\r\nExpires: soon\r\n", "Contact * Without Expires 0"),
        (
            "Contact: *, <sip:a@192.0.2.1>\r\nExpires: 0\r\n",
            "Contact * Not Alone",
        ),
        (
            "Contact: *\r\nContact: *\r\nExpires: 0\r\n",
            "Contact * Not Alone",
        ),
        ("Contact: <sip:a@192.0.2.1\r\n", "Malformed Contact"),
        ("Contact: <sip:a@192.0.2.1>, <sip:>\r\n", "Malformed Contact"),
    ] {
        let mut store = Store::new();
        assert_eq!(store.send("x", 1, B), changed(1, 0, 0));
        let before = store.record.clone();
        let reject = store.send("x", 2, fields).expect_err(fields);
        assert_eq!(
            (reject.status, reject.reason),
            (Status::BAD_REQUEST, reason),
            "{fields}"
        );
        assert_eq!(store.record, before);
    }
}

#[test]
fn step_6_star_removes_all_unless_one_was_made_later() {
    let mut store = Store::new();
    assert_eq!(store.send("x", 5, A), changed(1, 0, 0));
    assert_eq!(store.send("y", 9, B), changed(1, 0, 0));
    for (late, refused) in [(5, 482), (4, 500)] {
        assert_eq!(
            status(store.with_branch(&Sent("x", late, REMOVE_ALL), "other")),
            refused
        );
        assert_eq!(
            Bindings::new(&store.record).live(START).count(),
            2,
            "all or nothing"
        );
    }
    assert_eq!(store.send("x", 6, REMOVE_ALL), changed(0, 0, 2));
    assert_eq!(store.contacts(), "");
    assert_eq!(
        store.send("x", 6, REMOVE_ALL),
        Ok(Outcome::Retransmission),
        "its retransmission"
    );
    assert_eq!(store.send("x", 7, REMOVE_ALL), changed(0, 0, 0), "nothing left");
    assert_eq!(
        store.send("y", 9, B),
        Ok(Outcome::Retransmission),
        "a duplicate does not bring it back"
    );
    assert_eq!(status(store.send("y", 8, B)), 500, "nor an earlier one");
    assert_eq!(store.contacts(), "");
}

// §10.2.1.1, §10.3 bullets 1 to 3.
#[test]
fn step_7_expiration_is_the_parameters_then_the_fields_then_the_default() {
    for (fields, granted) in [
        ("Contact: <sip:a@h>;expires=100\r\nExpires: 200\r\n", 100),
        ("Contact: <sip:a@h>\r\nExpires: 200\r\n", 200),
        ("Contact: sip:a@h;expires=300\r\n", 300),
        ("Contact: <sip:a@h>\r\n", 3600),
        ("Contact: <sip:a@h>;expires=99999\r\n", 7200),
        ("Contact: <sip:a@h>\r\nExpires: 99999999999\r\n", 7200),
        ("Contact: <sip:a@h>;expires=never\r\n", 3600),
        ("Contact: <sip:a@h>\r\nExpires: Thu, 01 Dec 1994\r\n", 3600),
        ("Contact: <sip:a@h>;expires=60\r\n", 60),
    ] {
        let mut store = Store::new();
        assert_eq!(store.send("x", 1, fields), changed(1, 0, 0), "{fields}");
        let binding = store.only();
        assert_eq!(u64::from(binding.expires_at), START + granted, "{fields}");
        assert_eq!(u64::from(binding.updated_at), START);
        store.now += granted - 1;
        assert!(store.contacts().ends_with(";expires=1"));
        store.now += 1;
        assert_eq!(store.contacts(), "");
    }
}

// §10.2.8.
#[test]
fn step_7_too_brief_is_423_below_an_hour_only_and_changes_nothing() {
    let mut store = Store::new();
    let two = "Contact: <sip:b@192.0.2.1>, <sip:a@192.0.2.1>;expires=59\r\n";
    let reject = store.send("x", 1, two).expect_err("too brief");
    assert_eq!((reject.status.code(), reject.extra), (423, Extra::MinExpires(60)));
    assert_eq!(store.contacts(), "", "all or nothing");
    store.policy.min_expires = 7200;
    assert_eq!(
        status(store.send("x", 2, "Contact: <sip:a@h>;expires=3599\r\n")),
        423
    );
    assert_eq!(
        store.send("x", 3, "Contact: <sip:a@h>;expires=3600\r\n"),
        changed(1, 0, 0)
    );
    assert_eq!(
        store.send("x", 4, "Contact: <sip:a@h>;expires=0\r\n"),
        changed(0, 0, 1),
        "0 is never too brief"
    );
}

#[test]
fn step_7_contacts_are_compared_as_uris() {
    let mut store = Store::new();
    let first =
        "Contact: \"A\" <sip:%61@EXAMPLE.test;transport=tcp>;q=0.5;+sip.instance=\"<urn:uuid:1>\"\r\n";
    assert_eq!(store.send("x", 1, first), changed(1, 0, 0));
    let same = "Contact: <sip:a@example.test;Transport=TCP;ob>;q=0.25\r\n";
    assert_eq!(store.send("x", 2, same), changed(0, 1, 0));
    assert_eq!(
        store.contacts(),
        "<sip:a@example.test;Transport=TCP;ob>;q=0.25;expires=3600"
    );
    assert_eq!(store.only().q, 250);
    for other in ["sip:A@example.test;transport=tcp", "sip:a@example.test"] {
        assert_eq!(
            store.send("x", 3, &format!("Contact: <{other}>\r\n")),
            changed(1, 0, 0),
            "{other}"
        );
        assert_eq!(
            store.send("x", 4, &format!("Contact: <{other}>;expires=0\r\n")),
            changed(0, 0, 1),
            "{other}"
        );
        store.record.clear();
        assert_eq!(store.send("x", 2, same), changed(1, 0, 0));
    }
}

#[test]
fn step_7_the_same_call_id_needs_a_higher_cseq() {
    let mut store = Store::new();
    assert_eq!(store.send("x", 5, A), changed(1, 0, 0));
    // §8.2.2.2: the same one that came on another way is no later one.
    for (late, refused) in [(5, 482), (4, 500), (0, 500)] {
        for contact in [A, REMOVE_A, REMOVE_ALL] {
            assert_eq!(
                status(store.with_branch(&Sent("x", late, contact), "other")),
                refused
            );
        }
    }
    assert_eq!(store.send("x", 6, A), changed(0, 1, 0));
    assert_eq!(
        store.send("y", 1, A),
        changed(0, 1, 0),
        "another Call-ID: a phone that was restarted"
    );
    assert_eq!(store.only().order.call_id, b"y");
    assert_eq!(store.send("z", 1, REMOVE_A), changed(0, 0, 1), "or another phone");
}

#[test]
fn step_7_all_or_nothing() {
    let mut store = Store::new();
    assert_eq!(store.send("x", 5, A), changed(1, 0, 0));
    let before = store.record.clone();
    let two = "Contact: <sip:b@192.0.2.1>\r\nContact: <sip:a@192.0.2.1>;expires=500\r\n";
    assert_eq!(status(store.with_branch(&Sent("x", 4, two), "other")), 500);
    assert_eq!(store.record, before, "b was not added either");
    assert_eq!(store.send("x", 6, two), changed(1, 1, 0));
    assert_eq!(
        store.contacts(),
        "<sip:a@192.0.2.1>;expires=500 <sip:b@192.0.2.1>;expires=3600"
    );
    let swap = "Contact: <sip:b@192.0.2.1>;expires=0, <sip:c@192.0.2.1>\r\n";
    assert_eq!(store.send("x", 7, swap), changed(1, 0, 1));
    assert_eq!(
        store.contacts(),
        "<sip:a@192.0.2.1>;expires=500 <sip:c@192.0.2.1>;expires=3600"
    );
}

#[test]
fn an_address_that_comes_twice_counts_as_given_last() {
    let mut store = Store::new();
    let twice = "Contact: <sip:a@192.0.2.1>;expires=100, <sip:%61@192.0.2.1>;expires=200\r\n";
    assert_eq!(store.send("x", 1, twice), changed(1, 0, 0));
    assert!(store.contacts().ends_with("expires=200"));
    let twice = "Contact: <sip:a@192.0.2.1>;expires=100, <sip:%61@192.0.2.1>;expires=0\r\n";
    assert_eq!(store.send("x", 2, twice), changed(0, 0, 1));
}

#[test]
fn a_retransmission_is_answered_again_and_commits_nothing() {
    let mut store = Store::new();
    assert_eq!(store.send("x", 1, A), changed(1, 0, 0));
    assert_eq!(store.send("x", 1, A), Ok(Outcome::Retransmission));
    assert_eq!(store.send("x", 2, REMOVE_A), changed(0, 0, 1));
    assert_eq!(store.send("x", 2, REMOVE_A), Ok(Outcome::Retransmission));
    assert_eq!(store.send("y", 1, A), changed(1, 0, 0));
    assert_eq!(
        store.send("z", 1, REMOVE_A),
        changed(0, 0, 1),
        "removed by another phone"
    );
    assert_eq!(store.send("y", 2, A), changed(1, 0, 0), "which comes back");
    assert_eq!(
        store.send("z", 1, REMOVE_A),
        Ok(Outcome::Retransmission),
        "late duplicate of the removal"
    );
    assert_eq!(store.contacts(), "<sip:a@192.0.2.1>;expires=3600");
}

#[test]
fn a_removed_binding_does_not_come_back_by_a_late_duplicate() {
    let mut store = Store::new();
    assert_eq!(store.send("x", 1, A), changed(1, 0, 0));
    assert_eq!(store.send("x", 2, A), changed(0, 1, 0));
    assert_eq!(store.send("x", 3, REMOVE_A), changed(0, 0, 1));
    assert_eq!(Bindings::new(&store.record).due(), START as u32 + TOMBSTONE_SECS);
    for late in [1, 2] {
        assert_eq!(status(store.send("x", late, A)), 500);
    }
    assert_eq!(
        store.send("x", 2, B),
        changed(1, 0, 0),
        "only that contact was removed"
    );
    assert_eq!(store.send("x", 4, A), changed(1, 0, 0), "a later one is meant");
    assert_eq!(store.send("x", 5, REMOVE_A), changed(0, 0, 1));
    store.now += u64::from(TOMBSTONE_SECS);
    assert_eq!(
        store.send("x", 3, A),
        changed(1, 0, 0),
        "no duplicate lives that long"
    );
    assert_eq!(
        Bindings::new(&store.record).entries().count(),
        2,
        "old tombstones are gone"
    );
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    let mut store = Store::new();
    assert_eq!(store.send("x", 1, REMOVE_A), changed(0, 0, 0));
    assert_eq!(store.send("x", 2, REMOVE_ALL), changed(0, 0, 0));
    assert_eq!(store.contacts(), "");
    assert_eq!(store.send("x", 3, A), changed(1, 0, 0));
    store.now += 3600;
    assert_eq!(store.send("x", 4, REMOVE_A), changed(0, 0, 0), "it has expired");
    assert_eq!(store.send("x", 1, A), changed(1, 0, 0), "and its order with it");
}

/// What would be RFC 3261 §17.2.2's in a server transaction: §10.3 step 6 alone would let them go.
#[test]
fn a_late_duplicate_of_what_removed_nothing_removes_nothing() {
    for removal in [REMOVE_ALL, REMOVE_A] {
        let mut store = Store::new();
        assert_eq!(store.send("x", 1, removal), changed(0, 0, 0));
        assert_eq!(store.send("y", 1, A), changed(1, 0, 0));
        store.now += 31;
        assert_eq!(store.send("x", 1, removal), Ok(Outcome::Retransmission));
        assert_eq!(store.contacts(), "<sip:a@192.0.2.1>;expires=3569");
        assert_eq!(store.send("x", 2, removal), changed(0, 0, 1), "another request");
    }
    let mut store = Store::new();
    for n in 0..100 {
        assert_eq!(store.send("x", n, REMOVE_ALL), changed(0, 0, 0));
    }
    assert!(
        Bindings::new(&store.record).entries().count() <= 33,
        "they are bounded"
    );
    store.now += 33;
    let mut left = Vec::new();
    unexpired(&store.record, store.now, &mut left);
    assert_eq!(left, b"", "and gone after 32 s");
}

#[test]
fn contacts_are_limited() {
    let mut store = Store::new();
    let three = "Contact: <sip:1@h>, <sip:2@h>, <sip:3@h>\r\n";
    assert_eq!(store.send("x", 1, three), changed(3, 0, 0));
    let full = store.send("x", 2, A).expect_err("full");
    assert_eq!(
        (full.status.code(), full.extra),
        (503, Extra::RetryAfter(3600)),
        "until a binding ends"
    );
    assert_eq!(
        store.send("x", 3, three),
        changed(0, 3, 0),
        "refreshing is no more"
    );
    assert_eq!(
        store.send("x", 4, "Contact: <sip:1@h>;expires=0, <sip:4@h>\r\n"),
        changed(1, 0, 1)
    );
    let mut many = "Contact: <sip:x@h>\r\n".repeat(65);
    assert_eq!(status(store.send("x", 5, &many)), 403);
    many = format!("Contact: <sip:x@h>;a={}\r\n", "a".repeat(5000));
    assert_eq!(
        status(store.send("x", 6, &(many + "Contact: <sip:2@h>;expires=0\r\n"))),
        513
    );
    for turn in 0..200 {
        assert_eq!(store.send("y", 2 * turn, REMOVE_ALL).map(|_| ()), Ok(()));
        assert_eq!(store.send("y", 2 * turn + 1, A), changed(1, 0, 0));
    }
    assert!(
        store.record.len() < 4096,
        "tombstones too: {} bytes",
        store.record.len()
    );
}

#[test]
fn a_contact_too_many_may_take_the_place_of_the_oldest() {
    let mut store = Store::new();
    store.policy.when_full = WhenFull::Replace;
    for (n, contact) in ["1", "2", "3"].into_iter().enumerate() {
        let made = store.send(contact, n as u32 + 1, &format!("Contact: <sip:{contact}@h>\r\n"));
        assert_eq!(made, changed(1, 0, 0));
    }
    assert_eq!(
        store.send("4", 1, "Contact: <sip:4@h>, <sip:5@h>\r\n"),
        changed(2, 0, 2)
    );
    assert_eq!(
        store.contacts(),
        "<sip:3@h>;expires=3600 <sip:4@h>;expires=3600 <sip:5@h>;expires=3600"
    );
    let late = store.with_branch(&Sent("1", 1, "Contact: <sip:1@h>\r\n"), "other");
    assert_eq!(status(late), 482, "a late duplicate does not bring it back");
    let four = "Contact: <sip:6@h>, <sip:7@h>, <sip:8@h>, <sip:9@h>\r\n";
    assert_eq!(status(store.send("6", 1, four)), 403);
}

#[test]
fn a_broken_binding_hides_the_others_until_the_next_change_only() {
    let mut store = Store::new();
    assert_eq!(store.send("x", 1, A), changed(1, 0, 0));
    let end = store.record.len();
    assert_eq!(store.send("y", 1, B), changed(1, 0, 0));
    // The transport, before listener, address, port and since when it is bound.
    store.record[end - 12] = 0xff;
    assert_eq!(store.contacts(), "");
    assert_eq!(store.send("y", 2, B), changed(0, 1, 0));
    assert_eq!(store.contacts(), "<sip:b@192.0.2.1>;expires=3600");
}

#[test]
fn rfc_3680_5_1_it_is_kept_since_when_a_contact_is_bound() {
    let mut store = Store::new();
    let since = |store: &Store| store.only().bound_at.map(|at| u64::from(at) - START);
    assert_eq!(store.send("x", 1, A), changed(1, 0, 0));
    store.now += 100;
    assert_eq!(store.send("x", 2, A), changed(0, 1, 0));
    assert_eq!(since(&store), Some(0), "the short way");
    // With another parameter, so that the whole procedure has it.
    let same = "Contact: <sip:a@192.0.2.1>;q=0.5\r\n";
    assert_eq!(store.send("x", 3, same), changed(0, 1, 0));
    assert_eq!(since(&store), Some(0));
    store.now += 4000;
    assert_eq!(store.send("x", 4, A), changed(1, 0, 0));
    assert_eq!(since(&store), Some(4100), "it had expired");
}

#[test]
fn rfc_3327_5_3_path_is_kept_for_those_who_support_it() {
    let mut store = Store::new();
    let path =
        "Path: <sip:p3.example.test;lr>,<sip:p2.example.test;lr>\r\nPath: <sip:p1.example.test;lr>\r\n";
    let reject = store
        .send("x", 1, &format!("{A}{path}"))
        .expect_err("no Supported: path");
    assert_eq!(reject.status.code(), 420);
    assert_eq!(
        status(store.send("x", 2, &format!("{A}Path: nonsense\r\nSupported: path\r\n"))),
        400
    );
    assert_eq!(
        store.send("x", 3, &format!("{A}{path}Supported: gruu, Path\r\n")),
        changed(1, 0, 0)
    );
    let joined: &[u8] = b"<sip:p3.example.test;lr>,<sip:p2.example.test;lr>,<sip:p1.example.test;lr>";
    assert_eq!(store.only().path, joined);
    store.policy.path = PathPolicy::Keep;
    assert_eq!(
        store.send("x", 4, &format!("{A}Path: <sip:p.example.test;lr>\r\n")),
        changed(0, 1, 0)
    );
    assert_eq!(store.only().path, b"<sip:p.example.test;lr>");
}

// §10.2.1.2, §10.2.4.
#[test]
fn step_8_every_contact_has_its_parameters_and_its_remaining_seconds() {
    let mut store = Store::new();
    let fields = "m: \"X\" <sip:a@192.0.2.1:5061;ob> ; expires=100 ;q=0.7; +sip.instance=\"<urn:uuid:1>\",\r\n \
                  <tel:+15551234>;expires=200\r\n";
    assert_eq!(store.send("x", 1, fields), changed(2, 0, 0));
    store.now += 40;
    let expected = "<sip:a@192.0.2.1:5061;ob>;q=0.7;+sip.instance=\"<urn:uuid:1>\";expires=60 <tel:+15551234>;expires=160";
    assert_eq!(store.contacts(), expected);
    store.now += 60;
    assert_eq!(store.contacts(), "<tel:+15551234>;expires=100");
}

// §10.2.5, and §8.2.4: Path goes back to those alone who support it, since others are refused.
#[test]
fn step_8_path_and_date_are_in_the_answer() {
    let text = "REGISTER sip:example.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
                From: <sip:a@example.test>;tag=1\r\nTo: <sip:a@example.test>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n\
                Path: <sip:p2.example.test;lr>\r\nPath: <sip:p1.example.test;lr>\r\nContent-Length: 0\r\n\r\n";
    let mut index = Index::default();
    let request = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request");
    let mut out = Vec::new();
    write_answer(
        request,
        Bindings::default(),
        &Told {
            flow_timer: 120,
            ..Told::default()
        },
        0,
        &mut DateLine::default(),
        &mut out,
    );
    let expected = "Path: <sip:p2.example.test;lr>\r\nPath: <sip:p1.example.test;lr>\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    assert_eq!(String::from_utf8_lossy(&out), expected);
}

// What a store does not take is refused with the reason, and can be removed.
#[test]
fn contacts_that_are_too_large_together_are_refused() {
    let mut store = Store::new();
    store.policy.max_contacts = 20;
    let contact = |number: u32| format!("Contact: <sip:{number}{}@192.0.2.1>\r\n", "x".repeat(4000));
    let mut bound = 0;
    let reject = loop {
        match store.send("x", bound + 1, &contact(bound)) {
            Ok(_) => bound += 1,
            Err(reject) => break reject,
        }
    };
    assert_eq!((reject.status.code(), bound), (513, 8));
    assert_eq!(reject.reason, "Contacts Too Large Together");
    assert_eq!(
        store.send("x", 20, &contact(3).replace('>', ">;expires=0")),
        changed(0, 0, 1)
    );
    assert_eq!(
        store.send("x", 21, &contact(9)),
        changed(1, 0, 0),
        "the tombstone makes room"
    );
    let all = "Contact: *\r\nExpires: 0\r\n";
    assert_eq!(store.send("y", 1, all), changed(0, 0, 8));
    assert!(store.record.len() <= LARGEST_RECORD);
}

#[test]
fn an_instance_id_is_bounded() {
    let mut store = Store::new();
    let contact = |len| format!("Contact: <sip:a@h>;+sip.instance=\"<{}>\"\r\n", "X".repeat(len));
    assert_eq!(status(store.send("x", 1, &contact(257))), 400);
    assert_eq!(store.send("x", 2, &contact(256)), changed(1, 0, 0));
}
