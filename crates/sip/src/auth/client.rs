//! Answers to digest challenges: what a client writes into Authorization and Proxy-Authorization (RFC 3261 §22.2, §22.3,
//! RFC 7616 §3.4, RFC 8760 §2.4).

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;
use strowger_syntax::header::{Challenge, DigestChallenge};
use strowger_syntax::{Message, Name, Status};

use super::algorithm::{Algorithm, Ha1};
use super::challenge::Challenger;
use super::digest::{Inputs, Protection, Response};
use crate::keys::MacKey;
use crate::transport::branch::hex_digits;

/// Who we are to those that challenge. What is secret of it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: String,
    /// The one realm whose challenges are answered; `None` answers those of whoever is asked.
    pub realm: Option<String>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("username", &self.username)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswerable {
    /// There is none that we understand: no Digest, no algorithm that we have, or another protection than `auth`.
    NotUnderstood,
    /// All of them are of another realm than that of the account.
    OtherRealm,
    /// The same server has refused the right answer to its own challenge: name or password is wrong (RFC 3261 §22.2).
    Refused,
    /// There is no end of them.
    TooMany,
}

impl fmt::Display for Unanswerable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUnderstood => "no challenge that can be answered",
            Self::OtherRealm => "a challenge of another realm",
            Self::Refused => "wrong user name or password",
            Self::TooMany => "challenged again and again",
        })
    }
}

/// Challenges that one request may be answered with before it is given up.
const MOST_ROUNDS: u8 = 4;
/// Realms whose challenges are remembered at a time.
const MOST_REALMS: usize = 4;
/// Bytes of a nonce, a realm or an opaque that are taken.
const MOST_BYTES: usize = 1024;

/// One challenge that was taken, and how often it was answered.
#[derive(Clone)]
struct Taken {
    challenger: Challenger,
    /// These as they were written between their quotes.
    realm: Box<[u8]>,
    nonce: Box<[u8]>,
    opaque: Option<Box<[u8]>>,
    algorithm: Algorithm,
    /// Whether the challenge names it. What it does not name is not named to it (RFC 2069 servers).
    names_algorithm: bool,
    with_qop: bool,
    ha1: Ha1,
    count: u32,
    /// Whether its nonce is of this request's own challenge, so that a refusal means the password.
    is_fresh: bool,
}

/// The challenges of one peer that requests are answered for: those of a registrar and of the proxies before it. A nonce is
/// used again for the next request, with a higher count (RFC 7616 §3.4).
#[derive(Clone, Default)]
pub struct Answers {
    taken: SmallVec<[Taken; 1]>,
    rounds: u8,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answers({} realms)", self.taken.len())
    }
}

impl Answers {
    /// Another request begins: whether its nonce is still good is not known.
    pub fn begin(&mut self) {
        self.rounds = 0;
        self.taken.iter_mut().for_each(|taken| taken.is_fresh = false);
    }

    /// Takes the challenges of a 401 or 407, of each realm the one with the strongest algorithm (RFC 8760 §2.4 leaves the
    /// choice to us).
    ///
    /// # Errors
    /// Why the request cannot be sent again with an answer.
    pub fn take(&mut self, response: Message<'_>, account: &Account) -> Result<(), Unanswerable> {
        let (user, password) = (account.username.as_bytes(), account.password.as_bytes());
        self.take_by(response, account.realm.as_deref(), |realm, algorithm| {
            Some(Ha1::compute(algorithm, user, realm, password))
        })
    }

