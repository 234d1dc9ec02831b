use std::collections::HashSet;

use data_encoding::BASE64URL_NOPAD;
use strowger_syntax::Uri;

use super::*;
use crate::keys::Keys;
use crate::registrar::{Entry, Epoch, Order, Origin, Q_DEFAULT, RecordWriter};
use crate::transport::Transport;

const NOW: u64 = 1_764_000_000;
const UUID: &str = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";

fn key() -> GruuKey {
    Keys::derive(&[7; 32]).gruu
}

/// The record of one contact of an instance, made by a request of this CSeq in an epoch.
fn record(instance: &str, cseq: u32, epoch: Option<u32>) -> Vec<u8> {
    let mut out = Vec::new();
    let params = format!(";+sip.instance=\"<{instance}>\"");
    let mut writer = RecordWriter::new(&mut out);
    writer.put(&Entry::Binding(Binding {
        contact: b"sip:x@192.0.2.7",
        params: params.as_bytes(),
        q: Q_DEFAULT,
        order: Order {
            branch: 1,
            cseq,
            call_id: b"call",
        },
        expires_at: NOW as u32 + 60,
        updated_at: NOW as u32,
        bound_at: None,
        origin: Origin {
            transport: Transport::Udp,
            listener: 0,
            from: None,
            remote: ([192, 0, 2, 7], 5060).into(),
            flow: None,
            pushed_elsewhere: false,
            translated: false,
        },
        path: b"",
        user_agent: b"",
        outbound: false,
        epoch: epoch.map(|id| Epoch { id, first_cseq: 1 }),
    }));
    writer.finish();
    out
}

fn public(aor: &str, port: Option<u16>, secure: bool, instance: &str) -> String {
    let (key, mut out) = (key(), Vec::new());
    let gruus = Gruus {
        key: &key,
        aor: aor.as_bytes(),
        port,
    };
    gruus.write_public(secure, instance.as_bytes(), &mut out);
    String::from_utf8(out).expect("ASCII")
}

fn temporary(aor: &str, record: &[u8]) -> Option<String> {
    let (key, mut out) = (key(), Vec::new());
    let gruus = Gruus {
        key: &key,
        aor: aor.as_bytes(),
        port: None,
    };
    let record = Bindings::new(record);
    let instance = record.live(NOW).next()?.instance()?;
    let made = gruus.write_temporary(false, instance, record, NOW, &mut out);
    made.then(|| String::from_utf8(out).expect("ASCII"))
}

/// The address-of-record of a GRUU, and the instance in this record that it leads to.
fn read(uri: &str, record: &[u8]) -> Option<(String, Option<String>)> {
    let Ok(Uri::Sip(sip)) = Uri::parse(uri.as_bytes()) else {
        panic!("{uri}")
    };
    let (key, mut aor) = (key(), Vec::new());
    let gruu = key.read(&sip, &mut aor)?;
    let instance = gruu.instance(&key, Bindings::new(record), NOW);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&aor), instance.map(text)))
}

// RFC 5627 §3.1.1, §5.4, §10.1; RFC 5630 §5.2.1
#[test]
fn the_public_gruu_is_the_address_with_the_instance() {
    for (aor, port, secure, instance, gruu) in [
        (
            "callee@example.test",
            None,
            false,
            UUID,
            format!("sip:callee@example.test;gr={UUID}"),
        ),
        (
            "callee@example.test",
            None,
            true,
            UUID,
            format!("sips:callee@example.test;gr={UUID}"),
        ),
        (
            "a@b@[::1]",
            Some(5070),
            false,
            UUID,
            format!("sip:a%40b@[::1]:5070;gr={UUID}"),
        ),
        (
            "a@b",
            None,
            false,
            "urn:x:1;2=3",
            "sip:a@b;gr=urn:x:1%3B2%3D3".to_owned(),
        ),
        (
            "a@b",
            None,
            false,
            "urn:x:aB",
            "sip:a@b;gr=hex.75726e3a783a6142".to_owned(),
        ),
        (
            "a@b",
            None,
            false,
            "hex.61",
            "sip:a@b;gr=hex.6865782e3631".to_owned(),
        ),
    ] {
        assert_eq!(public(aor, port, secure, instance), gruu);
        let found = read(&gruu, &record(instance, 1, None));
        assert_eq!(found, Some((aor.to_owned(), Some(instance.to_owned()))), "{gruu}");
    }
}

