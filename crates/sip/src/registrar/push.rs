//! What a contact says of the push notification service that wakes its device (RFC 8599 §4.1), and who may read it.

use strowger_syntax::Uri;
use strowger_syntax::uri::Params;

/// The names of the parameters that lead to a device. A peer may know `pn-purr`, and nothing else of them (RFC 8599 §4.1).
const SECRET: [&[u8]; 3] = [b"pn-provider", b"pn-param", b"pn-prid"];

/// The push parameters of a contact's URI, as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushParams<'a> {
    /// The type of service; empty when the contact asks which there are (RFC 8599 §4.1.5).
    pub provider: &'a [u8],
    /// More of the service, if it needs more (`pn-param`).
    pub param: Option<&'a [u8]>,
    /// The device at the service (`pn-prid`). Without one nobody is to be woken (RFC 8599 §4.1.2, §4.1.5).
    pub prid: Option<&'a [u8]>,
}

impl<'a> PushParams<'a> {
    /// Those of a SIP URI; `None` if it names no service.
    pub fn of(uri: &'a [u8]) -> Option<Self> {
        let params = params_of(uri)?;
        Some(Self {
            provider: params.get(b"pn-provider")?.unwrap_or_default(),
            param: params.value(b"pn-param"),
            prid: params.value(b"pn-prid").filter(|prid| !prid.is_empty()),
        })
    }
}

/// The parameters of a SIP URI that may have some for push. Nearly none has, and that is seen at once.
fn params_of(uri: &[u8]) -> Option<Params<'_>> {
    if !may_have_push(uri) {
        return None;
    }
    match Uri::parse(uri) {
        Ok(Uri::Sip(sip)) => Some(sip.params),
        _ => None,
    }
}

/// Whether a text may have push parameters: they begin alike, in any case (RFC 3261 §7.3.1). One that is written with escapes in its
/// name is none of them.
pub fn may_have_push(text: &[u8]) -> bool {
    memchr::memchr_iter(b'-', text).any(|at| {
        text[..at]
            .last_chunk::<2>()
            .is_some_and(|name| name.eq_ignore_ascii_case(b"pn"))
    })
}

/// Appends a contact's URI as those may see it who look after the server: without the device's own name.
pub fn write_shown_uri(uri: &[u8], out: &mut Vec<u8>) {
    rewrite(uri, out, |name, param, out| {
        out.extend_from_slice(if name.eq_ignore_ascii_case(b"pn-prid") {
            b"pn-prid=..."
        } else {
            param
        });
        true
    });
}

/// Appends a text with URIs in it, such as a whole message, as those may see it who look after the server: without the names
/// of devices.
pub fn write_shown_text(text: &[u8], out: &mut Vec<u8>) {
    const NAME: &[u8] = b"pn-prid=";
    let ends = |byte: &u8| *byte <= b' ' || b";>?,\"".contains(byte);
    let mut rest = text;
    while may_have_push(rest)
        && let Some(at) = rest
            .windows(NAME.len())
            .position(|name| name.eq_ignore_ascii_case(NAME))
    {
        let (shown, value) = rest.split_at(at + NAME.len());
        out.extend_from_slice(shown);
        out.extend_from_slice(b"...");
        rest = &value[value.iter().position(ends).unwrap_or(value.len())..];
    }
    out.extend_from_slice(rest);
}

/// Appends a contact's URI as others may see it (RFC 8599 §13): without what leads to the device.
pub fn write_public_uri(uri: &[u8], out: &mut Vec<u8>) {
    let is_secret = |name: &[u8]| SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret));
    rewrite(uri, out, |name, param, out| {
        out.extend_from_slice(param);
        !is_secret(name)
    });
}

