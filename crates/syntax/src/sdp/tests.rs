use std::time::Duration;

use super::*;
use crate::Edits;
use crate::limits::SdpLimits;

/// RFC 8866 §5.
const EXAMPLE: &str = "v=0\r\n\
o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\n\
s=Call to John Smith\r\n\
i=SDP Offer #1\r\n\
u=http://www.jdoe.example.com/home.html\r\n\
e=Jane Doe <jane@jdoe.example.com>\r\n\
p=+1 617 555-6011\r\n\
c=IN IP4 198.51.100.1\r\n\
t=0 0\r\n\
m=audio 49170 RTP/AVP 0\r\n\
m=audio 49180 RTP/AVP 0\r\n\
m=video 51372 RTP/AVP 99\r\n\
c=IN IP6 2001:db8::2\r\n\
a=rtpmap:99 h263-1998/90000\r\n";

/// What every description begins with.
const BEGIN: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";

#[track_caller]
fn parse(text: &str) -> SessionDescription<'_> {
    parse_bytes(text.as_bytes()).unwrap_or_else(|bad| panic!("{bad} in {text:?}"))
}

fn parse_bytes(text: &[u8]) -> Result<SessionDescription<'_>, BadSdp> {
    SessionDescription::parse(text, &SdpLimits::DEFAULT)
}

#[track_caller]
fn media(text: &str) -> MediaDescription<'_> {
    parse(text).media().next().expect("a media description")
}

#[track_caller]
fn refused(text: &str, line: usize, fault: Fault) {
    assert_eq!(
        parse_bytes(text.as_bytes()).err(),
        Some(BadSdp { line, fault }),
        "{text:?}"
    );
}

