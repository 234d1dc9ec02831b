//! Addresses-of-record as keys (RFC 3261 §10.3 step 5).

use strowger_syntax::uri::{Host, SipUri, escape};

/// Appends the canonical form of an address-of-record: `user@host`, or `host` without a user. Escapes are undone, the host
/// is in lower case and without a final dot. Scheme, password, port, parameters and headers do not count: which ports
/// are this node's is decided with the domain, before. The user may hold any byte, even `@`: the last one separates.
pub fn canonical_aor(uri: &SipUri<'_>, out: &mut Vec<u8>) {
    if let Some(user) = uri.user {
        escape::unescape_into(user, out);
        out.push(b'@');
    }
    canonical_host(&uri.host, out);
}

/// Appends the canonical form of a host, as addresses-of-record have it and realms are named after.
pub fn canonical_host(host: &Host<'_>, out: &mut Vec<u8>) {
    match *host {
        Host::Name(name) => Host::Name(name.strip_suffix(b".").unwrap_or(name)).encode(out),
        address => address.encode(out),
    }
}

#[cfg(test)]
mod tests {
    use strowger_syntax::Uri;

    use super::*;

    #[test]
    fn section_10_3_step_5_canonical_form() {
        for (uri, key) in [
            ("sip:alice@example.test", "alice@example.test"),
            (
                "sips:alice:pw@EXAMPLE.test.:5061;transport=tcp;user=phone?subject=x",
                "alice@example.test",
            ),
            ("sip:%61lice@example.test", "alice@example.test"),
            ("sip:Alice@example.test", "Alice@example.test"),
            ("sip:a%40b@example.test", "a@b@example.test"),
            ("sip:+15551234;ext=1@example.test", "+15551234;ext=1@example.test"),
            ("sip:alice@127.0.0.1:5060", "alice@127.0.0.1"),
            ("sip:alice@[::0:1]", "alice@[::1]"),
            ("sip:Example.Test", "example.test"),
        ] {
            let Ok(Uri::Sip(parsed)) = Uri::parse(uri.as_bytes()) else {
                panic!("{uri}")
            };
            let mut out = Vec::new();
            canonical_aor(&parsed, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), key, "{uri}");
        }
    }
}
