//! `sip:` and `sips:` (RFC 3261 §19.1).

use super::escape::{escapes_are_whole, normalize_into};
use super::{Host, Params, UriError};
use crate::scan::{find_near, number, port, put_number, uri_param_end, user_end};
use crate::{Method, Transport};

/// A SIP or SIPS URI. All parts are as they were written, escapes included.
#[derive(Clone, Copy, Debug)]
pub struct SipUri<'a> {
    /// Whether it is `sips:`.
    pub secure: bool,
    /// The user part; never empty.
    pub user: Option<&'a [u8]>,
    /// The password, which may be empty.
    pub password: Option<&'a [u8]>,
    /// The host.
    pub host: Host<'a>,
    /// The port, when one is written; never 0.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params<'a>,
    /// What follows the `?`; empty without one.
    pub headers: &'a [u8],
}

/// What a `transport` parameter asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportParam<'a> {
    /// A transport that this system has.
    Known(Transport),
    /// Another one, as written.
    Unknown(&'a [u8]),
}

impl<'a> SipUri<'a> {
    /// A URI of a host alone.
    pub fn of_host(host: Host<'a>) -> Self {
        Self {
            secure: false,
            user: None,
            password: None,
            host,
            port: None,
            params: Params::default(),
            headers: &[],
        }
    }

    /// Reads what follows the scheme and its colon, if it is as most URIs are: without password, headers and escapes. All
    /// of it is checked on the way; what is read so, [`read`](Self::read) reads too.
    #[inline]
    pub(super) fn read_plain(secure: bool, text: &'a [u8]) -> Option<Self> {
        let (user, rest) = match text.split_at(user_end(text, 0)) {
            ([], _) => return None,
            (user, [b'@', rest @ ..]) => (Some(user), rest),
            _ => (None, text),
        };
        let (host, port, params) = read_hostport(rest).ok()?;
        are_plain_params(params).then_some(Self {
            secure,
            user,
            password: None,
            host,
            port,
            params: Params(params),
            headers: &[],
        })
    }

    /// The user part of a `sip:` URI and what follows its `@`, if the user has no password and no escapes. What follows is
    /// not looked at.
    pub fn split_plain_user(text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let text = text.strip_prefix(b"sip:")?;
        match text.split_at(user_end(text, 0)) {
            (user @ [_, ..], [b'@', rest @ ..]) => Some((user, rest)),
            _ => None,
        }
    }

    /// Reads what follows the scheme and its colon, known to have no character that a URI cannot have.
    pub(super) fn read(secure: bool, text: &'a [u8]) -> Result<Self, UriError> {
        let (userinfo, rest) = match find_near(text, b'@') {
            Some(i) => (Some(&text[..i]), &text[i + 1..]),
            None => (None, text),
        };
        let (user, password) = match userinfo {
            None => (None, None),
            Some(info) => match find_near(info, b':') {
                Some(i) => (Some(&info[..i]), Some(&info[i + 1..])),
                None => (Some(info), None),
            },
        };
        if user.is_some_and(<[u8]>::is_empty) || !userinfo.is_none_or(escapes_are_whole) {
            return Err(UriError::User);
        }
        let (host, port, rest) = read_hostport(rest)?;
        let (params, headers) = match find_near(rest, b'?') {
            Some(i) => (&rest[..i], Some(&rest[i + 1..])),
            None => (rest, None),
        };
        check_params(params)?;
        check_headers(headers)?;
        let headers = headers.unwrap_or(&[]);
        Ok(Self {
            secure,
            user,
            password,
            host,
            port,
            params: Params(params),
            headers,
        })
    }

