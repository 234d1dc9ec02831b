//! Challenges (RFC 3261 §20.27, §20.44; RFC 7616 §3.3; RFC 8760 §2.3).

use std::net::IpAddr;

use strowger_syntax::Name;

use super::algorithm::Algorithm;
use super::nonce::{NONCE_LEN, NonceTable};
use crate::keys::MacKey;

/// Which qop values are offered and taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Qop {
    /// `auth`, which every phone can do.
    #[default]
    Auth,
    /// `auth,auth-int`: the client may have the body protected too.
    AuthAndAuthInt,
}

/// Whether the client's credentials were right but for their nonce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Staleness {
    /// There were none, or they were wrong: the user has to be asked.
    #[default]
    Fresh,
    /// `stale=true`: the same password with the new nonce will do.
    Stale,
}

/// Who challenges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenger {
    /// A user agent server, registrar or redirect server: 401 and WWW-Authenticate.
    Server,
    /// A proxy: 407 and Proxy-Authenticate.
    Proxy,
}

impl Challenger {
    /// The header field its challenges are in.
    pub const fn challenge_name(self) -> Name {
        match self {
            Self::Server => Name::WwwAuthenticate,
            Self::Proxy => Name::ProxyAuthenticate,
        }
    }

    /// The header field that credentials for it are in.
    pub const fn credentials_name(self) -> Name {
        match self {
            Self::Server => Name::Authorization,
            Self::Proxy => Name::ProxyAuthorization,
        }
    }
}

/// What this node asks of clients in one realm, and what it needs to recognise its own nonces.
#[derive(Clone, Copy, Debug)]
pub struct ProtectionSpace<'a> {
    /// The realm, which alone defines the space (RFC 3261 §22.1). Without control characters.
    pub realm: &'a [u8],
    /// The algorithms offered and taken, the preferred one first (RFC 8760 §2.3).
    pub algorithms: &'a [Algorithm],
    /// Where the request came from: nonces are made for it.
    pub source: IpAddr,
    /// The qop values offered and taken.
    pub qop: Qop,
    /// The nonces of this node.
    pub nonces: &'a NonceTable,
    /// The key of their MACs.
    pub key: &'a MacKey,
}

/// The header field lines of challenges. Those of either challenger are kept: the next ones are mostly the same but for
/// their nonce.
#[derive(Debug, Default)]
pub struct ChallengeLines {
    server: Lines,
    proxy: Lines,
}

#[derive(Debug, Default)]
struct Lines {
    realm: Vec<u8>,
    algorithms: Vec<Algorithm>,
    qop: Qop,
    staleness: Staleness,
    text: Vec<u8>,
    /// Where the nonces are.
    nonces: Vec<usize>,
}

impl ChallengeLines {
    /// One line for each algorithm, in their order (RFC 8760 §2.3). All share one nonce, since the client answers only one
    /// of them.
    pub fn write(
        &mut self,
        space: &ProtectionSpace<'_>,
        challenger: Challenger,
        staleness: Staleness,
        now_secs: u64,
    ) -> &[u8] {
        let nonce = space.nonces.issue(space.key, space.source, now_secs);
        let lines = match challenger {
            Challenger::Server => &mut self.server,
            Challenger::Proxy => &mut self.proxy,
        };
        if !lines.are_of(space, staleness) {
            lines.render(space, challenger, staleness);
        }
        for &at in &lines.nonces {
            if let Some(place) = lines.text[at..].first_chunk_mut() {
                *place = *nonce.as_bytes();
            }
        }
        &lines.text
    }
}

impl Lines {
    fn are_of(&self, space: &ProtectionSpace<'_>, staleness: Staleness) -> bool {
        self.realm == space.realm
            && self.algorithms == space.algorithms
            && (self.qop, self.staleness) == (space.qop, staleness)
    }