/// Appends a URI with other parameters: `write` appends each of them, or does not.
fn rewrite(uri: &[u8], out: &mut Vec<u8>, write: impl Fn(&[u8], &[u8], &mut Vec<u8>) -> bool) {
    let Some(params) = params_of(uri) else {
        return out.extend_from_slice(uri);
    };
    let text = params.text();
    // Both are parts of one text.
    let at = text.as_ptr() as usize - uri.as_ptr() as usize;
    out.extend_from_slice(&uri[..at]);
    for param in text.split(|&b| b == b';').filter(|param| !param.is_empty()) {
        let name = param.split(|&b| b == b'=').next().unwrap_or_default();
        let start = out.len();
        out.push(b';');
        if !write(name, param, out) {
            out.truncate(start);
        }
    }
    out.extend_from_slice(&uri[at + text.len()..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_any_case() {
        for name in ["pn-prid", "PN-PRID", "Pn-Prid", "pN-prid"] {
            assert!(
                may_have_push(format!("sip:a@192.0.2.1;{name}=x").as_bytes()),
                "{name}"
            );
        }
        for other in ["n-prid", "-", "sip:a-b@192.0.2.1;spn=-"] {
            assert!(!may_have_push(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_contact_names_its_service_and_its_device() {
        let uri = b"sip:alice@192.0.2.1;PN-Provider=acme;pn-param=acme-param;pn-prid=ZTY4ZDJlMzODE1NmUgKi0K";
        let push = PushParams::of(uri).expect("some");
        assert_eq!(push.provider, b"acme");
        assert_eq!(push.param, Some(&b"acme-param"[..]));
        assert_eq!(push.prid, Some(&b"ZTY4ZDJlMzODE1NmUgKi0K"[..]));
    }

    // RFC 8599 §4.1.5.
    #[test]
    fn a_contact_that_asks_names_no_device() {
        for uri in [
            &b"sip:a@b;pn-provider"[..],
            b"sip:a@b;pn-provider=",
            b"sip:a@b;pn-provider=;pn-prid=",
        ] {
            let push = PushParams::of(uri).expect("some");
            assert_eq!((push.provider, push.prid), (&b""[..], None));
        }
    }

    #[test]
    fn most_contacts_have_none() {
        for uri in [
            &b"sip:alice@192.0.2.1"[..],
            b"sip:alice@192.0.2.1;transport=tcp;pn-purr=x",
            b"sip:pn-provider=x@192.0.2.1",
            b"tel:+1;pn-provider=acme",
            b"pn-provider",
        ] {
            assert_eq!(PushParams::of(uri), None);
        }
    }

    #[test]
    fn the_name_of_a_device_is_shown_to_nobody() {
        let mut out = Vec::new();
        write_shown_uri(b"sip:a@b;pn-provider=acme;pn-prid=x;ob", &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "sip:a@b;pn-provider=acme;pn-prid=...;ob"
        );
    }

    // RFC 8599 §13.
    #[test]
    fn a_message_is_shown_without_the_names_of_its_devices() {
        for (text, shown) in [
            ("", ""),
            ("m: <sip:a@b>\r\n", "m: <sip:a@b>\r\n"),
            (
                "INVITE sip:a@b;pn-prid=x SIP/2.0\r\n",
                "INVITE sip:a@b;pn-prid=... SIP/2.0\r\n",
            ),
            (
                "m: <sip:a@b;PN-Prid=x;ob>,<sip:c@d;pn-prid=y?h=i>\r\n",
                "m: <sip:a@b;PN-Prid=...;ob>,<sip:c@d;pn-prid=...?h=i>\r\n",
            ),
            ("pn-prid=x", "pn-prid=..."),
            ("pn-prid=", "pn-prid=..."),
            ("pn-prid", "pn-prid"),
        ] {
            let mut out = Vec::new();
            write_shown_text(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), shown);
        }
    }

    // RFC 8599 §13.
    #[test]
    fn others_see_a_contact_without_what_leads_to_the_device() {
        for (uri, public) in [
            (
                &b"sips:a@b:5;transport=tcp;pn-provider=acme;ob;pn-prid=x;pn-param=y;pn-purr=z?h=v"[..],
                &b"sips:a@b:5;transport=tcp;ob;pn-purr=z?h=v"[..],
            ),
            (b"sip:a@b;pn-provider;pn-prid", b"sip:a@b"),
            (b"sip:a@b;lr", b"sip:a@b;lr"),
        ] {
            let mut out = Vec::new();
            write_public_uri(uri, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(public));
        }
    }
}
