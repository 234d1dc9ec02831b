//! Calls everything that reads a message: for tests that must hold for whatever bytes come.

use std::hint::black_box;

use strowger_syntax::header::*;
use strowger_syntax::message::ListItems;
use strowger_syntax::uri::{TransportParam, Uri, escape};
use strowger_syntax::{Header, HeaderError, Message, Name};

macro_rules! read {
    ($message:ident, $bad:ident, $type:ty, $decode:path) => {
        black_box($message.get::<$type>().is_ok());
        for value in $message.all::<$type>() {
            match value {
                Ok(value) => {
                    let (mut first, mut second) = (Vec::new(), Vec::new());
                    value.encode(&mut first);
                    let again = $decode(&first)
                        .unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&first)));
                    again.encode(&mut second);
                    assert_eq!(String::from_utf8_lossy(&first), String::from_utf8_lossy(&second));
                }
                Err(error) => $bad.push(error),
            }
        }
    };
}

macro_rules! borrowed {
    ($message:ident, $bad:ident, $($type:ident)*) => { $(read!($message, $bad, $type<'_>, $type::decode);)* };
}

macro_rules! owned {
    ($message:ident, $bad:ident, $($type:ident)*) => { $(read!($message, $bad, $type, $type::decode);)* };
}

/// Decodes every value of every header type, and the URIs in them. What decodes must be written in a form that decodes
/// to the same. The errors of those that do not decode.
pub(crate) fn headers(message: Message<'_>) -> Vec<HeaderError> {
    let mut bad = Vec::new();
    owned! { message, bad, ContentLength Date Expires MaxBreadth MaxForwards MinExpires RSeq }
    borrowed! { message, bad,
        Accept AcceptContact AcceptEncoding AcceptLanguage AlertInfo Allow AllowEvents AuthenticationInfo Authorization
        CallId CallInfo Contact ContentDisposition ContentEncoding ContentLanguage ContentType CSeq ErrorInfo Event From
        InReplyTo MimeVersion MinSe Organization PAssertedIdentity PPreferredIdentity Path Priority Privacy
    }
    borrowed! { message, bad,
        ProxyAuthenticate ProxyAuthorization ProxyRequire RAck Reason RecordRoute ReferTo ReferredBy RejectContact Replaces
        ReplyTo RequestDisposition Require RetryAfter Route Server ServiceRoute SessionExpires Subject SubscriptionState
        Supported Timestamp To Unsupported UserAgent Via Warning WwwAuthenticate
    }
    bad
}

/// Calls every accessor of a message, its headers and its URIs.
pub(crate) fn accessors(message: Message<'_>) {
    black_box((
        message.bytes(),
        message.method(),
        message.method_text(),
        message.status(),
        message.reason(),
    ));
    black_box((
        message.call_id(),
        message.cseq(),
        message.from_tag(),
        message.to_tag(),
        message.branch(),
    ));
    black_box((
        message.via(),
        message.sent_by_host(),
        message.body(),
        message.is_request(),
    ));
    for field in message.fields() {
        black_box((
            field.text,
            field.value,
            field.span,
            field.line,
            message.has(field.name),
        ));
        black_box(ListItems::new(field.value).count());
        black_box(message.lists(field.name, b"100rel"));
        uri(field.value);
    }
    uri(message.request_uri());
    for contact in message.all::<Contact<'_>>().flatten() {
        black_box((contact.expires(), contact.q()));
        if let Some(address) = contact.address() {
            black_box((address.display_name(), address.tag()));
            uri(address.uri_text);
        }
    }
    for via in message.all::<Via<'_>>().flatten() {
        black_box((via.branch(), via.received(), via.rport(), via.maddr(), via.ttl()));
    }
    for authorization in message.all::<Authorization<'_>>().flatten() {
        black_box(
            authorization
                .digest()
                .map(|d| (d.nonce_count(), d.username.map(|u| u.text().len()))),
        );
    }
    for challenge in message.all::<WwwAuthenticate<'_>>().flatten() {
        black_box(challenge.digest().map(|d| (d.is_stale(), d.offers(b"auth"))));
    }
    for name in Name::KNOWN {
        black_box(message.elements(*name).count());
    }
}

fn uri(text: &[u8]) {
    let Ok(uri) = Uri::parse(text) else { return };
    let mut out = Vec::new();
    uri.encode(&mut out);
    let again = Uri::parse(&out).unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&out)));
    assert!(
        Uri::equivalent(&uri, &again),
        "{:?}",
        String::from_utf8_lossy(&out)
    );
    if let Some(sip) = uri.as_sip() {
        let known = matches!(sip.transport(), Some(TransportParam::Known(_)));
        black_box((
            known,
            sip.maddr(),
            sip.ttl(),
            sip.method(),
            sip.is_phone(),
            sip.is_loose_router(),
            sip.host.ip(),
        ));
        let mut aor = Vec::new();
        sip.aor_into(&mut aor);
        assert!(Uri::parse(&aor).is_ok(), "{:?}", String::from_utf8_lossy(&aor));
        escape::unescape_into(sip.user.unwrap_or(b""), &mut out);
    }
    if let Some(tel) = uri.as_tel() {
        black_box((
            tel.digits().count(),
            tel.phone_context(),
            tel.extension(),
            tel.isdn_subaddress(),
        ));
    }
}
