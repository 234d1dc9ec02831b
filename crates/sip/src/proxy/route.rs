//! Route information preprocessing (RFC 3261 §16.4).

use strowger_syntax::header::NameAddr;
use strowger_syntax::message::{FieldView, ListItems, Span};
use strowger_syntax::scan::skip_ws;
use strowger_syntax::uri::SipUri;
use strowger_syntax::{Message, Name, Uri};

use crate::endpoint::Identity;
use crate::registrar::OB;
use crate::transport::branch::hex;
use crate::transport::{Listeners, ReadToken, Source, TokenUse};

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

/// An entry of ours that was taken from a route set.
#[derive(Clone, Copy)]
struct OwnEntry<'a> {
    /// Its token, if it has one.
    token: Option<Token>,
    /// Its user part, which may be the token of a flow.
    user: Option<&'a [u8]>,
    /// Whether it stands for the first hop of a registration.
    ob: bool,
}

impl OwnEntry<'_> {
    /// One without a user part.
    fn of(token: Option<Token>) -> Self {
        Self {
            token,
            user: None,
            ob: false,
        }
    }
}

/// What the last of our own entries says of the flow that a request came for (RFC 5626 §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteFlow {
    /// Its token.
    pub token: ReadToken,
    /// Whether it is from the Path of a registration, so that new requests come by it.
    pub by_path: bool,
    /// Whether it is the only one of ours, which then stands for both directions.
    pub is_alone: bool,
    /// Whether it has the `ob` parameter.
    pub ob: bool,
}

impl RouteFlow {
    /// Whether the request goes to whoever is at the other end of the flow: where it has not come over it itself
    /// (RFC 5626 §5.3).
    pub fn is_incoming(&self, source: &Source) -> bool {
        match self.token {
            ReadToken::Flow(flow) => !self.is_alone || !flow.is_of(source),
            ReadToken::Gone => true,
            ReadToken::Forged | ReadToken::None => false,
        }
    }
}

/// What of a request ends here: elements of its route set, and credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many elements at the top are ours.
    pub pop: u16,
    /// Whether a strict router had put our Record-Route into the Request-URI: the last element was taken for the
    /// Request-URI and is to be removed.
    pub strict: bool,
    /// How many elements are left then.
    pub left: u16,
    /// What is to be cut out of the request, as far as that is in one piece: the elements at the top that are ours, when
    /// they are all that is taken and stand on one line.
    pub cut: Option<Span>,
    /// The line of Proxy-Authorization that is for us, where it is known to be the only one.
    pub credentials: Option<Span>,
}

