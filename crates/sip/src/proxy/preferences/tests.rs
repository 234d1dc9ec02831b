use strowger_syntax::{Index, Limits};

use super::*;

fn with<T>(method: &str, fields: &str, act: impl FnOnce(Message<'_>) -> T) -> T {
    let text = format!(
        "{method} sip:user@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h.test;branch=z9hG4bKa\r\nFrom: <sip:a@x.test>;tag=1\r\n\
         To: <sip:user@example.com>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n{fields}Content-Length: 0\r\n\r\n"
    );
    let mut index = Index::default();
    act(index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request"))
}

fn ranks(method: &str, fields: &str, contacts: &[&str]) -> Vec<Suits> {
    with(method, fields, |request| {
        contacts
            .iter()
            .map(|params| suits(request, params.as_bytes()))
            .collect()
    })
}

#[test]
fn the_example_of_rfc_3841_7_2_5() {
    let contacts = [
        r#";audio;video;methods="INVITE,BYE""#,
        r#";audio="FALSE";methods="INVITE";actor="msg-taker""#,
        r#";audio;actor="msg-taker";methods="INVITE";video"#,
        r#";audio;methods="INVITE,OPTIONS""#,
        "",
    ];
    let fields = "Reject-Contact: *;actor=\"msg-taker\";video\r\nAccept-Contact: *;audio;require\r\n\
        Accept-Contact: *;video;explicit\r\nAccept-Contact: *;methods=\"BYE\";class=\"business\";q=1.0\r\n";
    assert_eq!(
        ranks("INVITE", fields, &contacts),
        [
            Suits::Rank(833),
            Suits::Not,
            Suits::Not,
            Suits::Rank(500),
            Suits::Rank(1000)
        ]
    );
}

#[test]
fn values_are_compared_by_what_they_are() {
    let suits = |asked: &str, has: &str| {
        let fields = format!("Accept-Contact: *;{asked};require;explicit\r\n");
        ranks("INVITE", &fields, &[has]) == [Suits::Rank(1000)]
    };
    for (asked, has, expected) in [
        ("mobility=\"fixed\"", ";mobility=\"FIXED\"", true),
        ("mobility=\"fixed\"", ";mobility=\"mobile\"", false),
        ("mobility=\"!fixed\"", ";mobility=\"mobile\"", true),
        ("mobility=\"!fixed\"", ";mobility=\"fixed\"", false),
        ("+sip.x=\"<A>\"", ";+sip.x=\"<A>\"", true),
        ("+sip.x=\"<a>\"", ";+sip.x=\"<A>\"", false),
        ("priority=\"#>=10\"", ";priority=\"#=20\"", true),
        ("priority=\"#>=10\"", ";priority=\"#=5\"", false),
        ("priority=\"#4:6\"", ";priority=\"#<=5\"", true),
        ("language=\"en,de\"", ";language=\"fr,de\"", true),
        ("audio", ";audio=\"TRUE\"", true),
        ("audio=\"FALSE\"", ";audio", false),
        ("video", ";audio", false),
    ] {
        assert_eq!(suits(asked, has), expected, "{asked} {has}");
    }
}

// RFC 3841 §7.2.2: only where nothing was said explicitly.
#[test]
fn a_contact_that_does_not_know_the_method_is_left_out_if_there_are_others() {
    let contacts = [
        ";methods=\"INVITE,BYE\"",
        ";methods=\"MESSAGE\"",
        ";+sip.instance=\"<i>\"",
    ];
    let (yes, no) = (Suits::Rank(1000), Suits::NotByItself);
    assert_eq!(ranks("MESSAGE", "", &contacts), [no, yes, yes]);
    let events = [";methods=\"SUBSCRIBE\";events=\"presence\"", ";events=\"dialog\""];
    assert_eq!(ranks("SUBSCRIBE", "Event: presence;id=1\r\n", &events), [yes, no]);
    let explicit = ranks("MESSAGE", "Accept-Contact: *;audio\r\n", &contacts);
    assert_eq!(explicit, [Suits::Rank(0); 3]);
}

#[test]
fn the_directives_of_request_disposition() {
    let asked = |value: &str| {
        with(
            "INVITE",
            &format!("Request-Disposition: {value}\r\n"),
            Disposition::of,
        )
    };
    assert_eq!(
        asked("proxy, no-recurse, Sequential"),
        Disposition {
            proxy: Some(true),
            recurse: Some(false),
            parallel: Some(false),
            ..Disposition::default()
        }
    );
    assert_eq!(
        asked("no-fork, redirect, no-cancel, queue, what"),
        Disposition {
            proxy: Some(false),
            fork: Some(false),
            cancel: Some(false),
            queue: Some(true),
            ..Disposition::default()
        }
    );
    assert_eq!(asked("No-Queue").queue, Some(false));
    assert_eq!(with("INVITE", "", Disposition::of), Disposition::default());
}
