//! Header fields that are a number of seconds with parameters: Retry-After (RFC 3261 §20.33), Session-Expires and Min-SE
//! (RFC 4028 §4, §5).

use super::{Encode, Header, HeaderError, Name, Params};
use crate::scan::{number, put_number, skip_ws};

/// After how many seconds to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter<'a> {
    /// Seconds.
    pub seconds: u32,
    /// The comment, without its outer parentheses.
    pub comment: Option<&'a [u8]>,
    /// The parameters.
    pub params: Params<'a>,
}

/// How long a session lasts without a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires<'a> {
    /// Seconds.
    pub seconds: u32,
    /// Who refreshes.
    pub refresher: Option<Refresher>,
    /// The parameters, refresher included.
    pub params: Params<'a>,
}

/// The side that refreshes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// The one that sent the request.
    Uac,
    /// The one that answers it.
    Uas,
}

/// The shortest session that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinSe<'a> {
    /// Seconds.
    pub seconds: u32,
    /// The parameters.
    pub params: Params<'a>,
}

/// The seconds, and where what follows them begins.
fn read_seconds(value: &[u8]) -> Result<(u32, usize), &'static str> {
    let end = value.iter().take_while(|b| b.is_ascii_digit()).count();
    let seconds = number(&value[..end])
        .and_then(|n| u32::try_from(n).ok())
        .ok_or("not a number of seconds")?;
    Ok((seconds, skip_ws(value, end)))
}

/// The end of the comment that begins at `at` (RFC 3261 §25.1 `comment`; comments nest).
fn comment_end(value: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    while at < value.len() {
        match value[at] {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(at + 1),
            b')' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

impl<'a> RetryAfter<'a> {
    fn read(value: &'a [u8]) -> Result<Self, &'static str> {
        let (seconds, mut at) = read_seconds(value)?;
        let mut comment = None;
        if value.get(at) == Some(&b'(') {
            let end = comment_end(value, at).ok_or("unclosed comment")?;
            comment = Some(&value[at + 1..end - 1]);
            at = end;
        }
        Ok(Self {
            seconds,
            comment,
            params: Params::parse(&value[at..]).ok_or("malformed parameters")?,
        })
    }

    /// How long, in seconds, the callee will then be reachable.
    pub fn duration(&self) -> Option<u32> {
        self.params
            .value(b"duration")
            .and_then(number)
            .and_then(|n| u32::try_from(n).ok())
    }
}

impl<'a> SessionExpires<'a> {
    fn read(value: &'a [u8]) -> Result<Self, &'static str> {
        let (seconds, at) = read_seconds(value)?;
        let params = Params::parse(&value[at..]).ok_or("malformed parameters")?;
        let refresher = match params.get(b"refresher").map(|side| side.unwrap_or(b"")) {
            None => None,
            Some(side) if side.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(side) if side.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            Some(_) => return Err("unknown refresher"),
        };
        Ok(Self {
            seconds,
            refresher,
            params,
        })
    }
}

impl<'a> MinSe<'a> {
    fn read(value: &'a [u8]) -> Result<Self, &'static str> {
        let (seconds, at) = read_seconds(value)?;
        Ok(Self {
            seconds,
            params: Params::parse(&value[at..]).ok_or("malformed parameters")?,
        })
    }
}

macro_rules! seconds {
    ($($variant:ident)*) => {$(
        impl<'a> Header<'a> for $variant<'a> {
            const NAME: Name = Name::$variant;

            fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
                Self::read(value).map_err(|what| HeaderError { name: Self::NAME, what })
            }
        }
    )*};
}

seconds! { RetryAfter SessionExpires MinSe }

impl Encode for RetryAfter<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_number(out, u64::from(self.seconds));
        if let Some(comment) = self.comment {
            out.extend_from_slice(b" (");
            out.extend_from_slice(comment);
            out.push(b')');
        }
        self.params.encode(out);
    }
}

impl Encode for SessionExpires<'_> {
    /// The refresher is written from its field; the parameters give the others.
    fn encode(&self, out: &mut Vec<u8>) {
        put_number(out, u64::from(self.seconds));
        match self.refresher {
            Some(Refresher::Uac) => out.extend_from_slice(b";refresher=uac"),
            Some(Refresher::Uas) => out.extend_from_slice(b";refresher=uas"),
            None => {}
        }
        for (name, value) in self
            .params
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case(b"refresher"))
        {
            out.push(b';');
            out.extend_from_slice(name);
            if let Some(value) = value {
                out.push(b'=');
                out.extend_from_slice(value);
            }
        }
    }
}

impl Encode for MinSe<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_number(out, u64::from(self.seconds));
        self.params.encode(out);
    }
}