    /// [`take`](Self::take) by what is stored of a user's passwords: the H(A1) in a realm for an algorithm, `None` where there is
    /// none. `only` is the one realm whose challenges are answered.
    ///
    /// # Errors
    /// The same.
    pub fn take_by(
        &mut self,
        response: Message<'_>,
        only: Option<&str>,
        ha1: impl Fn(&[u8], Algorithm) -> Option<Ha1>,
    ) -> Result<(), Unanswerable> {
        self.rounds += 1;
        if self.rounds > MOST_ROUNDS {
            return Err(Unanswerable::TooMany);
        }
        let mut best: SmallVec<[(Challenger, DigestChallenge<'_>, Algorithm, Ha1); 2]> = SmallVec::new();
        let mut other_realm = false;
        for challenger in [Challenger::Server, Challenger::Proxy] {
            for field in response.fields_of(challenger.challenge_name()) {
                let Some((challenge, algorithm)) = understood(field.value) else {
                    continue;
                };
                let realm = realm_of(&challenge);
                if only.is_some_and(|only| *only.as_bytes() != *realm) {
                    other_realm = true;
                    continue;
                }
                let Some(ha1) = ha1(&realm, algorithm) else {
                    continue;
                };
                let same = best
                    .iter_mut()
                    .find(|(other, known, ..)| *other == challenger && realm_of(known) == realm);
                match same {
                    Some(known) if strength(algorithm) > strength(known.2) => {
                        *known = (challenger, challenge, algorithm, ha1)
                    }
                    Some(_) => {}
                    None => best.push((challenger, challenge, algorithm, ha1)),
                }
            }
        }
        match (best.is_empty(), other_realm) {
            (true, true) => return Err(Unanswerable::OtherRealm),
            (true, false) => return Err(Unanswerable::NotUnderstood),
            _ => {}
        }
        for (challenger, challenge, algorithm, ha1) in best {
            self.put(challenger, &challenge, algorithm, ha1)?;
        }
        Ok(())
    }

    fn put(
        &mut self,
        challenger: Challenger,
        challenge: &DigestChallenge<'_>,
        algorithm: Algorithm,
        ha1: Ha1,
    ) -> Result<(), Unanswerable> {
        let inside =
            |value: Option<strowger_syntax::header::ParamValue<'_>>| value.map(|value| value.inside().into());
        let realm: Box<[u8]> = inside(challenge.realm).unwrap_or_default();
        let place = self
            .taken
            .iter()
            .position(|taken| taken.challenger == challenger && taken.realm == realm);
        if place.is_some_and(|place| self.taken[place].is_fresh) && !challenge.is_stale() {
            return Err(Unanswerable::Refused);
        }
        let taken = Taken {
            challenger,
            nonce: inside(challenge.nonce).unwrap_or_default(),
            opaque: inside(challenge.opaque),
            algorithm,
            names_algorithm: challenge.algorithm.is_some(),
            with_qop: challenge.qop.is_some(),
            ha1,
            count: 0,
            is_fresh: true,
            realm,
        };
        match place {
            Some(place) => self.taken[place] = taken,
            None if self.taken.len() < MOST_REALMS => self.taken.push(taken),
            None => return Err(Unanswerable::TooMany),
        }
        Ok(())
    }

    /// Appends the lines of credentials for a request with this Request-URI, none if nobody has challenged. `key` makes our
    /// nonces.
    pub fn write(&mut self, account: &Account, method: &str, uri: &[u8], key: &MacKey, out: &mut Vec<u8>) {
        for taken in &mut self.taken {
            taken.write(account, method, uri, key, out);
        }
    }
}

impl Taken {
    fn write(&mut self, account: &Account, method: &str, uri: &[u8], key: &MacKey, out: &mut Vec<u8>) {
        self.count += 1;
        let nc = format!("{:08x}", self.count);
        let cnonce = hex_digits(key.mac(&[&self.nonce, nc.as_bytes(), uri]));
        let protection = if self.with_qop {
            Protection::Auth {
                nc: nc.as_bytes(),
                cnonce: &cnonce,
            }
        } else {
            Protection::None
        };
        let inputs = Inputs {
            method: method.as_bytes(),
            uri,
            nonce: &self.nonce,
            protection,
        };
        let response = Response::compute(self.algorithm, &self.ha1, &inputs);
        out.extend_from_slice(self.challenger.credentials_name().as_str().as_bytes());
        out.extend_from_slice(b": Digest username=\"");
        for &byte in account.username.as_bytes() {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
        let mut put = |before: &[u8], text: &[u8]| {
            out.extend_from_slice(before);
            out.extend_from_slice(text);
        };
        put(b"\", realm=\"", &self.realm);
        put(b"\", nonce=\"", &self.nonce);
        put(b"\", uri=\"", uri);
        put(b"\", response=\"", response.as_bytes());
        put(b"\"", b"");
        if self.names_algorithm {
            put(b", algorithm=", self.algorithm.as_str().as_bytes());
        }
        if let Some(opaque) = &self.opaque {
            put(b", opaque=\"", opaque);
            put(b"\"", b"");
        }
        if self.with_qop {
            put(b", qop=auth, nc=", nc.as_bytes());
            put(b", cnonce=\"", &cnonce);
            put(b"\"", b"");
        }
        put(b"\r\n", b"");
    }
}

/// A challenge that can be answered, with its algorithm (RFC 8760 §2.2: MD5 where none is named).
fn understood(value: &[u8]) -> Option<(DigestChallenge<'_>, Algorithm)> {
    let Ok(Challenge::Digest(challenge)) = Challenge::parse(value) else {
        return None;
    };
    let algorithm = match challenge.algorithm {
        None => Algorithm::Md5,
        Some(named) => Algorithm::from_token(named.inside())?,
    };
    let fits = |value: Option<strowger_syntax::header::ParamValue<'_>>| {
        value.is_none_or(|value| value.inside().len() <= MOST_BYTES)
    };
    let protects = challenge.qop.is_none() || challenge.offers(b"auth");
    let whole = challenge.realm.is_some() && challenge.nonce.is_some();
    let small = fits(challenge.realm) && fits(challenge.nonce) && fits(challenge.opaque);
    (protects && whole && small).then_some((challenge, algorithm))
}

fn realm_of<'c>(challenge: &DigestChallenge<'c>) -> Cow<'c, [u8]> {
    challenge.realm.map(|realm| realm.text()).unwrap_or_default()
}

/// How strong an algorithm is beside the others.
fn strength(algorithm: Algorithm) -> usize {
    let place = Algorithm::ALL.iter().position(|&known| known == algorithm);
    Algorithm::ALL.len() - place.unwrap_or(Algorithm::ALL.len())
}

/// Whether a response asks for credentials.
pub fn is_challenge(response: Message<'_>) -> bool {
    let asks = |status: Status| {
        matches!(
            status,
            Status::UNAUTHORIZED | Status::PROXY_AUTHENTICATION_REQUIRED
        )
    };
    response.status().is_some_and(asks)
        && (response.has(Name::WwwAuthenticate) || response.has(Name::ProxyAuthenticate))
}
