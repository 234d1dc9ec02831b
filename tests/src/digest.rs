//! The client's half of digest authentication (RFC 7616, RFC 8760), computed here independently of the server.

use md5::{Digest as _, Md5};
use sha2::{Sha256, Sha512_256};

use crate::Message;
use crate::message::fresh;

/// A challenge as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// All parameters, names in lower case, values without quotes.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The challenges of a 401 or 407, in order.
    pub fn all(response: &Message) -> Vec<Self> {
        let name = if response.status() == Some(401) {
            "WWW-Authenticate"
        } else {
            "Proxy-Authenticate"
        };
        response.all(name).map(Self::parse).collect()
    }

    /// The first challenge of a 401 or 407.
    #[track_caller]
    pub fn first(response: &Message) -> Self {
        match Self::all(response).into_iter().next() {
            Some(challenge) => challenge,
            None => panic!("no challenge in\n{}", response.text()),
        }
    }

    fn parse(value: &str) -> Self {
        let rest = value
            .strip_prefix("Digest ")
            .unwrap_or_else(|| panic!("not a Digest challenge: {value}"));
        let mut parameters = Vec::new();
        let mut current = String::new();
        let mut quoted = false;
        for c in rest.chars().chain([',']) {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => {
                    if let Some((name, value)) = current.split_once('=') {
                        parameters.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                    }
                    current.clear();
                }
                c => current.push(c),
            }
        }
        Self { parameters }
    }

    /// A parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Its algorithm; MD5 when it names none.
    pub fn algorithm(&self) -> &str {
        self.get("algorithm").unwrap_or("MD5")
    }

    /// True when it says that the nonce was good once.
    pub fn is_stale(&self) -> bool {
        self.get("stale")
            .is_some_and(|stale| stale.eq_ignore_ascii_case("true"))
    }
}

/// Who answers a challenge, and how.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// The user name.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
    /// The nonce count.
    pub count: u32,
    /// The client's nonce.
    pub cnonce: String,
}

impl<'a> Answer<'a> {
    /// The first answer to a nonce.
    pub fn new(user: &'a str, password: &'a str) -> Self {
        Self {
            user,
            password,
            count: 1,
            cnonce: fresh("c"),
        }
    }

    /// With another nonce count.
    #[must_use]
    pub fn counted(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// The value of Authorization or Proxy-Authorization.
    pub fn value(&self, challenge: &Challenge, method: &str, uri: &str) -> String {
        let algorithm = challenge.algorithm();
        let hash = |text: String| hash(algorithm, &text);
        let realm = challenge.get("realm").unwrap_or_default();
        let nonce = challenge.get("nonce").unwrap_or_default();
        let ha1 = hash(format!("{}:{realm}:{}", self.user, self.password));
        let ha2 = hash(format!("{method}:{uri}"));
        let (user, cnonce, count) = (self.user, &self.cnonce, self.count);
        let mut value =
            format!("Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\"");
        if challenge.get("qop").is_some() {
            let response = hash(format!("{ha1}:{nonce}:{count:08x}:{cnonce}:auth:{ha2}"));
            value += &format!(", response=\"{response}\", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\"");
        } else {
            value += &format!(", response=\"{}\"", hash(format!("{ha1}:{nonce}:{ha2}")));
        }
        if challenge.get("algorithm").is_some() {
            value += &format!(", algorithm={algorithm}");
        }
        if let Some(opaque) = challenge.get("opaque") {
            value += &format!(", opaque=\"{opaque}\"");
        }
        value
    }

    /// The request once more with an answer to the first challenge of `response`: new branch, next CSeq.
    #[track_caller]
    pub fn to(&self, request: &Message, response: &Message) -> Message {
        self.to_challenge(request, response, &Challenge::first(response))
    }

    /// The same for a challenge of choice.
    #[track_caller]
    pub fn to_challenge(&self, request: &Message, response: &Message, challenge: &Challenge) -> Message {
        let method = request.method().expect("a request");
        let name = if response.status() == Some(401) {
            "Authorization"
        } else {
            "Proxy-Authorization"
        };
        let old = request.parameter("Via", "branch").expect("a branch");
        let via = request.header("Via").replace(&old, &fresh("z9hG4bK"));
        request
            .clone()
            .set("Via", via)
            .set("CSeq", format!("{} {method}", request.cseq() + 1))
            .set(name, self.value(challenge, method, request.uri()))
    }
}

fn hash(algorithm: &str, text: &str) -> String {
    let bytes = match algorithm {
        "MD5" => Md5::digest(text).to_vec(),
        "SHA-256" => Sha256::digest(text).to_vec(),
        "SHA-512-256" => Sha512_256::digest(text).to_vec(),
        other => panic!("no such algorithm: {other}"),
    };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 §3.9.1.
    #[test]
    fn the_rfcs_examples_come_out() {
        for (algorithm, expected) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let challenge = Challenge::parse(&format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\""
            ));
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".to_owned();
            let answer = Answer {
                user: "Mufasa",
                password: "Circle of Life",
                count: 1,
                cnonce,
            };
            let value = answer.value(&challenge, "GET", "/dir/index.html");
            assert!(value.contains(&format!("response=\"{expected}\"")), "{value}");
        }
    }
}
