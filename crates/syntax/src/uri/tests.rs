use super::*;

fn sip(text: &str) -> SipUri<'_> {
    *Uri::parse(text.as_bytes())
        .expect(text)
        .as_sip()
        .expect("a SIP URI")
}

fn equivalent(a: &str, b: &str) -> bool {
    let (x, y) = (
        Uri::parse(a.as_bytes()).expect(a),
        Uri::parse(b.as_bytes()).expect(b),
    );
    let forward = Uri::equivalent(&x, &y);
    assert_eq!(forward, Uri::equivalent(&y, &x), "{a} {b}: symmetric");
    forward
}

#[test]
fn every_part_is_found() {
    let uri = sip(
        "sips:alice;day=tuesday:secretword@atlanta.com:5061;transport=TCP;lr;maddr=[2001:db8::1]?to=a%40b&x=",
    );
    assert!(uri.secure && uri.is_loose_router());
    assert_eq!(
        (uri.user, uri.password),
        (Some(&b"alice;day=tuesday"[..]), Some(&b"secretword"[..]))
    );
    assert_eq!((uri.host, uri.port), (Host::Name(b"Atlanta.COM."), Some(5061)));
    assert_eq!(
        uri.transport(),
        Some(TransportParam::Known(crate::Transport::Tcp))
    );
    assert_eq!(
        uri.maddr().and_then(|m| m.ip()),
        Some("2001:db8::1".parse().expect("address"))
    );
    let headers: Vec<_> = uri.header_fields().collect();
    assert_eq!(headers, [(&b"to"[..], &b"a%40b"[..]), (b"x", b"")]);
    assert_eq!(uri.params.get(b"LR"), Some(None));
    assert_eq!(uri.params.get(b"ttl"), None);
}

#[test]
fn escapes_in_parameter_names_are_undone() {
    // RFC 4475 §3.1.1.3
    let uri = sip("sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31");
    assert!(uri.is_loose_router());
    let mut value = Vec::new();
    escape::unescape_into(uri.params.value(b"name").expect("there"), &mut value);
    assert_eq!(value, b"value%41");
}

#[test]
fn good_uris_are_read_and_written_back() {
    for text in [
        "sip:alice@atlanta.com",
        "sip:alice:@atlanta.com",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sip:1212@gateway.com",
        "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
        "sip:alice;day=tuesday@atlanta.com",
        "sip:*97#@host_1.example",
        "sip:%00%00@h",
        "sip:[2001:db8::10]:5070",
        "sip:user@[::ffff:192.0.2.1];x",
        "sip:sips%3Auser%40example.com@example.net",
        "sip:a@b.c.;lr=on",
        "sip:h;",
        "tel:+358-555-1234567;postd=pp22",
        "tel:7042;phone-context=example.com",
        "tel:*21#",
        "soap.beep://192.0.2.103:3002",
        "urn:service:sos",
    ] {
        let mut out = Vec::new();
        Uri::parse(text.as_bytes())
            .unwrap_or_else(|e| panic!("{text}: {e}"))
            .encode(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), text);
    }
}

#[test]
fn bad_uris_are_refused_for_their_reason() {
    for (text, error) in [
        ("", UriError::Scheme),
        ("alice", UriError::Scheme),
        (":a", UriError::Scheme),
        ("1sip:a", UriError::Scheme),
        ("sip:", UriError::Scheme),
        ("sip:a b@c", UriError::Character),
        ("sip:a@c\u{1}", UriError::Character),
        ("sip:a@c\u{e9}", UriError::Character),
        ("sip:<a>", UriError::Character),
        ("sip:@host", UriError::User),
        ("sip:a%4@host", UriError::User),
        ("sip:a%zz@host", UriError::User),
        ("sip:a@", UriError::Host),
        ("sip:a@b@c", UriError::Host),
        ("sip:a:1;b@c=d", UriError::Host),
        ("sip:a@;lr", UriError::Host),
        ("sip:a@256.1.1.1", UriError::Host),
        ("sip:a@1.2.3", UriError::Host),
        ("sip:a@a..b", UriError::Host),
        ("sip:a@-b", UriError::Host),
        ("sip:a@example.123", UriError::Host),
        ("sip:a@[::1", UriError::Host),
        ("sip:a@[::g]", UriError::Host),
        ("sip:a@::1", UriError::Host),
        ("sip:a@b:", UriError::Port),
        ("sip:a@b:0", UriError::Port),
        ("sip:a@b:65536", UriError::Port),
        ("sip:a@b:50x", UriError::Port),
        ("sip:a@b;;lr", UriError::Param),
        ("sip:a@b;=x", UriError::Param),
        ("sip:a@b;x=%", UriError::Param),
        ("sip:a@b?", UriError::Headers),
        ("sip:a@b?x", UriError::Headers),
        ("sip:a@b?=x", UriError::Headers),
        ("sip:a@b?x=%1", UriError::Headers),
        ("tel:", UriError::Scheme),
        ("tel:+", UriError::Number),
        ("tel:+12*", UriError::Number),
        ("tel:---", UriError::Number),
        ("tel:joe", UriError::Number),
        ("tel:+1;;x", UriError::Param),
    ] {
        assert_eq!(Uri::parse(text.as_bytes()).err(), Some(error), "{text:?}");
    }
    assert!(Uri::parse(format!("sip:a{}", ";b".repeat(Params::MAX)).as_bytes()).is_ok());
    assert!(Uri::parse(format!("sip:a{}", ";b".repeat(Params::MAX + 1)).as_bytes()).is_err());
}

