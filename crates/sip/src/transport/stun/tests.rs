use super::*;

const V4: &str = "192.0.2.1:32853";
const V6: &str = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte =
        |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("digits");
    digits.chunks(2).map(byte).collect()
}

/// The transaction ID of RFC 5769's samples, with the cookie.
const ID: &str = "2112a442 b7e7a701 bc34d686 fa87dfae";
const CLASSIC_ID: &str = "00112233 b7e7a701 bc34d686 fa87dfae";

/// The request of RFC 5769 §2.1, without its last attribute.
const SAMPLE: &str = "80220010 5354554e 20746573 7420636c 69656e74 00240004 6e0001ff 80290008 932ff9b1 51263b36 \
                      00060009 6576746a 3a683676 59202020 00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2";

fn message(kind: u16, id: &str, attributes: &str) -> Vec<u8> {
    let attributes = hex(attributes);
    let head = format!("{kind:04x}{:04x}{id}", attributes.len());
    [hex(&head), attributes].concat()
}

fn asked(datagram: &[u8], peer: &str) -> (Binding, Vec<u8>) {
    let mut out = b"before".to_vec();
    let binding = answer(datagram, peer.parse().expect("an address"), &mut out);
    (binding, out.split_off(6))
}

// RFC 8489 §14.2, RFC 5626 §8: the addresses of RFC 5769 §2.2 and §2.3, as they stand there.
#[test]
fn a_request_is_told_where_it_came_from() {
    let request = message(BINDING_REQUEST, ID, "");
    for (peer, attribute) in [
        (V4, "00200008 0001a147 e112a643"),
        (V6, "00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9"),
    ] {
        let answer = message(BINDING_SUCCESS, ID, attribute);
        assert_eq!(asked(&request, peer), (Binding::Answered, answer), "{peer}");
    }
    assert_eq!(
        asked(&request, "[::ffff:192.0.2.1]:32853"),
        asked(&request, V4),
        "an IPv4 peer of an IPv6 socket"
    );
}

// RFC 5389 §12.2: without the cookie, the answer has the same 16 bytes and an address that is not mixed.
#[test]
fn a_client_of_rfc_3489_is_told_so_that_it_understands() {
    for attributes in ["", "00030004 00000000"] {
        let request = message(BINDING_REQUEST, CLASSIC_ID, attributes);
        let answer = message(BINDING_SUCCESS, CLASSIC_ID, "00010008 00018055 c0000201");
        assert_eq!(asked(&request, V4), (Binding::Answered, answer), "{attributes}");
    }
}

// RFC 8489 §6.3.1, §14.13: what has to be known and is not is named; what comes behind MESSAGE-INTEGRITY is not looked at.
#[test]
fn what_has_to_be_known_is_refused() {
    let error = "00090004 00000414";
    for (id, attributes, unknown) in [
        (ID, "00240004 6e0001ff", "000a0002 0024 0000"),
        (ID, SAMPLE, "000a0002 0024 0000"),
        (ID, "00240000 7fff0000 00080000 00250000", "000a0004 0024 7fff"),
        (ID, "00030004 00000000", "000a0002 0003 0000"),
        (CLASSIC_ID, "00030004 00000006", "000a0004 0003 0003"),
        (CLASSIC_ID, "00020008 00010035 cb007107", "000a0004 0002 0002"),
    ] {
        let request = message(BINDING_REQUEST, id, attributes);
        let (binding, answer) = asked(&request, V6);
        let expected = message(BINDING_ERROR, id, &format!("{error}{unknown}"));
        assert_eq!((binding, &answer), (Binding::Refused, &expected), "{attributes}");
        assert!(answer.len() <= request.len() + 12, "{attributes}");
    }
}

// RFC 8489 §6.3: attributes that may be unknown, and known ones that nobody expects, are ignored.
#[test]
fn what_may_be_unknown_is_ignored() {
    for attributes in [
        "80220003 61626300",
        "ffff0000",
        "00060004 61626364",
        "00010008 00018055 c0000201",
        "00080000 7fff0000",
    ] {
        let request = message(BINDING_REQUEST, ID, attributes);
        assert_eq!(asked(&request, V4).0, Binding::Answered, "{attributes}");
    }
}

// RFC 8489 §14.7: the fingerprints of RFC 5769 §2.1 and §2.2 are right as they stand there.
#[test]
fn a_fingerprint_has_to_be_right_and_is_answered_with_one() {
    let sample = message(BINDING_REQUEST, ID, &format!("{SAMPLE} 80280004 e57a3bcf"));
    let (binding, refused) = asked(&sample, V4);
    assert_eq!((binding, refused.len()), (Binding::Refused, 20 + 8 + 8 + 8));
    assert_eq!(has_right_fingerprint(&refused, &refused[HEADER..]), Some(true));
    let response = "8022000b 74657374 20766563 746f7220 00200008 0001a147 e112a643 \
                    00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 80280004 c07d4c96";
    let response = message(BINDING_SUCCESS, ID, response);
    assert_eq!(has_right_fingerprint(&response, &response[HEADER..]), Some(true));

    let mut request = message(BINDING_REQUEST, ID, "80280004 00000000");
    let value = fingerprint_of(&request[..HEADER]);
    request[HEADER + 4..].copy_from_slice(&value.to_be_bytes());
    let (binding, answer) = asked(&request, V6);
    assert_eq!((binding, answer.len()), (Binding::Answered, 20 + 24 + 8));
    assert_eq!(has_right_fingerprint(&answer, &answer[HEADER..]), Some(true));
    for place in 4..request.len() {
        let mut broken = request.clone();
        broken[place] ^= 0x10;
        let is_other = (HEADER..HEADER + 4).contains(&place);
        assert!(
            is_other || asked(&broken, V4) == (Binding::Dropped, Vec::new()),
            "{place}"
        );
    }
}

// RFC 8489 §6.3: what is no request, or cannot be read, is dropped and gets no answer.
#[test]
fn whatever_else_comes_is_dropped() {
    let request = message(BINDING_REQUEST, ID, "80220004 61626364");
    for len in 0..request.len() {
        assert_eq!(
            asked(&request[..len], V4),
            (Binding::Dropped, Vec::new()),
            "{len}"
        );
    }
    assert_eq!(asked(&[&request[..], b"\0"].concat(), V4).0, Binding::Dropped);
    for kind in [BINDING_SUCCESS, BINDING_ERROR, 0x0003, 0x0002, 0x0000] {
        assert_eq!(
            asked(&message(kind, ID, ""), V4),
            (Binding::Dropped, Vec::new()),
            "{kind}"
        );
    }
    for attributes in [
        "8022",
        "80220005 61626364",
        "8022ffff 61626364",
        "80280003 00000000",
        "80280004 00000000 80220000",
    ] {
        let request = message(BINDING_REQUEST, ID, attributes);
        assert_eq!(
            asked(&request, V4),
            (Binding::Dropped, Vec::new()),
            "{attributes}"
        );
    }
    let indication = message(BINDING_INDICATION, ID, "");
    assert_eq!(asked(&indication, V4), (Binding::Indication, Vec::new()));
}

#[test]
fn no_answer_is_much_larger_than_what_it_answers() {
    let many = "7fff0000".repeat(300);
    for attributes in ["", &many[..800], &many[..]] {
        for id in [ID, CLASSIC_ID] {
            let request = message(BINDING_REQUEST, id, attributes);
            let (_, answer) = asked(&request, V6);
            assert!(answer.len() <= request.len() + 24, "{attributes}");
        }
    }
}