// RFC 5627 §5.4, RFC 3261 §19.1.4
#[test]
fn gruus_of_different_instances_differ_by_the_rules_of_uris() {
    let instances = [
        UUID,
        "urn:uuid:1",
        "urn:x:ab",
        "urn:x:aB",
        "urn:x:AB",
        "hex.75726e3a783a6142",
    ];
    for (n, a) in instances.iter().enumerate() {
        for (m, b) in instances.iter().enumerate() {
            let [gruu, other] = [a, b].map(|instance| public("a@b.test", None, false, instance));
            let [x, y] = [&gruu, &other].map(|uri| Uri::parse(uri.as_bytes()).expect("a URI"));
            assert_eq!(Uri::equivalent(&x, &y), n == m, "{gruu} {other}");
            let leads = read(&gruu, &record(b, 1, None))
                .and_then(|(_, instance)| instance)
                .is_some();
            assert_eq!(leads, n == m, "{gruu} to {b}");
        }
    }
    let shouted = public("a@b.test", None, false, UUID).replace("urn:uuid:f81d", "URN%3aUUID%3AF81D");
    assert!(read(&shouted, &record(UUID, 1, None)).is_some_and(|(_, instance)| instance.is_some()));
}

// RFC 5627 §5.1, §5.4
#[test]
fn a_temporary_gruu_leads_to_its_instance_while_its_epoch_lasts() {
    let made = record(UUID, 1, Some(5));
    let gruu = temporary("alice@example.test", &made).expect("one");
    let found = |record: &[u8]| read(&gruu, record).expect("ours").1;
    assert_eq!(
        read(&gruu, &made),
        Some(("alice@example.test".to_owned(), Some(UUID.to_owned())))
    );
    assert_eq!(
        found(&record(UUID, 9, Some(5))).as_deref(),
        Some(UUID),
        "refreshed"
    );
    assert_eq!(found(&record(UUID, 9, Some(6))), None, "another Call-ID");
    assert_eq!(found(&record("urn:uuid:2", 1, Some(5))), None, "another instance");
    assert_eq!(found(&[]), None, "gone");
    assert_eq!(temporary("alice@example.test", &record(UUID, 1, None)), None);
}

// RFC 5627 §5.1
#[test]
fn each_register_has_its_own_temporary_gruu_and_always_the_same() {
    let mut all = HashSet::new();
    for cseq in 1..200 {
        for aor in ["alice@example.test", "bob@example.test", "alice@other.test"] {
            for instance in [UUID, "urn:uuid:2"] {
                let made = record(instance, cseq, Some(5));
                let gruu = temporary(aor, &made);
                assert_eq!(gruu, temporary(aor, &made), "the answer to a retransmission");
                assert!(all.insert(gruu));
            }
        }
    }
}

/// The user part, deciphered no further.
fn sealed(gruu: &str) -> Vec<u8> {
    let text = gruu
        .strip_prefix("sip:tgruu.")
        .and_then(|rest| rest.split_once('@'));
    BASE64URL_NOPAD
        .decode(text.expect("a user").0.as_bytes())
        .expect("base64url")
}

// RFC 5627 §3.1.2, §5.1, §10.3
#[test]
fn nobody_can_tell_whose_a_temporary_gruu_is() {
    let of = |aor: &str, cseq| temporary(aor, &record(UUID, cseq, Some(5))).expect("one");
    // Alice's, and those of somebody whose name is as long, look the same: half of the bits differ, whichever are compared.
    let (mut own, mut others, mut shared) = (0, 0, 0);
    for cseq in 1..=500 {
        let first = of("alice.smith@example.test", cseq);
        assert!(!first.contains("alice") && !first.contains("smith") && !first.contains("f81d4fae"));
        let bits = |other: &str| {
            let pairs = sealed(&first).into_iter().zip(sealed(other));
            pairs.map(|(a, b)| (a ^ b).count_ones()).sum::<u32>()
        };
        own += bits(&of("alice.smith@example.test", cseq + 1));
        others += bits(&of("bob.miller.1@example.test", cseq));
        let next = of("alice.smith@example.test", cseq + 1);
        shared = shared.max(
            first
                .bytes()
                .zip(next.bytes())
                .skip(10)
                .take_while(|(a, b)| a == b)
                .count(),
        );
    }
    let expected = 500 * 48 * 8 / 2;
    for (what, bits) in [("alice's", own), ("another's", others)] {
        let off = bits.abs_diff(expected);
        assert!(off < expected / 50, "{what}: {bits} bits, not {expected}");
    }
    assert!(shared <= 4, "{shared} characters are the same");
    // Their length tells the number of blocks and no more.
    let len = |user: usize| of(&format!("{}@example.test", "x".repeat(user)), 1).len();
    for (users, blocks) in [(1..16, 1), (16..32, 2), (32..48, 3)] {
        for user in users {
            assert_eq!(
                len(user),
                "sip:tgruu.@example.test;gr".len()
                    + (32 + 16 * blocks) * 4usize / 3
                    + usize::from((32 + 16 * blocks) * 4 % 3 != 0),
                "{user}"
            );
        }
    }
}

