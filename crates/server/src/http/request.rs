//! What is asked: URL, method, header lines and body.

use std::fmt;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};

/// Why a URL, a method or a header line does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// No URL by RFC 3986.
    Url,
    /// A scheme other than http and https, or none.
    Scheme,
    /// A user name or password in the URL, where it would be shown.
    UserInfo,
    /// No method by RFC 9110 §9.1.
    Method,
    /// No header field name, or a value with control characters.
    HeaderLine,
    /// A header field that is made from the request itself.
    OwnHeader,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "this is no URL",
            Self::Scheme => "a URL must begin with http:// or https://",
            Self::UserInfo => "a URL must not contain a user name or password",
            Self::Method => "this is no method",
            Self::HeaderLine => "this is no header field",
            Self::OwnHeader => "this header field is made from the request itself",
        })
    }
}

impl std::error::Error for RequestError {}

/// An absolute http or https URL. Shown, it is only the server's part: paths and queries may contain secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(Uri);

impl Url {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        let uri: Uri = text.parse().map_err(|_| RequestError::Url)?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(RequestError::Scheme);
        }
        let authority = uri.authority().ok_or(RequestError::Url)?;
        if authority.as_str().contains('@') {
            return Err(RequestError::UserInfo);
        }
        if authority.host().is_empty() || text.contains('#') {
            return Err(RequestError::Url);
        }
        Ok(Self(uri))
    }

    /// Whether what is sent there can be read on the way.
    pub fn is_plain(&self) -> bool {
        self.0.scheme_str() == Some("http")
    }

    /// Whether it names this very machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.0.host().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || address
                .parse::<std::net::IpAddr>()
                .is_ok_and(|a| a.to_canonical().is_loopback())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let authority = self.0.authority().map(hyper::http::uri::Authority::as_str);
        write!(f, "{}://{}", part(self.0.scheme_str()), part(authority))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A request. Shown, it is only method and server.
#[derive(Clone)]
pub struct Request {
    method: Method,
    url: Url,
    header: HeaderMap,
    body: Bytes,
    repeatable: bool,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

impl Request {
    /// A GET.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            header: HeaderMap::new(),
            body: Bytes::new(),
            repeatable: true,
        }
    }

    /// A POST with this body, whose type has to be said with [`Request::with_line`].
    pub fn post(url: Url, body: impl Into<Bytes>) -> Self {
        Self {
            method: Method::POST,
            body: body.into(),
            repeatable: false,
            ..Self::get(url)
        }
    }

    /// With another method.
    ///
    /// # Errors
    /// It is none.
    pub fn with_method(mut self, method: &str) -> Result<Self, RequestError> {
        self.method = Method::from_bytes(method.as_bytes()).map_err(|_| RequestError::Method)?;
        Ok(self)
    }

    /// With one more header field.
    ///
    /// # Errors
    /// It is none, or one that cannot be chosen.
    pub fn with_line(mut self, name: &str, value: &[u8]) -> Result<Self, RequestError> {
        let (name, value) = header_line(name, value)?;
        self.header.append(name, value);
        Ok(self)
    }

    /// To be sent once more when the server closes a connection on it, as doing it twice does no harm (RFC 9110 §9.2.2). A GET is
    /// so anyway.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    pub(super) fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    /// The server, for messages.
    pub(super) fn origin(&self) -> Box<str> {
        self.url.to_string().into()
    }

    pub(super) fn to_hyper(&self) -> hyper::Request<Full<Bytes>> {
        let mut request = hyper::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.url.0.clone();
        *request.headers_mut() = self.header.clone();
        request
    }
}

/// A header field, if it can be one of a request. Its value counts as secret: nothing shows it.
fn header_line(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), RequestError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| RequestError::HeaderLine)?;
    let mut value = HeaderValue::from_bytes(value).map_err(|_| RequestError::HeaderLine)?;
    value.set_sensitive(true);
    match name.as_str() {
        "content-length" | "transfer-encoding" | "connection" | "upgrade" | "host" => {
            Err(RequestError::OwnHeader)
        }
        _ => Ok((name, value)),
    }
}
