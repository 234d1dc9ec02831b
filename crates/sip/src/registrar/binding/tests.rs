use std::net::Ipv6Addr;

use super::*;

fn order(call_id: &'static str, cseq: u32) -> Order<'static> {
    Order {
        call_id: call_id.as_bytes(),
        cseq,
        branch: 0xdead_beef,
    }
}

fn small() -> Binding<'static> {
    Binding {
        contact: b"sip:u0000001@127.0.0.1:6000",
        params: b"",
        q: Q_DEFAULT,
        order: order("0123456789abcdef@192.168.100.1", 2),
        expires_at: 1_764_003_600,
        updated_at: 1_764_000_000,
        bound_at: Some(1_763_000_000),
        origin: Origin {
            transport: Transport::Udp,
            listener: 0,
            from: None,
            remote: ([127, 0, 0, 1], 6000).into(),
            flow: None,
            pushed_elsewhere: false,
            translated: false,
        },
        path: b"",
        user_agent: b"SIPp/36",
        epoch: None,
        outbound: false,
    }
}

fn large() -> Binding<'static> {
    let flow = Flow {
        shard: 3,
        index: 70_000,
        generation: u32::MAX,
    };
    Binding {
        params: b";q=0.25;+sip.instance=\"<urn:uuid:0;expires=1>\";reg-id=1",
        q: 250,
        order: order("x", u32::MAX),
        origin: Origin {
            transport: Transport::Wss,
            listener: 300,
            from: Some(Ipv6Addr::LOCALHOST.into()),
            remote: (Ipv6Addr::LOCALHOST, 65535).into(),
            flow: Some(BoundFlow { flow, boot: 77 }),
            pushed_elsewhere: false,
            translated: false,
        },
        path: b"<sip:p3.example.test;lr>,<sip:p1.example.test;lr>",
        user_agent: b"",
        outbound: true,
        epoch: Some(Epoch {
            id: u32::MAX,
            first_cseq: 300,
        }),
        ..small()
    }
}

fn tombstone() -> Tombstone<'static> {
    Tombstone {
        contact: b"sip:a@192.0.2.1",
        order: order("y", 7),
        until: 1_764_009_999,
    }
}

fn record(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = RecordWriter::new(&mut out);
    for entry in entries {
        writer.put(entry);
    }
    writer.finish();
    out
}

#[test]
fn what_was_written_is_read_back() {
    let entries = [
        Entry::Binding(small()),
        Entry::Tombstone(tombstone()),
        Entry::Binding(large()),
    ];
    let bytes = record(&entries);
    let read: Vec<_> = Bindings::new(&bytes).entries().map(|(entry, _)| entry).collect();
    assert_eq!(read, entries);
    assert_eq!(Bindings::new(&bytes).due(), 1_764_003_600);
    let mut copied = Vec::new();
    let mut writer = RecordWriter::new(&mut copied);
    Bindings::new(&bytes)
        .entries()
        .for_each(|(entry, encoded)| writer.copy(entry.ends_at(), encoded));
    writer.finish();
    assert_eq!(copied, bytes);
}

#[test]
fn what_has_ended_leaves_a_record_and_the_rest_stays_as_it_is() {
    let [first, second] = [Entry::Binding(small()), Entry::Tombstone(tombstone())];
    let (bytes, mut left) = (record(&[first, second]), b"left over".to_vec());
    unexpired(&bytes, 1_764_003_599, &mut left);
    assert_eq!(left, bytes);
    unexpired(&bytes, 1_764_003_600, &mut left);
    assert_eq!(left, record(&[second]));
    assert_eq!(Bindings::new(&left).due(), 1_764_009_999);
    unexpired(&bytes, 1_764_009_999, &mut left);
    assert_eq!(left, b"");
}

#[test]
fn an_empty_record_is_the_empty_string() {
    assert_eq!(record(&[]), b"");
    assert_eq!(Bindings::new(b"").entries().count(), 0);
    assert_eq!(Bindings::new(b"").due(), 0);
}

#[test]
fn a_plain_registration_fits_into_110_bytes() {
    let bytes = record(&[Entry::Binding(small())]);
    assert!(bytes.len() <= 110, "{} bytes", bytes.len());
    let epoch = Some(Epoch {
        id: 1,
        first_cseq: 127,
    });
    let with_gruus = record(&[Entry::Binding(Binding { epoch, ..small() })]);
    assert_eq!(with_gruus.len(), bytes.len() + 5, "temporary GRUUs take no more");
}

#[test]
fn what_stands_behind_the_origin_is_told_apart() {
    for bound_at in [None, Some(0), Some(u32::MAX)] {
        for first_cseq in [None, Some(1), Some(300), Some(u32::MAX)] {
            let epoch = first_cseq.map(|first_cseq| Epoch { id: 7, first_cseq });
            let entry = Entry::Binding(Binding {
                epoch,
                bound_at,
                ..small()
            });
            let bytes = record(&[entry, Entry::Tombstone(tombstone())]);
            let read: Vec<_> = Bindings::new(&bytes).entries().map(|(entry, _)| entry).collect();
            assert_eq!(read, [entry, Entry::Tombstone(tombstone())]);
        }
    }
}