fn edited(text: &str, edit: impl FnOnce(&mut Draft<'_, '_>, SessionDescription<'_>)) -> String {
    let (description, mut edits, mut out) = (parse(text), Edits::default(), Vec::new());
    let mut draft = Draft::of(description, &mut edits);
    edit(&mut draft, description);
    draft.finish(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

fn attribute(text: &str) -> Attribute<'_> {
    Attribute::parse(text.as_bytes()).expect("an attribute")
}

#[test]
fn the_example_of_rfc_8866_is_read() {
    let description = parse(EXAMPLE);
    let origin = description.origin();
    assert_eq!(
        (origin.username, origin.session_id, origin.version()),
        (&b"jdoe"[..], &b"3724394400"[..], Some(3_724_394_405))
    );
    assert_eq!(origin.unicast_address, b"198.51.100.1");
    let seen: Vec<_> = description
        .media()
        .map(|it| {
            let formats: Vec<_> = it.field.formats().map(String::from_utf8_lossy).collect();
            let ip = it.connection().and_then(|connection| connection.ip());
            let kind = String::from_utf8_lossy(it.field.media);
            let protocol = String::from_utf8_lossy(it.field.protocol);
            let (port, count) = (it.field.port, it.field.port_count);
            format!("{kind} {port}/{count} {protocol} {} {ip:?}", formats.join(","))
        })
        .collect();
    assert_eq!(
        seen,
        [
            "audio 49170/1 RTP/AVP 0 Some(198.51.100.1)",
            "audio 49180/1 RTP/AVP 0 Some(198.51.100.1)",
            "video 51372/1 RTP/AVP 99 Some(2001:db8::2)",
        ]
    );
    let letters: Vec<_> = description.session().lines().map(|line| line.letter).collect();
    assert_eq!(letters, b"vosiuepct");
    assert!(description.is_understood());
}

#[test]
fn lines_end_with_crlf_or_lf_and_the_last_one_need_not() {
    let bare = EXAMPLE.replace('\r', "");
    for text in [EXAMPLE, &bare] {
        let whole = text.trim_end();
        for text in [text, whole, &format!("{text}\r\n\n")] {
            assert_eq!(parse(text).media().count(), 3, "{text:?}");
            assert_eq!(edited(text, |_, _| ()), text);
            let last = parse(text).media().last().expect("three");
            assert_eq!(usize::from(last.section.span().end), text.len());
        }
    }
}

/// RFC 8866 §9 `session-description`.
#[test]
fn lines_stand_in_the_order_of_the_grammar() {
    let everything = "v=0\no=- 1 1 IN IP4 h.example\ns= \ni=i\nu=u\ne=e\ne=e\np=p\np=p\nc=IN IP4 192.0.2.1\nb=AS:1\n\
        b=CT:2\nt=0 0\nt=1 2\nr=7d 1h 0 25h\nr=1 2 3\nz=2882844526 -1h\nt=0 0\nr=1 2 3\nt=0 0\nk=prompt\na=a\na=b:\n\
        m=audio 1 RTP/AVP 0\ni=i\nc=IN IP4 224.2.1.1/127\nc=IN IP4 224.2.1.2/127\nb=AS:1\nb=TIAS:2\nk=clear:x\na=c\na=d:e\n";
    let session = everything.find("m=").expect("there");
    parse(everything);
    let lines: Vec<_> = everything.lines().collect();
    for i in 1..lines.len() {
        let mut swapped = lines.clone();
        swapped.swap(i - 1, i);
        let good = parse_bytes(swapped.join("\n").as_bytes()).is_ok();
        let letters = (lines[i - 1].as_bytes()[0], lines[i].as_bytes()[0]);
        // What may stand in either order: equal ones, and time descriptions around a repetition.
        let either = letters.0 == letters.1 || matches!(letters, (b'z' | b'r' | b't', b't') | (b't', b'r'));
        assert!(!good || either, "{swapped:?}");
    }
    assert!(parse(&everything[..session]).media().next().is_none());
}

#[test]
fn a_bad_text_says_what_is_wrong_and_where() {
    refused("", 1, Fault::Missing(b'v'));
    refused("o=- 1 1 IN IP4 h\r\n", 1, Fault::Missing(b'v'));
    refused("x=1\r\n", 1, Fault::Missing(b'v'));
    refused("v=0\r\ns=-\r\n", 2, Fault::Missing(b'o'));
    refused("v=0\r\no=- 1 1 IN IP4 h\r\nt=0 0\r\n", 3, Fault::Missing(b's'));
    refused("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\n", 4, Fault::Missing(b't'));
    refused(
        "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nm=audio 1 RTP/AVP 0",
        4,
        Fault::Missing(b't'),
    );
    refused(
        "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\na=x\r\n",
        4,
        Fault::Missing(b't'),
    );
    for version in ["1", "00", "", "0 "] {
        refused(&format!("v={version}\r\n"), 1, Fault::Version);
    }
    let behind = [
        ("v=0", Fault::Order(b'v')),
        ("z=0 0", Fault::Order(b'z')),
        ("c=IN IP4 h", Fault::Order(b'c')),
        ("k=prompt\r\nk=prompt", Fault::Repeated(b'k')),
        ("", Fault::Line),
        ("a", Fault::Line),
        ("a:b", Fault::Line),
        (" a=b", Fault::Line),
        ("1=b", Fault::Line),
        ("a=b\rc", Fault::Byte),
        ("a=b\0", Fault::Byte),
        ("a=", Fault::Malformed(b'a')),
        ("a=b c", Fault::Malformed(b'a')),
        ("a=:b", Fault::Malformed(b'a')),
        ("t=0", Fault::Malformed(b't')),
        ("t=0 a", Fault::Malformed(b't')),
        ("m=audio 1 RTP/AVP", Fault::Malformed(b'm')),
        ("m=audio 65536 RTP/AVP 0", Fault::Malformed(b'm')),
        ("m=audio -1 RTP/AVP 0", Fault::Malformed(b'm')),
        ("m=audio 1/0 RTP/AVP 0", Fault::Malformed(b'm')),
        ("m=audio /1 RTP/AVP 0", Fault::Malformed(b'm')),
        ("m=audio 1/ RTP/AVP 0", Fault::Malformed(b'm')),
        ("m=audio 1 RTP//AVP 0", Fault::Malformed(b'm')),
        ("m=au:dio 1 RTP/AVP 0", Fault::Malformed(b'm')),
        ("m=audio 1 RTP/AVP 0,8", Fault::Malformed(b'm')),
        ("m=audio 1 RTP/AVP 0\r\nt=0 0", Fault::Order(b't')),
        ("m=audio 1 RTP/AVP 0\r\na=x\r\nc=IN IP4 h", Fault::Order(b'c')),
        ("m=audio 1 RTP/AVP 0\r\ni=x\r\ni=x", Fault::Repeated(b'i')),
        ("m=audio 1 RTP/AVP 0\r\nc=IN IP4", Fault::Malformed(b'c')),
    ];
    for (line, fault) in behind {
        let lines = 4 + line.split("\r\n").count();
        refused(&format!("{BEGIN}{line}\r\na=x\r\n"), lines, fault);
    }
    let origins = [
        "a 1 1 IN IP4",
        "a b 1 IN IP4 h",
        "a 1 b IN IP4 h",
        "a b 1 1 IN IP4 h",
    ];
    for origin in origins {
        refused(&format!("v=0\r\no={origin}\r\n"), 2, Fault::Malformed(b'o'));
    }
    let bad = parse_bytes(b"v=0\ns=-\n").expect_err("no origin");
    assert_eq!(bad.to_string(), "line 2: missing o=");
}

#[test]
fn what_is_too_large_is_refused() {
    let three = format!("{BEGIN}m=audio 1 RTP/AVP 0 8\r\nm=audio 1 RTP/AVP 0\r\n");
    let just = SdpLimits {
        text: three.len(),
        line: "o=- 1 1 IN IP4 192.0.2.1".len(),
        lines: 6,
        media: 2,
        formats: 2,
    };
    assert!(SessionDescription::parse(three.as_bytes(), &just).is_ok());
    let less = [
        (
            SdpLimits {
                text: just.text - 1,
                ..just
            },
            0,
            Fault::TooLong,
        ),
        (
            SdpLimits {
                line: just.line - 1,
                ..just
            },
            2,
            Fault::LineTooLong,
        ),
        (SdpLimits { lines: 5, ..just }, 6, Fault::TooManyLines),
        (SdpLimits { media: 1, ..just }, 6, Fault::TooManyMedia),
        (SdpLimits { formats: 1, ..just }, 5, Fault::TooManyFormats),
    ];
    for (limits, line, fault) in less {
        let bad = SessionDescription::parse(three.as_bytes(), &limits).err();
        assert_eq!(bad, Some(BadSdp { line, fault }));
    }
    // Whatever is allowed, no offset is larger than a span can hold.
    let all = SdpLimits {
        text: usize::MAX,
        line: usize::MAX,
        lines: usize::MAX,
        ..just
    };
    let with = |len: usize| format!("{BEGIN}a={}", "x".repeat(len - BEGIN.len() - 2));
    let most = with(65_535);
    let description = SessionDescription::parse(most.as_bytes(), &all).expect("just small enough");
    let last = description.session().lines().last().expect("five");
    assert_eq!(last.span.end, u16::MAX);
    let bad = SessionDescription::parse(with(65_536).as_bytes(), &all).err();
    assert_eq!(bad.map(|bad| bad.fault), Some(Fault::TooLong));
}

#[test]
fn what_is_not_known_is_kept() {
    let text = format!("{BEGIN}y=0123\r\na=X-new:\u{e4} =: \r\nm=x 9 y *\r\nG= \r\na=a\r\n");
    let description = parse(&text);
    assert!(!description.is_understood());
    let new = description.session().attribute(b"X-new").expect("there");
    assert_eq!(new.value(), Some("\u{e4} =: ".as_bytes()));
    assert_eq!(edited(&text, |_, _| ()), text);
    let lines: Vec<_> = description.session().lines().map(|line| line.letter).collect();
    assert_eq!(lines, b"vostya");
}

#[test]
fn peers_write_more_spaces_than_the_grammar_has() {
    let text =
        "v=0\no=-   1  2 IN IP4  h \ns=\nc=IN  IP4 192.0.2.1 \nt=0  0 \nm=audio  2/2  RTP/AVP  0  8 \n";
    let (description, media) = (parse(text), media(text));
    assert_eq!(description.origin().unicast_address, b"h");
    assert_eq!(media.field.formats().collect::<Vec<_>>(), [b"0", b"8"]);
    assert_eq!((media.field.port, media.field.port_count), (2, 2));
    assert_eq!(media.field.port_span.of(text.as_bytes()), b"2");
    let moved = edited(text, |draft, description| {
        let field = description.media().next().expect("one").field;
        draft.set_port(&field, 65_535);
    });
    assert_eq!(moved, text.replace("2/2", "65535/2"));
}

/// RFC 8866 §5.7.
#[test]
fn a_connection_has_an_address_of_its_type() {
    let ip = |value: &str| {
        let text = format!("{BEGIN}m=audio 1 RTP/AVP 0\r\nc={value}\r\n");
        let connection = media(&text).connection().expect("there");
        assert_eq!(connection.span.of(text.as_bytes()), value.as_bytes());
        connection.ip().map(|ip| ip.to_string())
    };
    assert_eq!(ip("IN IP4 0.0.0.0").as_deref(), Some("0.0.0.0"));
    assert_eq!(ip("IN IP4 233.252.0.1/127/3").as_deref(), Some("233.252.0.1"));
    assert_eq!(ip("IN IP6 ff00::db8:0:101/3").as_deref(), Some("ff00::db8:0:101"));
    for other in [
        "IN IP6 192.0.2.1",
        "IN IP4 ::1",
        "IN IP6 [::1]",
        "IN IP4 host.example.com",
        "IN IP4 1.2.3",
        "ATM NSAP 47",
        "X IP4 192.0.2.1",
    ] {
        assert_eq!(ip(other), None, "{other}");
    }
    assert!(
        media(&format!("{BEGIN}m=audio 1 RTP/AVP 0"))
            .connection()
            .is_none()
    );
}

/// RFC 8866 §6.7.
#[test]
fn the_direction_of_a_stream_is_its_own_or_the_sessions() {
    let direction = |session: &str, own: &str| {
        media(&format!("{BEGIN}{session}m=audio 1 RTP/AVP 0\r\n{own}")).direction()
    };
    assert_eq!(direction("", ""), Direction::SendRecv);
    assert_eq!(direction("a=sendonly\r\n", ""), Direction::SendOnly);
    assert_eq!(direction("a=sendonly\r\n", "a=recvonly\r\n"), Direction::RecvOnly);
    assert_eq!(direction("a=inactive\r\n", "a=sendrecv\r\n"), Direction::SendRecv);
    // Names are case-sensitive, and directions are flags.
    assert_eq!(
        direction("", "a=Inactive\r\na=inactive:1\r\n"),
        Direction::SendRecv
    );
    assert_eq!(direction("", "a=x\r\na=inactive\r\n"), Direction::Inactive);
}

/// RFC 8866 §6.6, §6.15, §6.4, §6.5.
#[test]
fn attributes_say_what_formats_are() {
    let text = format!(
        "{BEGIN}a=fmtp:96 session\r\nm=audio 49230 RTP/AVP 96 97 98\r\na=rtpmap:96 L8/8000\r\na=rtpmap:97 L16/8000\r\n\
         a=rtpmap:98 L16/11025/2\r\na=fmtp:96 a=b; c\r\na=fmtp:98  x\r\na=ptime:20\r\na=maxptime:2.5\r\n"
    );
    let media = media(&text);
    let map = media.rtpmap(98).expect("there");
    assert_eq!(
        (map.encoding_name, map.clock_rate, map.encoding_params),
        (&b"L16"[..], 11_025, Some(&b"2"[..]))
    );
    assert_eq!(media.rtpmap(96).expect("there").encoding_params, None);
    assert!(media.rtpmap(99).is_none());
    assert_eq!(media.fmtp(b"96"), Some(&b"a=b; c"[..]));
    assert_eq!(media.fmtp(b"97"), None);
    assert_eq!(media.ptime(), Some(Duration::from_millis(20)));
    assert_eq!(media.maxptime(), Some(Duration::from_micros(2500)));
    for bad in [
        "96",
        "96 x",
        "96 x/",
        "96 x/0",
        "x x/1",
        "256 x/1",
        "96 x/4294967296",
        " 96/x/1",
        "96 /1",
    ] {
        assert_eq!(RtpMap::parse(bad.as_bytes()), None, "{bad}");
    }
    for bad in [
        "",
        "0",
        "0.0",
        "a",
        "1.",
        ".5",
        "1.a",
        "-1",
        "4294967296",
        "0.0000001",
    ] {
        assert_eq!(attribute::milliseconds(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn an_edit_changes_what_it_is_about() {
    let offer = EXAMPLE.replace("t=0 0\r\n", "t=0 0\r\na=tool:x\r\n");
    let changed = edited(&offer, |draft, description| {
        let session = description.session();
        for connection in session.connections() {
            draft.set_address(&connection, [192, 0, 2, 1].into());
        }
        draft.add_attribute(session, attribute("ice-lite"));
        draft.add_attribute(session, attribute("x:y z"));
        draft.remove_attributes(session, |it| it.name() == b"tool");
        for (media, port) in description.media().zip([0, 7, 8]) {
            draft.set_port(&media.field, port);
            draft.remove_attributes(media.section, |it| it.name() == b"rtpmap");
            draft.add_attribute(media.section, attribute(Direction::Inactive.as_str()));
        }
        let video = description.media().nth(2).expect("three").section;
        let own = video.connections().next().expect("its own");
        draft.set_address(&own, [0, 0, 0, 0].into());
        draft.set_address(&own, std::net::Ipv6Addr::LOCALHOST.into());
    });
    let expected = EXAMPLE
        .replace("c=IN IP4 198.51.100.1", "c=IN IP4 192.0.2.1")
        .replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\na=x:y z\r\n")
        .replace("49170 RTP/AVP 0\r\n", "0 RTP/AVP 0\r\na=inactive\r\n")
        .replace("49180 RTP/AVP 0\r\n", "7 RTP/AVP 0\r\na=inactive\r\n")
        .replace("51372", "8")
        .replace("2001:db8::2", "::1")
        .replace("a=rtpmap:99 h263-1998/90000", "a=inactive");
    assert_eq!(changed, expected);
}

#[test]
fn an_edit_at_the_end_keeps_the_end() {
    let replaced = |text: &str| {
        edited(text, |draft, description| {
            draft.remove_attributes(description.session(), |_| true);
            draft.remove_attributes(description.session(), |_| true);
            draft.add_attribute(description.session(), attribute("c"));
        })
    };
    for (end, line_end) in [
        ("", "\r\n"),
        ("\r\n", "\r\n"),
        ("\n", "\n"),
        ("", "\n"),
        ("\n\n", "\n"),
    ] {
        let begin = BEGIN.replace("\r\n", line_end);
        for attributes in ["", "a=a", "a=a\na=b:1\na=b:2"] {
            let text = format!("{begin}{}{end}", attributes.replace('\n', line_end));
            let text = if attributes.is_empty() {
                begin.clone()
            } else {
                text
            };
            let end = if attributes.is_empty() { line_end } else { end };
            assert_eq!(replaced(&text), format!("{begin}a=c{end}"), "{text:?}");
        }
    }
}

#[test]
fn an_attribute_cannot_bring_a_line_with_it() {
    for bad in ["", ":", "a b", "a:b\r\nm=audio 1 x y", "a:b\nc", "a:\0", "\u{e4}"] {
        assert_eq!(Attribute::parse(bad.as_bytes()), None, "{bad:?}");
    }
    assert_eq!(attribute("a:b:c").value(), Some(&b"b:c"[..]));
    assert_eq!(attribute("a:").value(), Some(&b""[..]));
    assert_eq!(attribute("a").value(), None);
}
