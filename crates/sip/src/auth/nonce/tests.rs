use std::sync::atomic::AtomicUsize;

use super::*;

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
const KEY: MacKey = MacKey::new([3; 16]);

fn table(slots: usize) -> NonceTable {
    NonceTable::new(9, slots, 300)
}

#[test]
fn a_nonce_is_read_back_and_none_other_is() {
    let table = table(4);
    table.issue(&KEY, SOURCE, 1_000);
    let nonce = table.issue(&KEY, SOURCE, 1_764_000_000);
    let stamp = Stamp {
        issued_secs: 1_764_000_000,
        serial: 1,
    };
    let open = |nonce: &[u8], source| Stamp::open(nonce, &table, &KEY, source);
    assert_eq!(open(nonce.as_bytes(), SOURCE), Some(stamp));
    let other_key = MacKey::new([4; 16]);
    assert_eq!(Stamp::open(nonce.as_bytes(), &table, &other_key, SOURCE), None);
    let ip = |text: &str| text.parse().expect("an address");
    assert_eq!(open(nonce.as_bytes(), ip("192.0.2.8")), None);
    assert_eq!(open(nonce.as_bytes(), ip("2001:db8::c000:207")), None);
    assert_eq!(open(nonce.as_bytes(), ip("::ffff:192.0.2.7")), Some(stamp));
    let [v6, v6_elsewhere] = [ip("2001:db8::7"), ip("2001:db8:0:1::7")];
    let of_v6 = table.issue(&KEY, v6, 1_764_000_000);
    assert!(open(of_v6.as_bytes(), v6).is_some());
    assert_eq!(open(of_v6.as_bytes(), v6_elsewhere), None);
    for at in 0..NONCE_LEN {
        let mut forged = nonce.0;
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(open(&forged, SOURCE), None);
    }
    for garbage in [
        &b""[..],
        b"x",
        &[b'A'; 25],
        &[b'='; 24],
        &[0xff; 24],
        b"dcd98b7102dd2f0e8b11d0f600bfb0c0",
    ] {
        assert_eq!(open(garbage, SOURCE), None);
    }
}

#[test]
fn numbers_are_written_in_the_alphabet_of_base64url() {
    for at in 0..8 {
        for sextet in 0..64 {
            let numbers = [sextet << (42 - 6 * at), SEXTETS_8, 0];
            let mut expected = *b"AAAAAAAA________AAAAAAAA";
            expected[at as usize] = ALPHABET[sextet as usize];
            assert_eq!(encode(numbers), expected);
            assert_eq!(decode(&expected), Some(numbers));
        }
        for byte in (0..=255_u8).filter(|byte| !ALPHABET.contains(byte)) {
            let mut text = [b'x'; NONCE_LEN];
            text[at as usize] = byte;
            assert_eq!(decode(&text), None, "{byte}");
        }
    }
}

#[test]
fn a_nonce_is_fresh_for_its_lifetime_and_in_its_boot() {
    let table = table(4);
    let stamp = Stamp {
        issued_secs: 1_000,
        serial: 0,
    };
    assert!(table.is_fresh(&stamp, 1_000));
    assert!(table.is_fresh(&stamp, 1_300));
    assert!(!table.is_fresh(&stamp, 1_301));
    assert!(table.is_fresh(&stamp, 990), "a clock that was set back");
    let nonce = table.issue(&KEY, SOURCE, 1_000);
    let restarted = NonceTable::new(8, 4, 300);
    assert_eq!(Stamp::open(nonce.as_bytes(), &restarted, &KEY, SOURCE), None);
}

#[test]
fn counts_are_used_once_within_the_window() {
    let table = table(1);
    let claim = |count| table.claim(0, Use::Count(count));
    for (count, answer) in [
        (1, Claim::Ok),
        (1, Claim::Stale),
        (3, Claim::Ok),
        (2, Claim::Ok),
        (2, Claim::Stale),
        (66, Claim::Ok),
        (3, Claim::Stale),
        (2, Claim::Stale),
        (4, Claim::Ok),
        (65, Claim::Ok),
        (1_000, Claim::Ok),
        (936, Claim::Stale),
        (937, Claim::Ok),
        (937, Claim::Stale),
        (u32::MAX, Claim::Ok),
        (u32::MAX, Claim::Stale),
        (0, Claim::Stale),
    ] {
        assert_eq!(claim(count), answer, "{count}");
    }
}

#[test]
fn a_nonce_without_count_is_used_once() {
    let table = table(4);
    assert_eq!(table.claim(0, Use::Only), Claim::Ok);
    assert_eq!(table.claim(0, Use::Only), Claim::Stale);
    for count in [0, 1, u32::MAX - 63, u32::MAX] {
        assert_eq!(table.claim(0, Use::Count(count)), Claim::Stale);
    }
    assert_eq!(table.claim(1, Use::Count(1)), Claim::Ok);
    assert_eq!(
        table.claim(1, Use::Only),
        Claim::Stale,
        "it had been used with a count"
    );
}

#[test]
fn a_newer_nonce_takes_the_slot_for_good() {
    let table = table(4);
    assert_eq!(table.claim(1, Use::Count(1)), Claim::Ok);
    assert_eq!(table.claim(2, Use::Count(1)), Claim::Ok, "another slot");
    assert_eq!(table.claim(5, Use::Count(1)), Claim::Ok);
    assert_eq!(table.claim(1, Use::Count(2)), Claim::Stale);
    assert_eq!(table.claim(5, Use::Count(2)), Claim::Ok);
    assert_eq!(table.claim(2, Use::Count(2)), Claim::Ok);
}

#[test]
fn challenges_alone_take_no_slot() {
    let table = table(1);
    let first = table.issue(&KEY, SOURCE, 0);
    let first = Stamp::open(first.as_bytes(), &table, &KEY, SOURCE).expect("our own nonce");
    for _ in 0..1_000 {
        table.issue(&KEY, SOURCE, 0);
    }
    assert_eq!(table.claim(first.serial, Use::Count(1)), Claim::Ok);
}

#[test]
fn racing_threads_never_share_a_count() {
    // Four nonces share one slot; every thread tries every count of each, in an order of its own.
    const COUNTS: u64 = 2_000;
    let table = table(1);
    let accepted: Vec<AtomicUsize> = (0..4 * COUNTS).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (table, accepted) = (&table, &accepted);
            scope.spawn(move || {
                for serial in 0..4 {
                    for step in 0..COUNTS {
                        let count = step ^ (thread * 5 % 16);
                        if table.claim(serial, Use::Count(count as u32)) == Claim::Ok {
                            accepted[(serial * COUNTS + count) as usize].fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    assert!(accepted.iter().all(|n| n.load(Ordering::Relaxed) <= 1));
    // Nobody takes the slot from the last nonce, and whoever is ahead has left no count out.
    assert!(
        accepted[3 * COUNTS as usize..]
            .iter()
            .all(|n| n.load(Ordering::Relaxed) == 1)
    );
}
