//! Route information preprocessing (RFC 3261 §16.4).

use strowger_syntax::header::NameAddr;
use strowger_syntax::uri::SipUri;
use strowger_syntax::{Message, Name, Uri};

use crate::endpoint::Identity;

/// The URI parameter that carries our token in Record-Route.
pub(super) const TOKEN_PARAM: &[u8] = b"st";

/// What our own Route entries prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteToken {
    /// No Route entry of ours, or one that nobody of us wrote.
    Absent,
    /// A token that fits this dialog: it was set up through us.
    Valid,
    /// A token that does not fit.
    Forged,
}

/// Which elements of a request's route set end here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many elements at the top are ours.
    pub pop: usize,
    /// Whether a strict router had put our Record-Route into the Request-URI: the last element was taken for the
    /// Request-URI and is to be removed.
    pub strict: bool,
    /// How many elements are left then.
    pub left: usize,
}

impl Taken {
    /// Counts what is left of a request's route set.
    pub fn of(request: Message<'_>, pop: usize, strict: bool) -> Self {
        let all = if request.has(Name::Route) {
            request.elements(Name::Route).count()
        } else {
            0
        };
        Self {
            pop,
            strict,
            left: all.saturating_sub(pop + usize::from(strict)),
        }
    }
}

/// Where a request is bound for once our own entries are gone from it.
#[derive(Clone, Copy, Debug)]
pub struct Routing<'a> {
    /// The Request-URI to route by.
    pub request_uri: &'a [u8],
    /// What is ours of the route set.
    pub taken: Taken,
    /// What our entries prove.
    pub token: RouteToken,
    /// The URI of the next Route element, which decides where the request goes.
    pub next: Option<&'a [u8]>,
}

/// Takes our own entries from the top of the route set. `is_ours` says whether a URI names this node.
pub fn preprocess<'a>(
    identity: &Identity,
    request: Message<'a>,
    is_ours: impl Fn(&SipUri<'_>) -> bool,
) -> Routing<'a> {
    let mut routing = Routing {
        request_uri: request.request_uri(),
        taken: Taken::default(),
        token: RouteToken::Absent,
        next: None,
    };
    if !request.has(Name::Route) {
        return routing;
    }
    let (mut pop, mut strict) = (0, false);
    if let Some(token) = token_of(routing.request_uri, &is_ours)
        && let Some(last) = request.elements(Name::Route).last()
    {
        routing.note(identity, request, Some(token));
        (routing.request_uri, strict) = (uri_of(last), true);
    }
    let mut elements = request.elements(Name::Route);
    let mut left = 0;
    while let Some(element) = elements.next() {
        let own = match NameAddr::parse(element).map(|address| address.uri) {
            Ok(Uri::Sip(sip)) if is_ours(&sip) => Some(sip.params.value(TOKEN_PARAM)),
            _ => None,
        };
        match own {
            // Two entries stand for one pass through us that changed transport or address.
            Some(token) if pop < 2 => {
                routing.note(identity, request, token);
                pop += 1;
            }
            _ => {
                left = (1 + elements.count()).saturating_sub(usize::from(strict));
                routing.next = (left > 0).then(|| uri_of(element));
                break;
            }
        }
    }
    routing.taken = Taken { pop, strict, left };
    routing
}

/// The URI of the first Route element that does not end here.
pub(super) fn next_route(request: Message<'_>, taken: Taken) -> Option<&[u8]> {
    if taken.left == 0 {
        return None;
    }
    request.elements(Name::Route).nth(taken.pop).map(uri_of)
}

impl Routing<'_> {
    /// A token counts in the dialog that it was made for: with the right Call-ID and tag, and not before there is one
    /// (§16.6 step 4).
    fn note(&mut self, identity: &Identity, request: Message<'_>, token: Option<&[u8]>) {
        let Some(token) = token else { return };
        let fits = request.to_tag().is_some() && identity.is_route_token(request, token);
        self.token = match self.token {
            RouteToken::Absent | RouteToken::Valid if fits => RouteToken::Valid,
            _ => RouteToken::Forged,
        };
    }
}

/// The token of a Request-URI that is one of our Record-Route entries.
fn token_of(uri: &[u8], is_ours: impl Fn(&SipUri<'_>) -> bool) -> Option<&[u8]> {
    memchr::memmem::find(uri, b";st=")?;
    match Uri::parse(uri) {
        Ok(Uri::Sip(sip)) if sip.user.is_none() && is_ours(&sip) => sip.params.value(TOKEN_PARAM),
        _ => None,
    }
}

/// The URI of a Route element. One that is malformed stands for itself: it is no URI, and whoever reads it will notice.
fn uri_of(element: &[u8]) -> &[u8] {
    NameAddr::parse(element).map_or(element, |address| address.uri_text)
}

/// Whether a Route element's URI asks for loose routing.
pub(super) fn is_loose(uri: &[u8]) -> bool {
    matches!(Uri::parse(uri), Ok(Uri::Sip(sip)) if sip.is_loose_router())
}
