//! The check of credentials (RFC 3261 §22.4, RFC 7616 §3.4, RFC 8760 §2.6), in two steps. The response comes first; the
//! nonce count is used up second, so that the caller can recognise retransmissions in between: they carry a count that was
//! used, and are no replay.

use strowger_syntax::header::{Credentials, DigestResponse};
use strowger_syntax::{Message, header};

use super::algorithm::{Algorithm, Ha1};
use super::challenge::{Challenger, ProtectionSpace, Qop, Staleness};
use super::digest::{Inputs, Protection, RequestHashes, Response};
use super::nonce::{Claim, NonceTable, Stamp, Use};

/// What the check needs of the request.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The body, for `auth-int`.
    pub body: &'a [u8],
    /// Unix seconds.
    pub now_secs: u64,
}

/// Why credentials do not authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// They break their grammar or lack something: the client's fault, 400 (RFC 7616 §3.4). What is wrong fits into a
    /// Reason-Phrase.
    Malformed(&'static str),
    /// They answer no challenge: an empty nonce or response (RFC 8760 §2.7), another realm or an algorithm that is not offered.
    Unasked,
    /// The response is not the one for this user's password.
    Wrong,
    /// Nobody has that name. What the client is told, and when, is the same as for [`Wrong`](Self::Wrong).
    UnknownUser,
    /// The nonce is not one of ours. What the client is told is the same as for [`Stale`](Self::Stale).
    ForeignNonce,
    /// The response is right but its nonce too old.
    Stale,
}

impl Rejection {
    /// What the new challenge says; `None` when there is to be none but a 400.
    pub const fn staleness(self) -> Option<Staleness> {
        match self {
            Self::Malformed(_) => None,
            Self::Unasked | Self::Wrong | Self::UnknownUser => Some(Staleness::Fresh),
            Self::ForeignNonce | Self::Stale => Some(Staleness::Stale),
        }
    }
}

/// Credentials whose response is right. They authenticate once [`claim`](Self::claim) says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    serial: u64,
    which: Use,
}

impl Proof {
    /// Whether the nonce is used for the first time, so that its challenge is met by this.
    pub fn is_first_use(&self) -> bool {
        matches!(self.which, Use::Only | Use::Count(..=1))
    }

    /// A number for this use of its nonce, spread over all bits, for tables. No other use of any nonce of this start has it as long
    /// as counts are below 65,536.
    pub fn number(&self) -> u64 {
        let count = match self.which {
            Use::Count(count) => u64::from(count),
            Use::Only => 0,
        };
        // Of a product the bits in the middle depend on most, and the low ones are places in a table.
        (self.serial << 16 ^ count)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_right(32)
    }

    /// Uses up the nonce count. [`Claim::Stale`] is answered with a new challenge, `stale=true`.
    pub fn claim(&self, nonces: &NonceTable) -> Claim {
        nonces.claim(self.serial, self.which)
    }
}

/// Credentials for a realm.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'a> {
    /// As they were written.
    pub given: DigestResponse<'a>,
    /// `None` if it is not offered.
    algorithm: Option<Algorithm>,
}

impl<'a> Selected<'a> {
    /// Their algorithm, if it is offered.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// Takes credentials; `None` when they are for another realm.
    pub fn of(given: DigestResponse<'a>, space: &ProtectionSpace<'_>) -> Option<Self> {
        if !given.realm?.means(space.realm) {
            return None;
        }
        let named = given.algorithm.map(|name| Algorithm::from_token(name.inside()));
        let algorithm = named.unwrap_or(Some(Algorithm::Md5));
        Some(Self {
            given,
            algorithm: algorithm.filter(|algorithm| space.algorithms.contains(algorithm)),
        })
    }
}

/// The credentials of a request for one realm (RFC 3261 §22.3): of several, the first with an algorithm that is offered.
/// Those of other realms and schemes are left for whom they are meant. An error is reported only when nothing else is there.
pub fn select<'a>(
    request: Message<'a>,
    challenger: Challenger,
    space: &ProtectionSpace<'_>,
) -> Option<Result<Selected<'a>, Rejection>> {
    let mut fallback = None;
    for field in request.fields_of(challenger.credentials_name()) {
        match Credentials::parse(field.value) {
            Ok(Credentials::Digest(given)) => match Selected::of(given, space) {
                Some(selected) if selected.algorithm.is_some() => return Some(Ok(selected)),
                Some(selected) => fallback = Some(Ok(selected)),
                None => {}
            },
            Ok(Credentials::Other { .. }) => {}
            Err(what) => fallback = fallback.or(Some(Err(Rejection::Malformed(what)))),
        }
    }
    fallback
}

