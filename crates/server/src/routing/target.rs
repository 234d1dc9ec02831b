//! The URIs that routes lead to, with what they take of the request.

use strowger_syntax::uri::{SipUri, Uri};

use crate::config::route::{Takes, TargetUri};

/// A target of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: Box<[u8]>,
    /// What stands before the user.
    scheme_len: usize,
    /// What of the request goes with it.
    pub takes: Takes,
}

impl Target {
    pub(super) fn compile(target: &TargetUri) -> Self {
        let text = target.text.as_bytes();
        Self {
            text: text.into(),
            scheme_len: text.iter().position(|&b| b == b':').map_or(0, |at| at + 1),
            takes: target.takes,
        }
    }

    /// As it is written.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The URI that decides the way to it.
    pub fn uri(&self) -> Option<SipUri<'_>> {
        match Uri::parse(&self.text) {
            Ok(Uri::Sip(sip)) => Some(sip),
            _ => None,
        }
    }

    /// Appends the Request-URI of what goes there: for a request with this Request-URI and this user or number, which is
    /// `phone` if it is a telephone number.
    pub fn write_uri(&self, request_uri: &[u8], user: &[u8], phone: bool, out: &mut Vec<u8>) {
        match self.takes {
            Takes::Whole => out.extend_from_slice(request_uri),
            Takes::User if !user.is_empty() => {
                let (scheme, rest) = self.text.split_at(self.scheme_len);
                out.extend_from_slice(scheme);
                out.extend_from_slice(user);
                out.push(b'@');
                out.extend_from_slice(rest);
                if phone {
                    out.extend_from_slice(b";user=phone");
                }
            }
            Takes::User | Takes::Nothing => out.extend_from_slice(&self.text),
        }
    }

    /// Appends the value of Route of what goes there; nothing where the target itself is the next hop.
    pub fn write_route(&self, out: &mut Vec<u8>) {
        if self.takes == Takes::Whole {
            out.push(b'<');
            out.extend_from_slice(&self.text);
            out.push(b'>');
        }
    }
}
