use strowger_syntax::{Index, Limits};

use super::*;
use crate::registrar::{Bindings, Origin, Outcome, Policy, register};
use crate::transport::Transport;

const START: u64 = 1_764_000_000;

/// The record of an address-of-record, and the time.
struct Store(Vec<u8>, u64);

impl Store {
    fn new() -> Self {
        Self(Vec::new(), START)
    }

    /// Registers a contact of a phone that knows of GRUUs or not; its instance and what follows.
    fn register(&mut self, call_id: &str, cseq: u32, contact: &str, params: &str, knows_gruu: bool) {
        let text = format!(
            "REGISTER sip:example.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{call_id}{cseq}\r\n\
             From: <sip:a@example.test>;tag=1\r\nTo: <sip:a@example.test>\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} REGISTER\r\nContact: <sip:a@{contact}>;+sip.instance=\"<urn:uuid:{params}\r\n\
             {}Content-Length: 0\r\n\r\n",
            if knows_gruu {
                "Supported: path, GRUU\r\n"
            } else {
                ""
            }
        );
        let mut index = Index::default();
        let request = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request");
        let origin = Origin {
            transport: Transport::Udp,
            listener: 0,
            from: None,
            remote: ([192, 0, 2, 1], 5070).into(),
            flow: None,
            pushed_elsewhere: false,
        };
        let (mut next, mut contacts) = (Vec::new(), Vec::new());
        let record = Bindings::new(&self.0);
        let policy = Policy::default();
        let outcome = register(
            request,
            record,
            &origin,
            &policy,
            self.1,
            &mut next,
            &mut contacts,
        );
        assert!(matches!(outcome, Ok(Outcome::Changed(_))), "{outcome:?}");
        self.0 = next;
        self.1 += 1;
    }

    fn epochs(&self) -> Vec<Option<Epoch>> {
        Bindings::new(&self.0)
            .live(self.1)
            .map(|binding| binding.epoch)
            .collect()
    }

    /// Epoch and first CSeq of each contact.
    fn held<const N: usize>(&self) -> [(u32, u32); N] {
        let epochs = self.epochs().into_iter();
        let held: Vec<_> = epochs
            .map(|epoch| epoch.map_or((0, 0), |epoch| (epoch.id, epoch.first_cseq)))
            .collect();
        held.try_into().expect("so many contacts")
    }
}

// RFC 5627 §5.1, §5.4
#[test]
fn an_epoch_lasts_as_long_as_the_call_id_stays() {
    let mut store = Store::new();
    store.register("x", 1, "192.0.2.1", "1>\"", true);
    let [(epoch, first)] = store.held();
    assert_eq!(first, 1);
    for cseq in 2..5 {
        store.register("x", cseq, "192.0.2.1", "1>\"", true);
        assert_eq!(store.held(), [(epoch, 1)]);
    }
    store.register("x", 5, "192.0.2.1", "1>\"", false);
    assert_eq!(store.held(), [(epoch, 1)], "whether it says so each time or not");
    store.register("x", 6, "192.0.2.2", "1>\"", true);
    assert_eq!(
        store.held(),
        [(epoch, 1), (epoch, 1)],
        "another contact of the instance"
    );
    store.register("x", 7, "192.0.2.3", "2>\"", true);
    let [.., (other, first)] = store.held::<3>();
    assert!(other != epoch && first == 7, "another instance");
}

// RFC 5627 §5.1, §9
#[test]
fn another_call_id_begins_an_epoch_for_all_contacts_of_the_instance() {
    let mut store = Store::new();
    store.register("x", 1, "192.0.2.1", "1>\"", true);
    store.register("y", 1, "192.0.2.9", "9>\"", true);
    let [(before, _), other] = store.held();
    store.register("z", 7, "192.0.2.2", "1>\"", true);
    let [old, same, new] = store.held();
    assert_eq!(same, other, "that of another instance");
    assert_eq!(old, (new.0, 2), "none is left of the old contact's Call-ID");
    assert!(new.0 != before && new.1 == 7);
    store.register("z", 8, "192.0.2.2", "1>\"", true);
    assert_eq!(store.held(), [old, same, new]);
    store.register("x", 9, "192.0.2.2", "1>\"", true);
    let [.., back] = store.held::<3>();
    assert!(
        back.0 != before && back.0 != new.0,
        "the first Call-ID again is another one again"
    );
}

// RFC 5627 §4.1, §4.2, §5.1
#[test]
fn flows_have_call_ids_of_their_own_and_one_epoch() {
    let mut store = Store::new();
    store.register("x", 1, "192.0.2.1", "1>\";reg-id=1", true);
    store.register("y", 4, "192.0.2.2", "1>\";reg-id=2", true);
    let [(epoch, _), second] = store.held();
    assert_eq!(second, (epoch, 4), "another flow changes nothing");
    store.register("y", 5, "192.0.2.2", "1>\";reg-id=2", true);
    assert_eq!(store.held(), [(epoch, 1), (epoch, 4)]);
    store.register("z", 2, "192.0.2.1", "1>\";reg-id=1", true);
    let [first, second] = store.held();
    assert!(first.0 != epoch, "a flow's Call-ID has changed");
    assert_eq!(
        (first.1, second),
        (2, (first.0, 6)),
        "for the instance as a whole"
    );
}

// RFC 5627 §5.3
#[test]
fn an_epoch_ends_with_the_last_contact_of_the_instance() {
    let mut store = Store::new();
    store.register("x", 1, "192.0.2.1", "1>\"", true);
    let [(epoch, _)] = store.held();
    store.register("x", 2, "192.0.2.2", "1>\"", true);
    store.register("x", 3, "192.0.2.1", "1>\";expires=0", true);
    assert_eq!(store.held(), [(epoch, 1)], "there is one left");
    store.register("x", 4, "192.0.2.2", "1>\";expires=0", true);
    store.register("x", 5, "192.0.2.2", "1>\"", true);
    let [(next, first)] = store.held();
    assert!(next != epoch && first == 5);
    store.1 += 8000;
    assert_eq!(store.epochs(), []);
    store.register("x", 6, "192.0.2.2", "1>\"", true);
    assert!(store.held::<1>()[0].0 != next, "it had expired");
}

// RFC 5627 §5.1
#[test]
fn phones_that_know_no_gruus_have_none_of_them_kept() {
    let mut store = Store::new();
    store.register("x", 1, "192.0.2.1", "1>\"", false);
    assert_eq!(store.epochs(), [None]);
    store.register("x", 2, "192.0.2.1", "1>\"", true);
    assert_eq!(store.held::<1>()[0].1, 2, "now it knows");
    store.register("y", 3, "192.0.2.1", "1>\"", false);
    assert_eq!(store.epochs(), [None], "another Call-ID, and it does not");
}