#[test]
fn equivalence_follows_the_examples_of_19_1_4() {
    for (a, b) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:carol@chicago.com;newparam=5",
            "sip:carol@chicago.com;security=on",
        ),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:DB8::1]", "sip:a@[2001:db8:0::1]"),
        ("sip:a@b;x=%41", "sip:a@b;x=a"),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
        (
            "tel:7042;phone-context=Example.com;ext=1-2",
            "tel:70.42;ext=12;phone-context=example.com",
        ),
        ("tel:7;phone-context=+1-2", "tel:7;phone-context=+12"),
        ("tel:+1;A=b", "tel:+1;a=B"),
        ("urn:service:sos", "URN:service:sos"),
    ] {
        assert!(equivalent(a, b), "{a} = {b}");
    }
    for (a, b) in [
        (
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP",
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
        ),
        ("sip:a@b", "sips:a@b"),
        ("sip:b", "sip:a@b"),
        ("sip:a@b", "sip:a:p@b"),
        ("sip:a@b;user=ip", "sip:a@b"),
        ("sip:a@b;ttl=1", "sip:a@b"),
        ("sip:a@b;maddr=239.1.1.1", "sip:a@b"),
        ("sip:a@b;method=INVITE", "sip:a@b;method=invite"),
        ("sip:a@b;x", "sip:a@b;x=1"),
        // An escaped reserved character is not its plain form.
        ("sip:a%3bb@c", "sip:a;b@c"),
        ("sip:a@b?x=1&x=2", "sip:a@b?x=1"),
        ("tel:+12", "tel:12"),
        ("tel:+12;x=1", "tel:+12"),
        ("sip:a@b", "tel:12"),
    ] {
        assert!(!equivalent(a, b), "{a} is not {b}");
    }
}

#[test]
fn three_colons_count_as_two() {
    // RFC 5118 §4.10
    assert!(equivalent(
        "sip:u@[2001:db8:::192.0.2.1]",
        "sip:u@[2001:db8::192.0.2.1]"
    ));
    assert_eq!(Uri::parse(b"sip:u@[2001:db8::::1]").err(), Some(UriError::Host));
}

#[test]
fn escaping_is_undone_by_unescaping() {
    let all: Vec<u8> = (0..=255).collect();
    for escape in [
        escape::escape_user_into,
        escape::escape_param_into,
        escape::escape_header_into,
    ] {
        let (mut text, mut back) = (Vec::new(), Vec::new());
        escape(&all, &mut text);
        assert!(text.iter().all(|b| b.is_ascii_graphic() && !b"<>\"@".contains(b)));
        escape::unescape_into(&text, &mut back);
        assert_eq!(back, all);
    }
    let mut user = Vec::new();
    escape::escape_user_into(b"a:b@c #", &mut user);
    assert_eq!(user, b"a%3Ab%40c%20%23");
}

#[test]
fn equal_addresses_of_record_are_equal_bytes() {
    let aor = |text: &str| {
        let mut out = Vec::new();
        sip(text).aor_into(&mut out);
        String::from_utf8(out).expect("ASCII")
    };
    assert_eq!(
        aor("SIP:%61li%63e%3b:pw@Atlanta.COM:5060;user=phone?x=y"),
        "sip:alice%3B@atlanta.com:5060"
    );
    assert_eq!(
        aor("sip:a%2fb%20%00%25@[2001:DB8:0::1]"),
        "sip:a%2Fb%20%00%25@[2001:db8::1]"
    );
    assert_eq!(aor("sip:#%22@c."), "sip:%23%22@c");
    assert_ne!(aor("sip:a%3bb@c"), aor("sip:a;b@c"));
}
