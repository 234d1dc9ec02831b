//! Header fields: the table of names and one file for each typed value.

/// Header fields that share one grammar: each is a type of its own around the value that the grammar yields.
macro_rules! family {
    ($inner:ident, $parse:path: $($variant:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug)]
        pub struct $variant<'a>(pub $inner<'a>);

        impl<'a> std::ops::Deref for $variant<'a> {
            type Target = $inner<'a>;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl<'a> $crate::header::Header<'a> for $variant<'a> {
            const NAME: $crate::Name = $crate::Name::$variant;

            fn decode(value: &'a [u8]) -> Result<Self, $crate::HeaderError> {
                $parse(value).map(Self).map_err(|what| $crate::HeaderError { name: Self::NAME, what })
            }
        }

        impl $crate::header::Encode for $variant<'_> {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
        }
    )*};
}

mod call_id;
mod contact;
mod cseq;
mod date;
mod digest;
mod media_type;
mod name_addr;
mod names;
mod number;
mod params;
mod privacy;
mod replaces;
mod seconds;
#[cfg(test)]
mod tests;
mod text;
mod timestamp;
mod token;
mod token_params;
mod via;
mod warning;

pub use call_id::{CallId, InReplyTo};

pub use contact::{Contact, Q};
pub use cseq::{CSeq, RAck};
pub use date::Date;
pub use digest::{
    AuthenticationInfo, Authorization, Challenge, Credentials, DigestChallenge, DigestResponse,
    ProxyAuthenticate, ProxyAuthorization, WwwAuthenticate,
};
pub use media_type::{Accept, ContentType, MediaType};
pub(crate) use name_addr::layout;
pub use name_addr::{
    AlertInfo, CallInfo, ErrorInfo, From, NameAddr, PAssertedIdentity, PPreferredIdentity, Path, RecordRoute,
    ReferTo, ReferredBy, ReplyTo, Route, ServiceRoute, To, WrittenAddr,
};
pub(crate) use names::{LineStart, Named, START_SIZE};
pub use names::{Multiplicity, Name};
pub use number::{ContentLength, Expires, MaxBreadth, MaxForwards, MinExpires, RSeq};
pub use params::{ParamValue, Params};
pub(crate) use params::{Range, next_param};
pub use privacy::Privacy;
pub use replaces::Replaces;
pub use seconds::{MinSe, Refresher, RetryAfter, SessionExpires};
pub use text::{Organization, Server, Subject, UserAgent};
pub use timestamp::Timestamp;
pub use token::{
    Allow, AllowEvents, ContentEncoding, ContentLanguage, MimeVersion, Priority, ProxyRequire,
    RequestDisposition, Require, Supported, Unsupported,
};
pub use token_params::{
    AcceptContact, AcceptEncoding, AcceptLanguage, ContentDisposition, Event, Handling, Reason,
    RejectContact, SubscriptionState, TokenParams,
};
pub use via::Via;
pub(crate) use via::sent_protocol;
pub use warning::Warning;

/// A value that a header field can be decoded to.
pub trait Header<'a>: Sized {
    /// The field's name.
    const NAME: Name;

    /// Decodes one value: the whole field value for single fields, one element for lists.
    fn decode(value: &'a [u8]) -> Result<Self, HeaderError>;
}

/// A value that can be written.
pub trait Encode {
    /// Appends the value; [`Header::decode`] reads it back.
    fn encode(&self, out: &mut Vec<u8>);
}

/// A header field whose value breaks its grammar: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderError {
    /// The field.
    pub name: Name,
    /// What is wrong, in a few words for a Reason-Phrase or a log.
    pub what: &'static str,
}

impl std::fmt::Display for HeaderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name.as_str(), self.what)
    }
}

impl std::error::Error for HeaderError {}
