//! What a user agent server looks at before it does what a request asks for (RFC 3261 §8.2).

use strowger_syntax::header::{ContentDisposition, Handling, MediaType};
use strowger_syntax::{Message, Name, Status};

use crate::reject::{Extra, Reject};

/// The one media type, encoding and language that is understood in a body: what Accept, Accept-Encoding and
/// Accept-Language say.
pub(crate) const ACCEPT: [(Name, &str); 3] = [
    (Name::Accept, "application/sdp"),
    (Name::AcceptEncoding, "identity"),
    (Name::AcceptLanguage, "en"),
];

/// Refuses a body whose type, encoding or language is not understood, unless it is optional (RFC 3261 §8.2.3).
#[inline]
pub fn check_content(request: Message<'_>) -> Result<(), Reject> {
    match request.body() {
        [] => Ok(()),
        _ => check_body(request),
    }
}

fn check_body(request: Message<'_>) -> Result<(), Reject> {
    match is_understood(request) || is_optional(request) {
        true => Ok(()),
        false => Err(Reject::with(Status::UNSUPPORTED_MEDIA_TYPE, Extra::Accept)),
    }
}

fn is_understood(request: Message<'_>) -> bool {
    let is_sdp = |value| MediaType::parse(value).is_ok_and(|media| media.is(b"application", b"sdp"));
    let is_english = |tag: &[u8]| tag.get(..2).is_some_and(|tag| tag.eq_ignore_ascii_case(b"en"));
    request.first(Name::ContentType).is_none_or(is_sdp)
        && request
            .elements(Name::ContentEncoding)
            .all(|coding| coding.eq_ignore_ascii_case(b"identity"))
        && request.elements(Name::ContentLanguage).all(is_english)
}

/// Whether the body may be left aside (RFC 3261 §20.11).
fn is_optional(request: Message<'_>) -> bool {
    let disposition = request.get::<ContentDisposition<'_>>();
    disposition.is_ok_and(|it| it.is_some_and(|it| it.handling() == Handling::Optional))
}