#[test]
fn texts_of_every_length_are_framed() {
    for len in [0, 1, 40, 126, 127, 128, 129, 300, 16_383, 16_384, 70_000] {
        let path = vec![b'a'; len];
        let params = [b";", path.as_slice()].concat();
        let params = if len == 0 { b"" } else { params.as_slice() };
        let entry = Entry::Binding(Binding {
            params,
            path: &path,
            ..small()
        });
        let bytes = record(&[entry, Entry::Tombstone(tombstone())]);
        let read: Vec<_> = Bindings::new(&bytes).entries().map(|(entry, _)| entry).collect();
        assert_eq!(read, [entry, Entry::Tombstone(tombstone())], "{len}");
    }
}

#[test]
fn expires_is_not_kept_among_the_parameters() {
    for (given, kept) in [
        (";expires=60", ""),
        ("; Expires = 60 ;q=1", ";q=1"),
        (";a=\"x;expires=1\";expires=60 ; b", ";a=\"x;expires=1\";b"),
        (";expires", ""),
        (";a;", ";a"),
    ] {
        let bytes = record(&[Entry::Binding(Binding {
            params: given.as_bytes(),
            ..small()
        })]);
        let binding = Bindings::new(&bytes).live(0).next().expect("one binding");
        assert_eq!(binding.params, kept.as_bytes(), "{given}");
    }
}

#[test]
fn live_leaves_out_what_has_ended() {
    let bytes = record(&[Entry::Binding(small()), Entry::Tombstone(tombstone())]);
    assert_eq!(Bindings::new(&bytes).live(1_764_003_599).count(), 1);
    assert_eq!(Bindings::new(&bytes).live(1_764_003_600).count(), 0);
}

#[test]
fn garbage_ends_the_record_and_nothing_else() {
    let good = record(&[
        Entry::Binding(large()),
        Entry::Tombstone(tombstone()),
        Entry::Binding(small()),
    ]);
    for end in 0..good.len() {
        let read: Vec<_> = Bindings::new(&good[..end])
            .entries()
            .map(|(entry, _)| entry)
            .collect();
        assert!(read.len() < 3);
        assert!(read.first().is_none_or(|first| *first == Entry::Binding(large())));
    }
    for at in 0..good.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(Bindings::new(&bad).entries().count() <= bad.len());
        }
    }
    assert_eq!(Bindings::new(&[0xff; 64]).entries().count(), 0);
}

#[test]
fn a_connection_is_used_again_in_its_own_boot_only() {
    let origin = large().origin;
    assert!(matches!(origin.destination(77), Destination::Flow(flow) if flow.index == 70_000));
    let anew = Destination::Connect {
        transport: Transport::Wss,
        to: origin.remote,
    };
    assert_eq!(origin.destination(78), anew);
    let datagram = Destination::Datagram {
        listener: 0,
        from: None,
        to: small().origin.remote,
    };
    assert_eq!(small().origin.destination(77), datagram);
}

#[test]
fn a_record_is_renewed_in_place_where_all_is_as_long_as_before() {
    const NOW: u32 = 1_764_001_000;
    let lifetime = 3600;
    for (before, after, in_place) in [
        (2, 3, true),
        (2, 127, true),
        (2, 128, false),
        (128, 16_383, true),
        (1 << 28, u32::MAX, true),
        ((1 << 28) - 1, 1 << 28, false),
    ] {
        let binding = Binding {
            order: order("0123456789abcdef@192.168.100.1", before),
            updated_at: 1_764_000_000,
            expires_at: 1_764_000_000 + lifetime,
            ..small()
        };
        let old = record(&[Entry::Binding(binding)]);
        let head = Bindings::new(&old).heads().next().expect("a binding");
        let later = order("0123456789abcdef@192.168.100.1", after);
        let (mut renewed, mut written) = (Vec::new(), Vec::new());
        let size = head.write_renewed(&later, NOW, lifetime, &mut renewed);
        assert_eq!(size.is_some(), in_place, "{before} {after}");
        let mut writer = RecordWriter::new(&mut written);
        let expected = writer.put_refreshed(&head, &later, NOW, lifetime);
        writer.finish();
        if let Some(size) = size {
            assert_eq!((size, renewed), (expected, written), "{before} {after}");
        }
        for (other, lifetime) in [
            ("0123456789abcdef@192.168.100.2", lifetime),
            ("0123456789abcdef@192.168.100.1", 60),
        ] {
            let of_other = head.write_renewed(&order(other, after), NOW, lifetime, &mut Vec::new());
            assert_eq!(of_other, None, "{other} {lifetime}");
        }
    }
}
