//! What the server of users is asked, and what its answers mean.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use strowger_sip::auth::Algorithm;

use super::Question;
use crate::admin::{Secret, UserId};
use crate::config::LookupMethod;
use crate::http::{Request, RequestError, Url};
use crate::subscriber::directory::Hashes;

/// What the server says of a name.
#[derive(Clone)]
pub(super) enum Answer {
    /// It is a user's, of these H(A1) by algorithm.
    User(Hashes),
    /// It is another name of this user.
    AliasOf(String),
    /// It is nobody's.
    Nobody,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(_) => f.write_str("User"),
            Self::AliasOf(of) => f.debug_tuple("AliasOf").field(of).finish(),
            Self::Nobody => f.write_str("Nobody"),
        }
    }
}

/// The body of an answer of 200.
#[derive(Deserialize)]
struct Body {
    /// The user part; the one that was asked for if it is missing.
    user: Option<String>,
    password: Option<Secret>,
    #[serde(default)]
    ha1: BTreeMap<String, String>,
}

/// The request that puts a question.
pub(super) fn request(
    url: &str,
    method: LookupMethod,
    token: Option<&str>,
    question: &Question,
) -> Result<Request, RequestError> {
    let (user, domain) = (question.user(), question.domain());
    let request = match method {
        LookupMethod::Get => {
            let join = if url.contains('?') { '&' } else { '?' };
            let (user, domain) = (escaped(user), escaped(domain));
            Request::get(Url::parse(&format!(
                "{url}{join}user={user}&domain={domain}&realm={domain}"
            ))?)
        }
        LookupMethod::Post => {
            let body = json!({ "user": user, "domain": domain, "realm": domain }).to_string();
            Request::post(Url::parse(url)?, body)
                .repeatable()
                .with_line("content-type", b"application/json")?
        }
    };
    let request = request.with_line("accept", b"application/json")?;
    match token {
        Some(token) => request.with_line("authorization", format!("Bearer {token}").as_bytes()),
        None => Ok(request),
    }
}

/// A value of a query (RFC 3986 §2.3).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte))
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// What an answer means.
///
/// # Errors
/// Why it means nothing, without anything that it contains.
pub(super) fn read(status: u16, body: &[u8], question: &Question) -> Result<Answer, String> {
    match status {
        200 => {}
        404 | 410 => return Ok(Answer::Nobody),
        _ => return Err(format!("it answered {status}")),
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        format!(
            "its answer is not what is expected, at column {} of line {}",
            error.column(),
            error.line()
        )
    })?;
    let name = body.user.as_deref().unwrap_or_else(|| question.user());
    let address: UserId = format!("{name}@{}", question.domain())
        .parse()
        .map_err(|_| "its answer names no user".to_owned())?;
    if address.user() != question.user() {
        return Ok(Answer::AliasOf(address.user().to_owned()));
    }
    let hashes = match body.password {
        Some(password) => Hashes::of(&address, &password),
        None => {
            let mut hashes = Hashes::default();
            for (algorithm, digits) in &body.ha1 {
                let known = Algorithm::from_token(algorithm.as_bytes());
                if !known.is_some_and(|known| hashes.add_hex(known, digits.as_bytes())) {
                    return Err("its answer has an H(A1) that is none".to_owned());
                }
            }
            hashes
        }
    };
    if hashes == Hashes::default() {
        return Err("its answer has neither password nor H(A1)".to_owned());
    }
    Ok(Answer::User(hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(user: &str) -> Question {
        Question::of(user.as_bytes(), b"example.test", None).expect("it can be asked")
    }

    fn told(status: u16, body: &str) -> Result<String, String> {
        read(status, body.as_bytes(), &question("alice")).map(|answer| format!("{answer:?}"))
    }

    #[test]
    fn an_answer_is_a_user_an_alias_or_nobody() {
        let md5 = "5f4dcc3b5aa765d61d8327deb882cf99";
        assert_eq!(told(404, "no").as_deref(), Ok("Nobody"));
        assert_eq!(told(200, r#"{"user":"bob"}"#).as_deref(), Ok("AliasOf(\"bob\")"));
        let user = told(
            200,
            &format!(r#"{{"ha1":{{"MD5":"{md5}"}},"aliases":["1001"],"more":1}}"#),
        );
        assert_eq!(user.as_deref(), Ok("User"));
        let Ok(Answer::User(hashes)) = read(200, br#"{"password":"secret"}"#, &question("alice")) else {
            panic!("a user");
        };
        let address = "alice@example.test".parse().expect("an address");
        assert!(hashes == Hashes::of(&address, &Secret::new("secret")));
    }

    #[test]
    fn what_means_nothing_is_told_without_its_secrets() {
        for (status, body) in [
            (500, "hunter2"),
            (302, "hunter2"),
            (200, "hunter2"),
            (200, r#"{"password":["hunter2"]}"#),
            (200, "{}"),
            (200, r#"{"ha1":{"MD5":"hunter2"}}"#),
            (200, r#"{"ha1":{"hunter2":""}}"#),
            (200, r#"{"user":"hunter2 x"}"#),
        ] {
            let told = told(status, body).expect_err(body);
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn names_are_escaped_in_the_query() {
        assert_eq!(escaped("a+b&c=ü"), "a%2Bb%26c%3D%C3%BC");
        for method in [LookupMethod::Get, LookupMethod::Post] {
            for url in ["http://127.0.0.1/users", "http://127.0.0.1/users?a=b"] {
                assert!(request(url, method, Some("token"), &question("a&b")).is_ok());
            }
            assert!(request("http://127.0.0.1", method, Some("to\nken"), &question("a")).is_err());
        }
    }
}