impl Taken {
    /// Counts what is left of a request's route set.
    pub fn of(request: Message<'_>, pop: u16, strict: bool) -> Self {
        let all = request.elements(Name::Route).count();
        Self {
            pop,
            strict,
            left: all.saturating_sub(usize::from(pop) + usize::from(strict)) as u16,
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
    /// The flow that our entries name, if nothing is left of the route set behind them.
    pub flow: Option<RouteFlow>,
}

/// Takes our own entries from the top of the route set. `is_ours` says whether a URI names this node.
pub fn preprocess<'a>(
    identity: &Identity,
    request: Message<'a>,
    is_ours: impl Fn(&SipUri<'_>) -> bool,
) -> Routing<'a> {
    let mut routing = Routing::of(request);
    if !request.has(Name::Route) {
        return routing;
    }
    let (mut pop, mut strict, mut last) = (0u16, false, None);
    if let Some(entry) = token_of(identity, routing.request_uri, &is_ours)
        && let Some(target) = request.elements(Name::Route).last()
    {
        routing.note(identity, request, entry.token);
        (routing.request_uri, strict, last) = (uri_of(target), true, Some(entry));
    } else if let Some((token, line)) = only_own_token(&identity.listeners, request) {
        routing.note(identity, request, Some(Some(token)));
        (routing.taken.pop, routing.taken.cut) = (1, Some(line));
        return routing;
    }
    let on_line = |(line, field): (usize, FieldView<'a>)| {
        ListItems::new(field.value).map(move |(element, end)| (line, element, end))
    };
    let mut elements = request.fields_of(Name::Route).enumerate().flat_map(on_line);
    let (mut left, mut popped, mut next_line) = (0u16, (0, 0), None);
    while let Some((line, element, end)) = elements.next() {
        match own_entry(&identity.listeners, element, &is_ours) {
            // Two entries stand for one pass through us that changed transport or address, or that follows two flows.
            Some(entry) if pop < 2 => {
                routing.note(identity, request, entry.token);
                last = Some(entry);
                pop += 1;
                popped = (line, end);
            }
            _ => {
                left = (1 + elements.count() as u16).saturating_sub(u16::from(strict));
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
    let last = last.filter(|_| routing.next.is_none());
    routing.flow = last.and_then(|last| routing.flow_of(identity, last, pop + u16::from(strict) == 1));
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
    request
        .elements(Name::Route)
        .nth(usize::from(taken.pop))
        .map(uri_of)
}

impl<'a> Routing<'a> {
    /// That of a request without a route set.
    fn of(request: Message<'a>) -> Self {
        Self {
            request_uri: request.request_uri(),
            taken: Taken::default(),
            token: RouteToken::Absent,
            next: None,
            flow: None,
        }
    }
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

    /// The flow of the last entry. In a dialog its token counts with that of the dialog.
    fn flow_of(&self, identity: &Identity, entry: OwnEntry<'_>, is_alone: bool) -> Option<RouteFlow> {
        let used = match entry.token {
            None => TokenUse::Path,
            Some(token) => TokenUse::Dialog(token.filter(|_| self.token == RouteToken::Valid)?),
        };
        let token = identity.read_flow(entry.user?, used);
        (token != ReadToken::None).then_some(RouteFlow {
            token,
            by_path: used == TokenUse::Path,
            is_alone,
            ob: entry.ob,
        })
    }

    /// Whether it came by the Path of a registration, which leads to one phone and nowhere else.
    pub fn is_by_path(&self) -> bool {
        self.flow
            .is_some_and(|flow| flow.by_path && flow.token != ReadToken::Forged)
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

/// The token of a Record-Route entry of ours that is all of a route set, as it is in most dialogs that were set up through one
/// proxy, and its line.
fn only_own_token(listeners: &Listeners, request: Message<'_>) -> Option<(u64, Span)> {
    let token = own_token(listeners, request.only(Name::Route)?)?;
    Some((token, request.field(Name::Route)?.line))
}

/// An element that is ours.
fn own_entry<'a>(
    listeners: &Listeners,
    element: &'a [u8],
    is_ours: impl Fn(&SipUri<'_>) -> bool,
) -> Option<OwnEntry<'a>> {
    match own_token(listeners, element) {
        Some(token) => Some(OwnEntry::of(Some(Some(token)))),
        None => entry_of_ours(element, is_ours),
    }
}

/// An element that names this node.
fn entry_of_ours(element: &[u8], is_ours: impl Fn(&SipUri<'_>) -> bool) -> Option<OwnEntry<'_>> {
    match NameAddr::parse(element).map(|address| address.uri) {
        Ok(Uri::Sip(sip)) if is_ours(&sip) => Some(OwnEntry {
            token: sip.params.value(TOKEN_PARAM).map(hex),
            user: sip.user,
            ob: sip.params.has(OB),
        }),
        _ => None,
    }
}

/// A Request-URI that is one of our Record-Route entries. Users have no tokens, unless they are flows.
fn token_of<'a>(
    identity: &Identity,
    uri: &'a [u8],
    is_ours: impl Fn(&SipUri<'_>) -> bool,
) -> Option<OwnEntry<'a>> {
    memchr::memchr_iter(b';', uri).find(|&at| uri[at..].starts_with(b";st="))?;
    let Ok(Uri::Sip(sip)) = Uri::parse(uri) else {
        return None;
    };
    let token = sip.params.value(TOKEN_PARAM).map(hex)?;
    let is_flow = |user| {
        let used = token.map(TokenUse::Dialog);
        used.is_some_and(|used| {
            matches!(
                identity.read_flow(user, used),
                ReadToken::Flow(_) | ReadToken::Gone
            )
        })
    };
    (is_ours(&sip) && sip.user.is_none_or(is_flow)).then_some(OwnEntry {
        token: Some(token),
        user: sip.user,
        ob: false,
    })
}

/// The URI of a Route element. One that is malformed stands for itself: it is no URI, and whoever reads it will notice.
fn uri_of(element: &[u8]) -> &[u8] {
    NameAddr::parse(element).map_or(element, |address| address.uri_text)
}

/// Whether a Route element's URI asks for loose routing.
pub(super) fn is_loose(uri: &[u8]) -> bool {
    matches!(Uri::parse(uri), Ok(Uri::Sip(sip)) if sip.is_loose_router())
}