    /// The transport parameter.
    pub fn transport(&self) -> Option<TransportParam<'a>> {
        let text = self.params.value(b"transport")?;
        Some(Transport::from_token(text).map_or(TransportParam::Unknown(text), TransportParam::Known))
    }

    /// Whether it names a loose router (§19.1.1 `lr`).
    pub fn is_loose_router(&self) -> bool {
        self.params.has(b"lr")
    }

    /// The maddr parameter; `None` too when it is no host.
    pub fn maddr(&self) -> Option<Host<'a>> {
        self.params.value(b"maddr").and_then(Host::parse_bare)
    }

    /// The ttl parameter.
    pub fn ttl(&self) -> Option<u8> {
        self.params
            .value(b"ttl")
            .and_then(number)
            .and_then(|n| u8::try_from(n).ok())
    }

    /// The method parameter.
    pub fn method(&self) -> Option<Method> {
        self.params.value(b"method").map(Method::from_token)
    }

    /// Whether the user part is a telephone-subscriber (`user=phone`).
    pub fn is_phone(&self) -> bool {
        self.params
            .value(b"user")
            .is_some_and(|v| v.eq_ignore_ascii_case(b"phone"))
    }

    /// Name and value of each header (behind the `?`), as written.
    pub fn header_fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        header_fields(self.headers)
    }

    /// Appends it. What was read is written as it was read, but for the case of scheme and host.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.secure { b"sips:" } else { b"sip:" });
        if let Some(user) = self.user {
            out.extend_from_slice(user);
            if let Some(password) = self.password {
                out.push(b':');
                out.extend_from_slice(password);
            }
            out.push(b'@');
        }
        self.encode_hostport(out);
        out.extend_from_slice(self.params.text());
        if !self.headers.is_empty() {
            out.push(b'?');
            out.extend_from_slice(self.headers);
        }
    }

    /// Appends host and port.
    pub fn encode_hostport(&self, out: &mut Vec<u8>) {
        self.host.encode(out);
        if let Some(port) = self.port {
            out.push(b':');
            put_number(out, u64::from(port));
        }
    }

    /// Appends its address-of-record in canonical form (§10.3 step 5): no password, parameters or headers, escapes of
    /// unreserved characters undone, scheme and host in lower case, no final dot. Equal users are equal bytes.
    pub fn aor_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.secure { b"sips:" } else { b"sip:" });
        if let Some(user) = self.user {
            normalize_into(user, out);
            out.push(b'@');
        }
        let host = match self.host {
            Host::Name(name) => Host::Name(name.strip_suffix(b".").unwrap_or(name)),
            address => address,
        };
        Self { host, ..*self }.encode_hostport(out);
    }
}

pub(super) fn header_fields(headers: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .split(|&b| b == b'&')
        .filter(|h| !h.is_empty())
        .map(|header| match memchr::memchr(b'=', header) {
            Some(i) => (&header[..i], &header[i + 1..]),
            None => (header, &[][..]),
        })
}

/// Host and port, and the parameters and headers behind them.
#[inline]
fn read_hostport(text: &[u8]) -> Result<(Host<'_>, Option<u16>, &[u8]), UriError> {
    let (host, len) = Host::read(text).ok_or(UriError::Host)?;
    match &text[len..] {
        rest @ ([] | [b';' | b'?', ..]) => Ok((host, None, rest)),
        [b':', rest @ ..] => match port(rest, 0) {
            Some((port, end)) if matches!(rest.get(end), None | Some(b';' | b'?')) => {
                Ok((host, Some(port), &rest[end..]))
            }
            _ => Err(UriError::Port),
        },
        _ => Err(UriError::Host),
    }
}

/// Whether a text is nothing but a few parameters without escapes.
#[inline]
fn are_plain_params(text: &[u8]) -> bool {
    let mut at = 0;
    while let [b';', first, ..] = text[at..]
        && !matches!(first, b';' | b'=')
    {
        at = uri_param_end(text, at + 1);
    }
    // No parameter is shorter than two bytes.
    at == text.len() && at <= 2 * Params::MAX
}

/// Parameters begin with `;` and have names. One `;` too many at the end is let pass: it is common and hides nothing.
pub(super) fn check_params(text: &[u8]) -> Result<(), UriError> {
    if text.is_empty() {
        return Ok(());
    }
    let body = text.strip_prefix(b";").ok_or(UriError::Param)?;
    let body = body.strip_suffix(b";").unwrap_or(body);
    let (mut rest, mut count) = (body, 1);
    let named = |param: &[u8]| !matches!(param.first(), None | Some(b';' | b'='));
    while named(rest)
        && let Some(next) = find_near(rest, b';')
    {
        rest = &rest[next + 1..];
        count += 1;
    }
    if named(rest) && count <= Params::MAX && escapes_are_whole(body) || body.is_empty() {
        Ok(())
    } else {
        Err(UriError::Param)
    }
}

fn check_headers(headers: Option<&[u8]>) -> Result<(), UriError> {
    let Some(text) = headers else { return Ok(()) };
    let named = |header: &[u8]| memchr::memchr(b'=', header).is_some_and(|i| i > 0);
    let mut fields = text.split(|&b| b == b'&');
    let whole = fields.by_ref().take(Params::MAX).all(named) && fields.next().is_none();
    if whole && escapes_are_whole(text) {
        Ok(())
    } else {
        Err(UriError::Headers)
    }
}
