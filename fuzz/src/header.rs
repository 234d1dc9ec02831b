//! Header field values: the first byte selects the header field.

use strowger_syntax::header::*;
use strowger_syntax::{Index, Limits, Name};

type Check = fn(&[u8]);

/// A table of header fields with the check of each.
macro_rules! table {
    ($($type:ident)*) => {
        &[$((Name::$type, |value| {
            let Ok(first) = $type::decode(value) else { return };
            let (mut written, mut twice) = (Vec::new(), Vec::new());
            first.encode(&mut written);
            let again = $type::decode(&written).expect("what was written is read");
            again.encode(&mut twice);
            assert_eq!(written, twice, "and is the same");
            assert!(stays_in_its_line(&written), "nothing written can begin a line");
        })),*]
    };
}

/// Every header field that has a type.
const TABLE: &[(Name, Check)] = table! {
    Accept AcceptContact AcceptEncoding AcceptLanguage AlertInfo Allow AllowEvents AuthenticationInfo Authorization
    CallId CallInfo Contact ContentDisposition ContentEncoding ContentLanguage ContentLength ContentType CSeq Date
    ErrorInfo Event Expires From InReplyTo MaxBreadth MaxForwards MimeVersion MinExpires MinSe Organization
    PAssertedIdentity PPreferredIdentity Path Priority Privacy ProxyAuthenticate ProxyAuthorization ProxyRequire RAck
    Reason RecordRoute ReferTo ReferredBy RejectContact Replaces ReplyTo RequestDisposition Require RetryAfter Route
    RSeq Server ServiceRoute SessionExpires Subject SubscriptionState Supported Timestamp To Unsupported UserAgent Via
    Warning WwwAuthenticate
};

/// Every value of a message, behind the byte of its header field.
pub fn seeds(message: &[u8]) -> Vec<Vec<u8>> {
    let mut index = Index::default();
    let Ok(message) = index.parse(message, &Limits::DEFAULT) else {
        return Vec::new();
    };
    let seed = |field: strowger_syntax::message::FieldView<'_>| {
        let selector = TABLE.iter().position(|(name, _)| *name == field.name)?;
        Some([&[selector as u8], field.value].concat())
    };
    message.fields().filter_map(seed).collect()
}

/// A value that decodes is written in a form that decodes to the same.
pub fn check(data: &[u8]) {
    let [selector, value @ ..] = data else { return };
    // The index has checked line ends before a value is decoded.
    if stays_in_its_line(value) {
        let (_, check) = TABLE[usize::from(*selector) % TABLE.len()];
        check(value);
    }
}

/// Whether every CR and LF is part of folding.
fn stays_in_its_line(value: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        match (byte, value.get(at + 1), value.get(at + 2)) {
            (b'\r', Some(b'\n'), Some(b' ' | b'\t')) => at += 3,
            (b'\r' | b'\n', ..) => return false,
            _ => at += 1,
        }
    }
    true
}
