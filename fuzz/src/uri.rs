//! URIs: two texts, one line each.

use strowger_syntax::Uri;
use strowger_syntax::uri::SipUri;

/// The URIs of a message, and its Request-URI beside each.
pub fn seeds(message: &[u8]) -> Vec<Vec<u8>> {
    let texts = message.split(|&b| matches!(b, b'<' | b'>' | b' ' | b'\r' | b'\n'));
    let uris: Vec<_> = texts.filter(|text| Uri::parse(text).is_ok()).collect();
    let Some(first) = uris.first() else {
        return Vec::new();
    };
    uris.iter().map(|uri| [first, *uri].join(&b'\n')).collect()
}

/// What is read can be written and read again; comparison is symmetric, and equivalent URIs have one address-of-record.
pub fn check(data: &[u8]) {
    let mut texts = data.splitn(2, |&b| b == b'\n');
    let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
    one(first);
    one(second);
    if let (Ok(a), Ok(b)) = (Uri::parse(first), Uri::parse(second)) {
        let equivalent = Uri::equivalent(&a, &b);
        assert_eq!(equivalent, Uri::equivalent(&b, &a), "comparison is symmetric");
        if let (true, Some(a), Some(b)) = (equivalent, a.as_sip(), b.as_sip()) {
            assert_eq!(aor(a), aor(b), "equivalent, so of one address-of-record");
        }
    }
}

fn one(text: &[u8]) {
    let Ok(uri) = Uri::parse(text) else { return };
    assert!(Uri::equivalent(&uri, &uri), "equivalent to itself");
    let mut written = Vec::new();
    uri.encode(&mut written);
    assert!(
        written.iter().all(u8::is_ascii_graphic),
        "nothing that could end it"
    );
    assert!(
        written.eq_ignore_ascii_case(text) || !is_plain_host(&uri, text),
        "written as it was read"
    );
    let again = Uri::parse(&written).expect("what was written is read");
    assert!(Uri::equivalent(&uri, &again), "and means the same");
    let mut twice = Vec::new();
    again.encode(&mut twice);
    assert_eq!(written, twice);
    if let Some(sip) = uri.as_sip() {
        same_by_the_whole_grammar(sip, text);
        let aor = aor(sip);
        let again = Uri::parse(&aor).expect("an address-of-record is a URI");
        assert_eq!(self::aor(again.as_sip().expect("of SIP")), aor, "and is its own");
    }
}

/// Whether the host is written in the one form that it has: IPv6 addresses, leading zeros and ports are not.
fn is_plain_host(uri: &Uri<'_>, text: &[u8]) -> bool {
    uri.as_sip()
        .is_none_or(|sip| sip.host.ip().is_none() && sip.port.is_none() && !text.ends_with(b"?"))
}

fn aor(uri: &SipUri<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    uri.aor_into(&mut out);
    out
}

/// The short way that reads most URIs and the reader of the whole grammar see the same. A scheme in another case keeps
/// off the short way.
fn same_by_the_whole_grammar(uri: &SipUri<'_>, text: &[u8]) {
    let mut other = text.to_vec();
    other[0] ^= 0x20;
    let mut third = text.to_vec();
    third[0] = b'S';
    third[1] = b'i';
    for text in [other, third] {
        let again = Uri::parse(&text).expect("read by the whole grammar");
        let again = again.as_sip().expect("of SIP");
        assert_eq!(
            (
                uri.secure,
                uri.user,
                uri.password,
                uri.host,
                uri.port,
                uri.params,
                uri.headers
            ),
            (
                again.secure,
                again.user,
                again.password,
                again.host,
                again.port,
                again.params,
                again.headers
            )
        );
    }
}
