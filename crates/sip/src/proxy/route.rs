//! Route information preprocessing (RFC 3261 §16.4).

use strowger_syntax::header::NameAddr;
use strowger_syntax::message::{FieldView, ListItems, Span};
use strowger_syntax::scan::skip_ws;
use strowger_syntax::uri::SipUri;
use strowger_syntax::{Message, Name, Uri};

use crate::endpoint::Identity;
use crate::transport::Listeners;
use crate::transport::branch::hex;

/// The URI parameter that carries our token in Record-Route.
const TOKEN_PARAM: &[u8] = b"st";
/// What stands between our URI and the token in Record-Route.
pub(super) const LOOSE_AND_TOKEN: &[u8] = b";lr;st=";
/// The digits of a token.
const TOKEN_DIGITS: usize = 16;

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

/// What stands for a token, if it is one.
type Token = Option<u64>;

/// What of a request ends here: elements of its route set, and credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many elements at the top are ours.
    pub pop: usize,
    /// Whether a strict router had put our Record-Route into the Request-URI: the last element was taken for the
    /// Request-URI and is to be removed.
    pub strict: bool,
    /// How many elements are left then.
    pub left: usize,
    /// What is to be cut out of the request, as far as that is in one piece: the elements at the top that are ours, when
    /// they are all that is taken and stand on one line.
    pub cut: Option<Span>,
    /// The line of Proxy-Authorization that is for us, where it is known to be the only one.
    pub credentials: Option<Span>,
}

impl Taken {
    /// Counts what is left of a request's route set.
    pub fn of(request: Message<'_>, pop: usize, strict: bool) -> Self {
        let all = request.elements(Name::Route).count();
        Self {
            pop,
            strict,
            left: all.saturating_sub(pop + usize::from(strict)),
            cut: None,
            credentials: None,
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
        routing.note(identity, request, Some(hex(token)));
        (routing.request_uri, strict) = (uri_of(last), true);
    }
    let on_line = |(line, field): (usize, FieldView<'a>)| {
        ListItems::new(field.value).map(move |(element, end)| (line, element, end))
    };
    let mut elements = request.fields_of(Name::Route).enumerate().flat_map(on_line);
    let (mut left, mut popped, mut next_line) = (0, (0, 0), None);
    while let Some((line, element, end)) = elements.next() {
        let own = match own_token(&identity.listeners, element) {
            Some(token) => Some(Some(Some(token))),
            None => token_of_ours(element, &is_ours).map(|token| token.map(hex)),
        };
        match own {
            // Two entries stand for one pass through us that changed transport or address.
            Some(token) if pop < 2 => {
                routing.note(identity, request, token);
                pop += 1;
                popped = (line, end);
            }
            _ => {
                left = (1 + elements.count()).saturating_sub(usize::from(strict));
                routing.next = (left > 0).then(|| uri_of(element));
                next_line = Some(line);
                break;
            }
        }
    }
    let cut = match popped {
        (0, end) if pop > 0 && !strict => cut_of_first_line(request, end, next_line),
        _ => None,
    };
    routing.taken = Taken {
        pop,
        strict,
        left,
        cut,
        credentials: None,
    };
    routing
}

/// What goes with the elements of the first line up to `end`, if that is in one piece; the next element is on `next_line`.
fn cut_of_first_line(request: Message<'_>, end: usize, next_line: Option<usize>) -> Option<Span> {
    let mut fields = request.fields_of(Name::Route);
    let first = fields.next()?;
    match next_line {
        Some(0) => Some(Span {
            start: first.span.start,
            end: first.span.start + skip_ws(first.value, end) as u16,
        }),
        Some(_) => Some(first.line),
        None => fields.next().is_none().then_some(first.line),
    }
}

/// The URI of the first Route element that does not end here.
pub fn next_route(request: Message<'_>, taken: Taken) -> Option<&[u8]> {
    if taken.left == 0 {
        return None;
    }
    request.elements(Name::Route).nth(taken.pop).map(uri_of)
}

impl Routing<'_> {
    /// A token counts in the dialog that it was made for: with the right Call-ID and tag, and not before there is one
    /// (§16.6 step 4).
    fn note(&mut self, identity: &Identity, request: Message<'_>, token: Option<Token>) {
        let Some(token) = token else { return };
        let fits =
            request.to_tag().is_some() && token.is_some_and(|token| identity.is_route_token(request, token));
        self.token = match self.token {
            RouteToken::Absent | RouteToken::Valid if fits => RouteToken::Valid,
            _ => RouteToken::Forged,
        };
    }
}

/// The token of an element that is a Record-Route entry of ours, byte for byte.
fn own_token(listeners: &Listeners, element: &[u8]) -> Option<u64> {
    let inner = element.strip_prefix(b"<")?.strip_suffix(b">")?;
    let (rest, token) = inner.split_at_checked(inner.len().checked_sub(TOKEN_DIGITS)?)?;
    let uri = rest.strip_suffix(LOOSE_AND_TOKEN)?;
    match hex(token) {
        Some(token) if listeners.is_written(uri) => Some(token),
        _ => None,
    }
}

/// Whether an element names this node, and its token if it has one.
fn token_of_ours(element: &[u8], is_ours: impl Fn(&SipUri<'_>) -> bool) -> Option<Option<&[u8]>> {
    match NameAddr::parse(element).map(|address| address.uri) {
        Ok(Uri::Sip(sip)) if is_ours(&sip) => Some(sip.params.value(TOKEN_PARAM)),
        _ => None,
    }
}

/// The token of a Request-URI that is one of our Record-Route entries.
fn token_of(uri: &[u8], is_ours: impl Fn(&SipUri<'_>) -> bool) -> Option<&[u8]> {
    memchr::memchr_iter(b';', uri).find(|&at| uri[at..].starts_with(b";st="))?;
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
