//! RFC 3261 §8.2 and §10.3: what the node looks at in a request for itself before it does what is asked.

use strowger_testkit::message::{authorize, lines, registration, request, start_line, with};
use strowger_testkit::{Plan, Site};

const BOB: &str = "sip:bob@example.test";
const CONTACT: &str = "<sip:bob@192.0.2.11:5060>";

const UNSUPPORTED: &str = "SIP/2.0 415 Unsupported Media Type";
const OK: &str = "SIP/2.0 200 OK";

/// The same request with a body and what describes it.
fn with_body(text: &str, description: &str) -> String {
    with(text, description).replace("Content-Length: 0\r\n\r\n", "Content-Length: 3\r\n\r\nv=0")
}

// §8.2.3: the answer tells what is understood; a body that may be left aside is no reason to refuse.
#[test]
fn a_body_that_is_not_understood_is_refused_unless_it_is_optional() {
    let mut site = Site::new();
    for (i, (description, answer)) in [
        ("Content-Type: application/sdp", OK),
        ("c: Application/SDP;x=1", OK),
        ("X-None: x", OK),
        ("Content-Type: application/x-odd", UNSUPPORTED),
        ("Content-Type: nonsense", UNSUPPORTED),
        (
            "Content-Type: application/x-odd\r\nContent-Disposition: render;handling=optional",
            OK,
        ),
        (
            "Content-Type: application/x-odd\r\nContent-Disposition: render;handling=required",
            UNSUPPORTED,
        ),
        ("Content-Type: application/sdp\r\nContent-Encoding: identity", OK),
        ("Content-Type: application/sdp\r\ne: gzip", UNSUPPORTED),
        ("Content-Type: application/sdp\r\nContent-Language: en-GB", OK),
        (
            "Content-Type: application/sdp\r\nContent-Language: en, fr",
            UNSUPPORTED,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let n = 1 + 2 * i as u32;
        let options = with_body(&request('a', "OPTIONS", "sip:example.test", n), description);
        let register = with_body(&registration('b', BOB, CONTACT, n + 1), description);
        for (who, text) in [('a', options), ('b', register)] {
            let told = site.ask(who, &text);
            assert_eq!(start_line(&told), answer, "{text}");
            if answer == UNSUPPORTED {
                assert_eq!(lines(&told, "Accept"), ["application/sdp"]);
                assert_eq!(lines(&told, "Accept-Encoding"), ["identity"]);
                assert_eq!(lines(&told, "Accept-Language"), ["en"]);
            }
        }
    }
    site.assert_ends();
}

// §8.2.3: without a body there is nothing to understand, whatever describes it.
#[test]
fn what_describes_no_body_is_not_looked_at() {
    let mut site = Site::new();
    let text = with(
        &registration('b', BOB, CONTACT, 1),
        "Content-Type: application/x-odd\r\nContent-Encoding: gzip",
    );
    assert_eq!(start_line(&site.ask('b', &text)), OK);
}

// §8.2.2.2: the same REGISTER on another way; the one that came first counts, and comes again as often as it likes.
#[test]
fn a_register_that_came_on_another_way_before_is_refused() {
    for challenged in [&[][..], &["REGISTER"]] {
        let mut site = Site::of(Plan {
            challenged,
            ..Plan::default()
        });
        let mut register = registration('b', BOB, CONTACT, 1);
        if !challenged.is_empty() {
            let challenge = site.ask('b', &register);
            let again = register
                .replace("z9hG4bK1", "z9hG4bK2")
                .replace("CSeq: 1 ", "CSeq: 2 ");
            register = authorize(&again, &challenge, "bob", 1);
        }
        let bound = site.ask('b', &register);
        assert_eq!(start_line(&bound), OK);
        let elsewhere = register.replace("z9hG4bK", "z9hG4bKelsewhere");
        let refused = site.ask('b', &elsewhere);
        assert_eq!(start_line(&refused), "SIP/2.0 482 Loop Detected");
        assert!(lines(&refused, "Contact").is_empty());
        assert_eq!(site.ask('b', &register), bound);
    }
}

// §8.2.4, RFC 3327 §5.3: a Path is for those alone who support it.
#[test]
fn no_extension_is_applied_that_the_request_does_not_support() {
    let mut site = Site::new();
    let path = "Path: <sip:192.0.2.15;lr>";
    let refused = site.ask('b', &with(&registration('b', BOB, CONTACT, 1), path));
    assert_eq!(start_line(&refused), "SIP/2.0 420 Path Not Supported By Client");
    let both = format!("{path}\r\nSupported: path");
    let told = site.ask('b', &with(&registration('b', BOB, CONTACT, 2), &both));
    assert_eq!(lines(&told, "Path"), ["<sip:192.0.2.15;lr>"]);
    assert!(lines(&told, "Require").is_empty());
}

// §16.3 step 1, §16.6 step 1: bodies are for the called phone, whatever describes them.
#[test]
fn a_body_that_nobody_here_understands_is_forwarded() {
    let mut site = Site::new();
    site.register('b');
    for (n, description) in [
        "Content-Type: application/x-odd",
        "Content-Type: text/plain\r\nContent-Encoding: gzip",
        "Content-Type: text/plain\r\nContent-Language: xx",
    ]
    .into_iter()
    .enumerate()
    {
        site.send(
            'a',
            &with_body(&request('a', "MESSAGE", BOB, n as u32), description),
        );
        let sent = site.last('b', "MESSAGE");
        assert!(
            sent.contains(description) && sent.ends_with("\r\n\r\nv=0"),
            "{sent}"
        );
        site.answer('b', 415);
        assert_eq!(site.log(), "b MESSAGE, a 415");
    }
    site.assert_ends();
}

// §16.7 step 9: a To without a tag goes back as it came. §18.3: what has lost its end is no response.
#[test]
fn responses_of_older_phones_go_back_and_broken_ones_do_not() {
    let mut site = Site::new();
    site.register('b');
    site.send('a', &request('a', "MESSAGE", BOB, 1));
    let answer = site.response('b', 200, "X-Odd: <<>>");
    let tag = lines(&answer, "To")[0]
        .find(";tag=")
        .map(|at| lines(&answer, "To")[0][at..].to_owned());
    let untagged = answer.replace(&tag.expect("a tag"), "");
    site.send('b', &untagged.replace("Content-Length: 0", "Content-Length: 9"));
    assert_eq!(site.log(), "b MESSAGE");
    site.send('b', &untagged);
    assert_eq!(site.log(), "a 200");
    assert_eq!(
        lines(site.last('a', "SIP/2.0 200"), "To"),
        ["<sip:bob@example.test>"]
    );
    assert_eq!(lines(site.last('a', "SIP/2.0 200"), "X-Odd"), ["<<>>"]);
    site.assert_ends();
}