    /// Writes them all but for their nonces.
    fn render(&mut self, space: &ProtectionSpace<'_>, challenger: Challenger, staleness: Staleness) {
        self.realm.clear();
        self.realm.extend_from_slice(space.realm);
        self.algorithms.clear();
        self.algorithms.extend_from_slice(space.algorithms);
        (self.qop, self.staleness) = (space.qop, staleness);
        let Self { text, nonces, .. } = self;
        text.clear();
        nonces.clear();
        for algorithm in space.algorithms {
            text.extend_from_slice(challenger.challenge_name().as_str().as_bytes());
            text.extend_from_slice(b": Digest realm=\"");
            for &byte in space.realm {
                if matches!(byte, b'"' | b'\\') {
                    text.push(b'\\');
                }
                text.push(byte);
            }
            text.extend_from_slice(b"\", nonce=\"");
            nonces.push(text.len());
            text.extend_from_slice(&[b' '; NONCE_LEN]);
            text.extend_from_slice(b"\", algorithm=");
            text.extend_from_slice(algorithm.as_str().as_bytes());
            text.extend_from_slice(match space.qop {
                Qop::Auth => b", qop=\"auth\"".as_slice(),
                Qop::AuthAndAuthInt => b", qop=\"auth,auth-int\"",
            });
            if staleness == Staleness::Stale {
                text.extend_from_slice(b", stale=true");
            }
            text.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(realm: &str, algorithms: &[Algorithm], qop: Qop, staleness: Staleness) -> String {
        let nonces = NonceTable::new(1, 1, 300);
        let key = MacKey::new([5; 16]);
        let space = ProtectionSpace {
            realm: realm.as_bytes(),
            source: std::net::Ipv4Addr::LOCALHOST.into(),
            algorithms,
            qop,
            nonces: &nonces,
            key: &key,
        };
        let out = ChallengeLines::default()
            .write(&space, Challenger::Server, staleness, 1_764_000_000)
            .to_vec();
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn lines_that_are_kept_are_those_that_would_be_written() {
        let mut kept = ChallengeLines::default();
        let key = MacKey::new([5; 16]);
        for _ in 0..2 {
            for realm in ["example.test", "other.test"] {
                for (qop, algorithms) in [
                    (Qop::Auth, &[Algorithm::Md5][..]),
                    (Qop::AuthAndAuthInt, &[Algorithm::Md5]),
                    (Qop::Auth, &Algorithm::ALL),
                ] {
                    for challenger in [Challenger::Server, Challenger::Proxy] {
                        for staleness in [Staleness::Fresh, Staleness::Stale] {
                            let nonces = [(); 2].map(|()| NonceTable::new(1, 1, 300));
                            let [space, same] = [0, 1].map(|n: usize| ProtectionSpace {
                                realm: realm.as_bytes(),
                                source: std::net::Ipv4Addr::LOCALHOST.into(),
                                algorithms,
                                qop,
                                nonces: &nonces[n],
                                key: &key,
                            });
                            let mut fresh = ChallengeLines::default();
                            let fresh = fresh.write(&same, challenger, staleness, 1);
                            assert_eq!(kept.write(&space, challenger, staleness, 1), fresh);
                            assert_ne!(kept.write(&space, challenger, staleness, 1), fresh, "the nonce");
                        }
                    }
                }
            }
        }
    }

    fn without_nonce(text: &str) -> String {
        let mut parts = text.split("nonce=\"");
        let mut kept = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            assert_eq!(part.find('"'), Some(NONCE_LEN));
            kept.push_str("nonce=\"");
            kept.push_str(&part[NONCE_LEN..]);
        }
        kept
    }

    #[test]
    fn one_line_for_each_algorithm_in_the_order_of_preference() {
        let text = written(
            "example.test",
            &[Algorithm::Sha256, Algorithm::Md5],
            Qop::Auth,
            Staleness::Fresh,
        );
        assert_eq!(
            without_nonce(&text),
            "WWW-Authenticate: Digest realm=\"example.test\", nonce=\"\", algorithm=SHA-256, qop=\"auth\"\r\n\
             WWW-Authenticate: Digest realm=\"example.test\", nonce=\"\", algorithm=MD5, qop=\"auth\"\r\n"
        );
    }

    #[test]
    fn staleness_and_body_protection_are_said_and_the_realm_is_escaped() {
        let text = written(
            "a\"b\\c",
            &[Algorithm::Md5],
            Qop::AuthAndAuthInt,
            Staleness::Stale,
        );
        let expected = "WWW-Authenticate: Digest realm=\"a\\\"b\\\\c\", nonce=\"\", algorithm=MD5, \
                        qop=\"auth,auth-int\", stale=true\r\n";
        assert_eq!(without_nonce(&text), expected);
    }
}
