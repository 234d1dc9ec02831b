//! What is written of registrations is valid by the schemas of RFC 3680 §5.4 and RFC 5628 §9, as `xmllint` sees it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use strowger_sip::event::{Told, Watched, write_reginfo};
use strowger_sip::registrar::{
    Binding, Bindings, Entry, Epoch, Gruus, Order, Origin, RecordWriter, Removal, deregister, shorten,
};
use strowger_sip::transport::Transport;
use strowger_sip::{Keys, MacKey, Source};

const NOW: u64 = 1_764_000_000;

fn binding(contact: &'static [u8], q: u16) -> Binding<'static> {
    Binding {
        contact,
        params: b";+sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\";reg-id=1;ob;x=\"<&\x02\xff>\"",
        q,
        order: Order {
            branch: 1,
            cseq: u32::MAX,
            call_id: b"1<&\"'>@a",
        },
        expires_at: NOW as u32 + 60,
        updated_at: NOW as u32,
        bound_at: Some(NOW as u32 - 7000),
        origin: Origin::of(
            &Source {
                transport: Transport::Udp,
                listener: 0,
                local: ([192, 0, 2, 1], 5060).into(),
                remote: ([192, 0, 2, 7], 5060).into(),
                flow: None,
            },
            1,
        ),
        path: b"",
        user_agent: b"",
        epoch: Some(Epoch {
            id: 1,
            first_cseq: u32::MAX,
        }),
        outbound: true,
    }
}

fn record(bindings: &[Binding<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = RecordWriter::new(&mut out);
    for binding in bindings {
        writer.put(&Entry::Binding(*binding));
    }
    writer.finish();
    out
}

fn document(aor: &[u8], told: &Told, record: &[u8], is_full: bool, now_secs: u64) -> Vec<u8> {
    let keys = Keys::derive(&[1; 32]);
    let watched = Watched {
        aor,
        ids: &MacKey::new([1; 16]),
        version: u32::MAX,
        is_full,
        now_secs,
        gruus: Gruus {
            key: &keys.gruu,
            aor,
            port: Some(5070),
        },
        is_owner: true,
    };
    let mut out = Vec::new();
    assert!(write_reginfo(&watched, told, Bindings::new(record), &mut out));
    out
}

/// What xmllint says of a document; empty if it is valid.
fn faults(document: &[u8]) -> String {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reginfo/all.xsd");
    let xmllint = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut xmllint = xmllint.expect("xmllint is there: apt-get install libxml2-utils");
    let mut input = xmllint.stdin.take().expect("its input");
    input.write_all(document).expect("it reads");
    drop(input);
    let output = xmllint.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        String::new()
    } else {
        said
    }
}

/// For xmllint the brackets of an IPv6 address are no part of an `anyURI` without slashes, whatever SIP says.
#[test]
fn rfc_3680_section_5_4_documents_are_valid() {
    let (a, b) = (
        binding(b"sip:a@192.0.2.7;x=<&'\"\xc3\xa9", 0),
        binding(b"sip:b@192.0.2.8:5060", 333),
    );
    let both = record(&[a, b]);
    let told = Told::of(Bindings::new(&both), NOW);
    let mut removed = Vec::new();
    deregister(
        Bindings::new(&both),
        |contact| contact == a.contact,
        Removal::Rejected,
        NOW,
        &mut removed,
    );
    let mut probation = Vec::new();
    let why = Removal::Probation {
        retry_after: u32::MAX,
    };
    deregister(Bindings::new(&both), |_| true, why, NOW, &mut probation);
    let mut shortened = Vec::new();
    shorten(
        Bindings::new(&both),
        |_| true,
        NOW as u32 + 5,
        NOW,
        &mut shortened,
    );
    let nothing = Told::default();
    for (told, record, is_full, now_secs) in [
        (&nothing, &both, true, NOW),
        (&nothing, &Vec::new(), true, NOW),
        (&nothing, &both, false, NOW),
        (&told, &both, true, NOW),
        (&told, &removed, false, NOW),
        (&told, &probation, false, NOW),
        (&told, &shortened, false, NOW),
        (&told, &both, false, NOW + 60),
        (&told, &Vec::new(), false, NOW),
    ] {
        for aor in [
            &b"alice@example.test"[..],
            b"a\x00\xff b@c@example.test",
            b"example.test",
        ] {
            let text = document(aor, told, record, is_full, now_secs);
            assert_eq!(faults(&text), "", "{}", String::from_utf8_lossy(&text));
        }
    }
}

#[test]
fn the_schemas_are_looked_at() {
    let both = record(&[binding(b"sip:a@192.0.2.7", 500)]);
    let text = document(b"alice@example.test", &Told::default(), &both, true, NOW);
    let text = String::from_utf8(text).expect("UTF-8");
    for (right, wrong) in [
        ("state=\"active\"", "state=\"idle\""),
        ("event=\"registered\"", "event=\"seen\""),
        ("cseq=\"4294967295\"", "cseq=\"-1\""),
        ("first-cseq=\"4294967295\"", "first-cseq=\"none\""),
        ("<uri>", "<uri></uri><uri>"),
    ] {
        assert!(text.contains(right), "{right}");
        assert_ne!(faults(text.replacen(right, wrong, 1).as_bytes()), "", "{wrong}");
    }
}