// RFC 5627 §6.1, §10.2
#[test]
fn what_was_not_made_here_is_no_temporary_gruu() {
    let made = record(UUID, 1, Some(5));
    let gruu = temporary("alice@example.test", &made).expect("one");
    assert!(read(&gruu, &made).is_some());
    let at = |place: usize, with: char| {
        let mut text: Vec<char> = gruu.chars().collect();
        text[place] = if text[place] == with { 'B' } else { with };
        text.into_iter().collect::<String>()
    };
    for place in "sip:tgruu.".len()..gruu.find('@').expect("a domain") {
        assert_eq!(read(&at(place, 'A'), &made), None, "changed at {place}");
    }
    let (user, _) = gruu.split_once('@').expect("a domain");
    for other in [
        format!("{user}@other.test;gr"),
        format!("{user}@example.test"),
        format!("{}@example.test;gr", &user[..user.len() - 1]),
        format!("{user}AAAA@example.test;gr"),
        format!("{}@example.test;gr", user.replace("tgruu.", "")),
        "sip:tgruu.@example.test;gr".to_owned(),
        format!("sip:tgruu.{}@example.test;gr", "A".repeat(4000)),
        "sip:alice@example.test;gr".to_owned(),
        "sip:alice@example.test;gr=".to_owned(),
        "sip:example.test;gr".to_owned(),
        "sip:example.test;gr=urn:uuid:1".to_owned(),
    ] {
        assert_eq!(read(&other, &made), None, "{other}");
    }
    let other_key = Keys::derive(&[8; 32]).gruu;
    let Ok(Uri::Sip(sip)) = Uri::parse(gruu.as_bytes()) else {
        panic!("{gruu}")
    };
    let mut aor = b"left".to_vec();
    assert_eq!(other_key.read(&sip, &mut aor), None);
    assert!(aor.is_empty());
    // With a value it is a public one, of nobody.
    let (aor, instance) = read(&gruu.replace(";gr", ";gr=x"), &made).expect("read");
    assert!(aor.starts_with("tgruu.") && instance.is_none());
}

#[test]
fn users_of_any_bytes_have_temporary_gruus_up_to_a_length() {
    let made = record(UUID, 1, Some(5));
    for user in ["a@b", "\u{80}\u{80}", "1234567890123456", &"x".repeat(1024)] {
        let aor = format!("{user}@example.test");
        let gruu = temporary(&aor, &made).expect("one");
        assert_eq!(read(&gruu, &made), Some((aor, Some(UUID.to_owned()))));
    }
    assert_eq!(
        temporary(&format!("{}@example.test", "x".repeat(1025)), &made),
        None
    );
    assert_eq!(format!("{:?}", key()), "GruuKey");
}

// What has been given out holds after an upgrade.
#[test]
fn temporary_gruus_are_written_as_ever() {
    let record = record(UUID, 1, Some(3));
    for (aor, expected) in [
        (
            "bob@example.test",
            "sip:tgruu.rBNaB0OPnPeBq1Imdkw79mrA_6_m6KcevpjiKp9V3cFg8E5lMMTfDrLwyL64ZJ9y@example.test;gr",
        ),
        (
            &*format!("{}@example.test", "a".repeat(60)),
            "sip:tgruu.XLB5N8BV4L3HNPrRdPg6f03sd8PW_UXciL6jzx-OFLfad-GIMOLtK_95S7Wcfnq86rmASRd4q4eEACUvlqvf0c6duAC_d5-7ZgPp02Iltqh_NiudU1bNmSjg9HVfJ5SE@example.test;gr",
        ),
    ] {
        assert_eq!(temporary(aor, &record).as_deref(), Some(expected));
    }
}
