//! What must hold for whatever text is taken for a session description, and for whatever is not.

use std::net::{IpAddr, Ipv6Addr};

use strowger_syntax::sdp::{Attribute, BadSdp, Draft, Fault, Section, SessionDescription};
use strowger_syntax::{Edits, SdpLimits};

/// Sections and their lines cover the text; it leaves as it came; what is edited is there and the rest is as it was; it
/// does not matter how lines end. Whether it is a description.
pub(crate) fn check(data: &[u8]) -> bool {
    let description = match SessionDescription::parse(data, &SdpLimits::DEFAULT) {
        Ok(description) => description,
        Err(bad) => {
            let lines = data.split(|&b| b == b'\n').count();
            assert!(bad.line <= lines + 1, "{bad}");
            return false;
        }
    };
    covers(data, description);
    untouched(data, description);
    edited(description);
    ends_do_not_matter(data, description);
    true
}

fn sections(description: SessionDescription<'_>) -> Vec<Section<'_>> {
    let media = description.media().map(|media| media.section);
    std::iter::once(description.session()).chain(media).collect()
}

/// Section follows section and line follows line; only line ends are between them.
fn covers(data: &[u8], description: SessionDescription<'_>) {
    let (mut section_at, mut at) = (0, 0);
    for section in sections(description) {
        assert_eq!(section.span().start, section_at);
        section_at = section.span().end;
        for line in section.lines() {
            let between = &data[at..line.span.start.into()];
            assert!(matches!(between, b"" | b"\n" | b"\r\n") && (at == 0) == between.is_empty());
            assert_eq!(line.span.of(data), [&[line.letter, b'='], line.value].concat());
            at = line.span.end.into();
            assert!(at <= section_at.into());
        }
        for connection in section.connections() {
            let value = connection.span.of(data).trim_ascii_end();
            assert!(value.ends_with(connection.address), "{}", value.escape_ascii());
        }
    }
    assert_eq!(usize::from(section_at), data.len());
    assert!(
        data[at..].iter().all(|b| b"\r\n".contains(b)),
        "nothing is left out"
    );
    for media in description.media() {
        let port = std::str::from_utf8(media.field.port_span.of(data)).expect("digits");
        assert_eq!(port.parse(), Ok(media.field.port));
        assert!(media.field.formats().next().is_some());
    }
}

fn untouched(data: &[u8], description: SessionDescription<'_>) {
    let (mut edits, mut out) = (Edits::default(), Vec::new());
    Draft::of(description, &mut edits).finish(&mut out);
    assert_eq!(out, data);
}

const ADDED: [&[u8]; 2] = [b"ice-lite", b"rtpmap:96 opus/48000/2"];

/// Some attributes, whichever come.
fn goes(attribute: &Attribute<'_>) -> bool {
    attribute.name().len() % 2 == 1
}

fn edited(description: SessionDescription<'_>) {
    let address = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let (mut edits, mut out) = (Edits::default(), Vec::new());
    let mut draft = Draft::of(description, &mut edits);
    // What is removed or replaced once more is so no less.
    for (first, text) in (0_u16..).zip(ADDED) {
        for section in sections(description) {
            section
                .connections()
                .for_each(|it| draft.set_address(&it, address));
            draft.remove_attributes(section, goes);
            let added = Attribute::parse(text).expect("an attribute");
            draft.add_attribute(section, added);
        }
        for (media, port) in description.media().zip(first..) {
            draft.set_port(&media.field, port);
        }
    }
    draft.finish(&mut out);
    let limits = SdpLimits {
        lines: usize::MAX,
        ..SdpLimits::DEFAULT
    };
    let changed = match SessionDescription::parse(&out, &limits) {
        Ok(changed) => changed,
        // With what is added it has grown too large.
        Err(BadSdp {
            fault: Fault::TooLong | Fault::LineTooLong,
            ..
        }) => return,
        Err(bad) => panic!("{bad}: {}", out.escape_ascii()),
    };
    let added = ADDED.map(|it| Attribute::parse(it).expect("an attribute"));
    assert_eq!(sections(changed).len(), sections(description).len());
    for (now, before) in sections(changed).into_iter().zip(sections(description)) {
        let kept = before.attributes().filter(|it| !goes(it)).chain(added);
        assert!(now.attributes().eq(kept));
        assert!(now.connections().all(|it| it.ip() == Some(address)));
        assert_eq!(now.connections().count(), before.connections().count());
        assert_eq!(others(now), others(before));
    }
    for ((now, before), port) in changed.media().zip(description.media()).zip(1..) {
        assert_eq!(now.field.port, port);
        assert_eq!(
            (now.field.media, now.field.port_count, now.field.protocol),
            (before.field.media, before.field.port_count, before.field.protocol)
        );
        assert!(now.field.formats().eq(before.field.formats()));
    }
}

/// The lines of a section that are not edited.
fn others(section: Section<'_>) -> Vec<(u8, Vec<u8>)> {
    let others = section.lines().filter(|line| !b"acm".contains(&line.letter));
    others.map(|line| (line.letter, line.value.to_vec())).collect()
}

fn ends_do_not_matter(data: &[u8], description: SessionDescription<'_>) {
    let bare: Vec<_> = data.iter().copied().filter(|&b| b != b'\r').collect();
    let other = SessionDescription::parse(&bare, &SdpLimits::DEFAULT).expect("read with bare line ends");
    assert_eq!(seen(description), seen(other));
    assert_eq!(description.is_understood(), other.is_understood());
}

/// What is seen of a description, but for where it stands.
fn seen(description: SessionDescription<'_>) -> impl PartialEq + std::fmt::Debug {
    let lines = |section: Section<'_>| {
        let lines = section.lines().map(|line| (line.letter, line.value.to_vec()));
        lines.collect::<Vec<_>>()
    };
    let origin = description.origin();
    let media = description.media().map(|media| {
        let about = |format: &[u8]| {
            let payload_type = std::str::from_utf8(format).ok().and_then(|it| it.parse().ok());
            let map = payload_type.and_then(|it| media.rtpmap(it));
            let encoding = map.map(|map| (map.encoding_name.to_vec(), map.clock_rate));
            (encoding, media.fmtp(format).map(<[u8]>::to_vec))
        };
        (
            lines(media.section),
            (media.direction(), media.ptime(), media.maxptime()),
            media.connection().and_then(|it| it.ip()),
            media.field.formats().map(about).collect::<Vec<_>>(),
        )
    });
    (
        (
            origin.username.to_vec(),
            origin.version(),
            origin.unicast_address.to_vec(),
        ),
        lines(description.session()),
        media.collect::<Vec<_>>(),
    )
}
