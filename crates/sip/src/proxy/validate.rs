//! Request validation (RFC 3261 §16.3).

use strowger_syntax::{Message, Name, Status};

use crate::reject::{Extra, Reject};
use crate::transport::Branches;

/// Steps 2 to 5 for a request that is to be forwarded. Syntax (step 1) was checked when it was indexed; step 6,
/// authorization, is the dispatcher's. `loop_part` is what our branch for it would carry.
pub fn validate(request: Message<'_>, loop_part: u64) -> Result<(), Reject> {
    check_scheme(request)?;
    check_max_forwards(request)?;
    check_loop(request, loop_part)?;
    check_proxy_require(request)
}

/// §16.3 step 2.
fn check_scheme(request: Message<'_>) -> Result<(), Reject> {
    let uri = request.request_uri();
    if uri.starts_with(b"sip:") {
        return Ok(());
    }
    let scheme = &uri[..uri.iter().position(|&b| b == b':').unwrap_or(0)];
    let known = [&b"sip"[..], b"sips", b"tel"]
        .into_iter()
        .any(|s| scheme.eq_ignore_ascii_case(s));
    if known {
        Ok(())
    } else {
        Err(Reject::new(Status::UNSUPPORTED_URI_SCHEME))
    }
}

/// §16.3 step 3.
fn check_max_forwards(request: Message<'_>) -> Result<(), Reject> {
    match request
        .first(Name::MaxForwards)
        .map(strowger_syntax::scan::number)
    {
        Some(None) => Err(Reject::because(Status::BAD_REQUEST, "Malformed Max-Forwards")),
        Some(Some(0)) => Err(Reject::new(Status::TOO_MANY_HOPS)),
        Some(Some(256..)) => Err(Reject::because(Status::BAD_REQUEST, "Malformed Max-Forwards")),
        _ => Ok(()),
    }
}

/// §16.3 step 4, by RFC 5393 §4.2: a Via of ours whose loop part is what we would write again.
fn check_loop(request: Message<'_>, loop_part: u64) -> Result<(), Reject> {
    let is_ours = |branch| Branches::loop_part(branch) == Some(loop_part);
    let looped = request.branch().is_some_and(is_ours)
        || (!request.is_first_hop()
            && request
                .elements(Name::Via)
                .skip(1)
                .filter_map(branch_of)
                .any(is_ours));
    if looped {
        Err(Reject::new(Status::LOOP_DETECTED))
    } else {
        Ok(())
    }
}

/// The branch of a Via value, if it looks like one of ours.
fn branch_of(via: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(via, b";branch=z9hG4bK")? + 8;
    let end = via[at..].iter().position(|&b| matches!(b, b';' | b' ' | b','));
    Some(&via[at..end.map_or(via.len(), |end| at + end)])
}

/// §16.3 step 5: no option of Proxy-Require is known here.
fn check_proxy_require(request: Message<'_>) -> Result<(), Reject> {
    if request.has(Name::ProxyRequire) && request.elements(Name::ProxyRequire).next().is_some() {
        return Err(Reject::with(
            Status::BAD_EXTENSION,
            Extra::Unsupported(Name::ProxyRequire, &[]),
        ));
    }
    Ok(())
}
