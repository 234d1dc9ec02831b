//! Why there is no answer, and whose fault that is.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use hyper_util::client::legacy;

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This node: it asks more than it may, or trusts too few.
    Ours,
    /// The network between, or the name of the server.
    Network,
    /// The server.
    Theirs,
}

/// Why there is no answer. Names of servers are without path and query.
#[derive(Clone, Debug)]
pub enum Error {
    /// Too many requests wait.
    Full,
    /// The time was over before it was this request's turn.
    Crowded(Duration),
    /// No connection to this server.
    Connect(Box<str>, Box<str>),
    /// No TLS with this server.
    Tls(Box<str>, Box<str>),
    /// This server took the request and did not answer in time.
    Late(Box<str>, Duration),
    /// The answer of this server has more bytes than it may.
    TooLarge(Box<str>, usize),
    /// This server broke off, or its answer is no HTTP.
    Broken(Box<str>, Box<str>),
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Full | Self::Crowded(_) => Fault::Ours,
            Self::Connect(..) => Fault::Network,
            Self::Tls(..) | Self::Late(..) | Self::TooLarge(..) | Self::Broken(..) => Fault::Theirs,
        }
    }

    pub(super) fn of_request(origin: Box<str>, error: &legacy::Error) -> Self {
        let cause = innermost(error);
        if find::<rustls::Error>(error).is_some() {
            Self::Tls(origin, cause)
        } else if error.is_connect() {
            Self::Connect(origin, cause)
        } else {
            Self::Broken(origin, cause)
        }
    }

    pub(super) fn of_body(origin: Box<str>, error: &(dyn StdError + 'static)) -> Self {
        Self::Broken(origin, innermost(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("too many HTTP requests of this node wait already"),
            Self::Crowded(time) => write!(
                f,
                "others were asked for {time:?}, so it was not this request's turn"
            ),
            Self::Connect(origin, cause) => write!(f, "no connection to {origin}: {cause}"),
            Self::Tls(origin, cause) => write!(f, "no TLS with {origin}: {cause}"),
            Self::Late(origin, time) => write!(f, "{origin} did not answer within {time:?}"),
            Self::TooLarge(origin, most) => write!(f, "the answer of {origin} has more than {most} bytes"),
            Self::Broken(origin, cause) => write!(f, "{origin} did not answer by HTTP: {cause}"),
        }
    }
}

impl StdError for Error {}

/// Whether the server closed the connection before it said anything.
pub(super) fn is_closed(error: &legacy::Error) -> bool {
    let closed = |e: &hyper::Error| e.is_incomplete_message() || e.is_canceled();
    !error.is_connect() && find::<hyper::Error>(error).is_some_and(closed)
}

/// The error of this type among the causes, also where one was made an I/O error.
fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| cause(error)).take(16)
}

fn cause<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e (dyn StdError + 'static)> {
    match error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// What it comes down to.
fn innermost(error: &(dyn StdError + 'static)) -> Box<str> {
    causes(error).last().unwrap_or(error).to_string().into()
}