/// Step one: whether the response is right and its nonce is ours and fresh. `ha1` looks the user up.
///
/// The `uri` has to be there but need not be the Request-URI: proxies on the way may have changed that (RFC 8760 §2.6 (6)).
/// A nonce that is not ours is stale, whatever the password: who made it up has tried nothing and learns nothing. Whether
/// one of ours is too old is judged last.
pub fn check_response(
    selected: &Selected<'_>,
    facts: &Facts<'_>,
    space: &ProtectionSpace<'_>,
    hashes: &mut RequestHashes,
    ha1: impl FnOnce(Algorithm) -> Option<Ha1>,
) -> Result<Proof, Rejection> {
    let Selected { given, algorithm } = selected;
    let nonce = given.nonce.ok_or(Rejection::Malformed("nonce missing"))?.inside();
    let response = given
        .response
        .ok_or(Rejection::Malformed("response missing"))?
        .inside();
    let uri = given
        .uri
        .ok_or(Rejection::Malformed("digest uri missing"))?
        .inside();
    if given.username.is_none() {
        return Err(Rejection::Malformed("username missing"));
    }
    if given.username_star.is_some() {
        return Err(Rejection::Malformed("username given twice"));
    }
    if given.userhash.is_some_and(|u| u.is(b"true")) {
        return Err(Rejection::Malformed("userhash was not offered"));
    }
    if nonce.is_empty() || response.is_empty() {
        return Err(Rejection::Unasked);
    }
    let algorithm = algorithm.ok_or(Rejection::Unasked)?;
    if uri.is_empty() {
        return Err(Rejection::Malformed("digest uri empty"));
    }
    let (protection, which) = protection(given, facts, space.qop)?;
    let stamp = Stamp::open(nonce, space.nonces, space.key, space.source).ok_or(Rejection::ForeignNonce)?;
    let known = ha1(algorithm);
    // A user who is not there costs the same work as one who is.
    let secret = known.unwrap_or_else(|| nobody(algorithm));
    let inputs = Inputs {
        method: facts.method,
        uri,
        nonce,
        protection,
    };
    let ha2 = hashes.ha2(algorithm, &inputs);
    let right = Response::from_hashes(algorithm, &secret, &inputs, &ha2).matches(response);
    if known.is_none() {
        return Err(Rejection::UnknownUser);
    }
    if !right {
        return Err(Rejection::Wrong);
    }
    if !space.nonces.is_fresh(&stamp, facts.now_secs) {
        return Err(Rejection::Stale);
    }
    Ok(Proof {
        serial: stamp.serial,
        which,
    })
}

fn nobody(algorithm: Algorithm) -> Ha1 {
    Ha1::from_digest(&[0; 32], algorithm)
}

/// `qop` and what must come with it (RFC 7616 §3.4).
fn protection<'a>(
    given: &DigestResponse<'a>,
    facts: &Facts<'a>,
    offered: Qop,
) -> Result<(Protection<'a>, Use), Rejection> {
    let Some(qop) = given.qop else {
        return Ok((Protection::None, Use::Only));
    };
    let cnonce = given
        .cnonce
        .map(header::ParamValue::inside)
        .filter(|c| !c.is_empty());
    let cnonce = cnonce.ok_or(Rejection::Malformed("cnonce missing"))?;
    let nc = given
        .nc
        .ok_or(Rejection::Malformed("nonce count missing"))?
        .inside();
    let count = given
        .nonce_count()
        .ok_or(Rejection::Malformed("nonce count malformed"))?;
    let protection = if qop.is(b"auth") {
        Protection::Auth { nc, cnonce }
    } else if qop.is(b"auth-int") && offered == Qop::AuthAndAuthInt {
        Protection::AuthInt {
            nc,
            cnonce,
            body: facts.body,
        }
    } else {
        return Err(Rejection::Malformed("qop was not offered"));
    };
    Ok((protection, Use::Count(count)))
}
