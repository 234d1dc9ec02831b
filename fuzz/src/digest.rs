//! The check of digest credentials against one user's secret (RFC 7616 §3.4, RFC 8760). The first byte selects the algorithm
//! and how much of the credentials is right.

use std::net::{IpAddr, Ipv4Addr};

use md5::{Digest, Md5};
use sha2::{Sha256, Sha512_256};
use strowger_sip::auth::{
    Algorithm, Claim, Facts, Ha1, NonceTable, ProtectionSpace, Qop, Rejection, RequestHashes, Selected,
    check_response,
};
use strowger_sip::keys::MacKey;
use strowger_syntax::header::{Credentials, DigestResponse};
use strowger_syntax::scan::escape_quoted_into;
use strowger_syntax::{Index, Limits, Name};

const NOW: u64 = 1_764_000_000;
const USER: &[u8] = b"al\"ice";
const REALM: &[u8] = b"example.test";
const PASSWORD: &[u8] = b"secret";

/// Credentials that are given whole.
const WHOLE: u8 = 0x40;

/// The credentials of a message, and texts to make some of.
pub fn seeds(message: &[u8]) -> Vec<Vec<u8>> {
    let mut index = Index::default();
    let mut seeds = vec![b"\0\0auth\ncnonce\nsip:example.test\n00000001\nbody".to_vec()];
    if let Ok(message) = index.parse(message, &Limits::DEFAULT) {
        for name in [Name::Authorization, Name::ProxyAuthorization] {
            seeds.extend(
                message
                    .fields_of(name)
                    .map(|field| [&[WHOLE], field.value].concat()),
            );
        }
    }
    seeds
}

/// Credentials pass if and only if hashing them again, in another way, gives their response.
pub fn check(data: &[u8]) {
    let [selector, rest @ ..] = data else { return };
    let node = Node {
        nonces: NonceTable::new(7, 16, 300),
        key: MacKey::new([2; 16]),
    };
    if selector & WHOLE != 0 {
        node.whole(rest);
    } else if let [tamper, rest @ ..] = rest {
        node.made(Algorithm::ALL[usize::from(selector % 3)], *tamper, rest);
    }
}

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Node {
    nonces: NonceTable,
    key: MacKey,
}

impl Node {
    fn judge(&self, given: &DigestResponse<'_>, body: &[u8]) -> Result<Claim, Rejection> {
        let space = ProtectionSpace {
            realm: REALM,
            source: SOURCE,
            algorithms: &Algorithm::ALL,
            qop: Qop::AuthAndAuthInt,
            nonces: &self.nonces,
            key: &self.key,
        };
        let facts = Facts {
            method: b"REGISTER",
            body,
            now_secs: NOW,
        };
        let selected = Selected::of(*given, &space).ok_or(Rejection::Unasked)?;
        let user = given.username.map(|user| user.text()).unwrap_or_default();
        let mut hashes = RequestHashes::default();
        let proof = check_response(&selected, &facts, &space, &mut hashes, |algorithm| {
            (*user == *USER).then(|| Ha1::compute(algorithm, USER, REALM, PASSWORD))
        })?;
        Ok(proof.claim(&self.nonces))
    }

    /// Nobody was given a nonce, so nobody passes.
    fn whole(&self, value: &[u8]) {
        if let Ok(credentials) = Credentials::parse(value)
            && let Some(given) = credentials.digest()
        {
            assert!(self.judge(given, b"body").is_err());
        }
    }

    fn made(&self, algorithm: Algorithm, tamper: u8, texts: &[u8]) {
        let mut texts = texts.splitn(5, |&b| b == b'\n');
        let [qop, cnonce, uri, nc, body] = [(); 5].map(|()| texts.next().unwrap_or_default());
        let nonce = self.nonces.issue(&self.key, SOURCE, NOW);
        let response = respond(algorithm, nonce.as_bytes(), [qop, cnonce, uri, nc, body]);
        let mut value = b"username=".to_vec();
        quote(&mut value, USER);
        value.extend_from_slice(b", realm=\"example.test\", nonce=");
        quote(&mut value, nonce.as_bytes());
        value.extend_from_slice(b", uri=");
        quote(&mut value, uri);
        value.extend_from_slice(b", cnonce=");
        quote(&mut value, cnonce);
        for (name, text) in [
            ("algorithm", algorithm.as_str().as_bytes()),
            ("qop", qop),
            ("nc", nc),
        ] {
            if !text.is_empty() {
                value.extend_from_slice(format!(", {name}=").as_bytes());
                value.extend_from_slice(text);
            }
        }
        value.extend_from_slice(b", response=\"");
        let at = value.len() + usize::from(tamper) / 8 % response.len();
        value.extend_from_slice(response.as_bytes());
        value[at] ^= tamper & 7;
        value.push(b'"');
        let tampered = value[value.len() - 1 - response.len()..value.len() - 1] != *response.as_bytes();
        self.judged(&value, [qop, cnonce, uri, nc, body], tampered);
    }

    fn judged(&self, value: &[u8], [qop, cnonce, uri, nc, body]: [&[u8]; 5], tampered: bool) {
        let value = [b"Digest ", value].concat();
        let Ok(credentials) = Credentials::parse(&value) else {
            return;
        };
        let given = credentials.digest().expect("of that scheme");
        let judged = self.judge(given, body);
        if tampered {
            assert!(judged.is_err());
            return;
        }
        // What a client could not have written, and what must not pass, is found by other rules.
        let texts = [cnonce, uri].concat();
        let known = [&b"auth"[..], b"auth-int"]
            .iter()
            .any(|known| qop.eq_ignore_ascii_case(known));
        let counted = nc.len() == 8 && nc.iter().all(u8::is_ascii_hexdigit);
        let complete = qop.is_empty() && nc.is_empty() || known && counted && !cnonce.is_empty();
        if complete && !uri.is_empty() && !texts.iter().any(u8::is_ascii_control) {
            assert_eq!(judged, Ok(Claim::Ok));
            assert_eq!(
                self.judge(given, body),
                Ok(Claim::Stale),
                "a count is good for once"
            );
        }
    }
}

fn quote(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    escape_quoted_into(text, out);
    out.push(b'"');
}

/// The response of a client (RFC 7616 §3.4.1 to §3.4.3), one string after the other.
fn respond(algorithm: Algorithm, nonce: &[u8], [qop, cnonce, uri, nc, body]: [&[u8]; 5]) -> String {
    let h = |text: &[u8]| {
        let digest = match algorithm {
            Algorithm::Md5 => Md5::digest(text).to_vec(),
            Algorithm::Sha256 => Sha256::digest(text).to_vec(),
            Algorithm::Sha512_256 => Sha512_256::digest(text).to_vec(),
        };
        digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .into_bytes()
    };
    let a1 = [USER, REALM, PASSWORD].join(&b':');
    let a2 = if qop.eq_ignore_ascii_case(b"auth-int") {
        [b"REGISTER", uri, &h(body)].join(&b':')
    } else {
        [b"REGISTER", uri].join(&b':')
    };
    let response = if qop.is_empty() {
        [&h(&a1)[..], nonce, &h(&a2)].join(&b':')
    } else {
        // Whatever its case, what is hashed is the name of the quality.
        [&h(&a1)[..], nonce, nc, cnonce, &qop.to_ascii_lowercase(), &h(&a2)].join(&b':')
    };
    String::from_utf8(h(&response)).expect("digits")
}
