//! The client of the administration: one request a connection, HTTP/1.0 so that answers are never chunked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use strowger_server::admin::Secret;
use strowger_server::config::Diagnostic;

use crate::failed::Failed;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of an answer that are read at most.
const ANSWER_LIMIT: u64 = 64 << 20;

/// A server's administration.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    token: Secret,
}

/// The body of a request.
pub(crate) enum Content<'a> {
    None,
    Json(serde_json::Value),
    Lines(&'a [u8]),
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    mend: String,
    #[serde(default)]
    errors: Vec<Diagnostic>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, token: Secret) -> Self {
        Self { address, token }
    }

    /// Sends one request; answers the body of a 2xx.
    pub(crate) fn request(&self, method: &str, path: &str, content: &Content<'_>) -> Result<Vec<u8>, Failed> {
        let answer = self
            .exchange(method, path, content)
            .map_err(|error| Failed::NoServer {
                what: format!("no server answers at http://{}: {error}", self.address),
                mend: "start it with `strowger serve`, or name another with --data-dir or --admin".to_owned(),
            })?;
        let Some((status, body)) = split(&answer) else {
            return Err(Failed::NoServer {
                what: format!("what answers at http://{} is not a strowger server", self.address),
                mend: "name the right address with --data-dir or --admin".to_owned(),
            });
        };
        if (200..300).contains(&status) {
            return Ok(body.to_vec());
        }
        match serde_json::from_slice(body) {
            Ok(Refusal { errors, .. }) if !errors.is_empty() => Err(Failed::Config(errors)),
            Ok(Refusal { error, .. }) if status == 401 => {
                let mend = "set STROWGER_TOKEN to what admin.token in its data directory says, or run as its owner with --data-dir";
                Err(Failed::new(error, mend))
            }
            Ok(Refusal { error, mend, .. }) => Err(Failed::new(error, mend)),
            Err(_) => Err(Failed::new(
                format!("the server answered {status}"),
                "look at its log",
            )),
        }
    }

    /// Sends one request and reads the JSON of its answer.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        content: &Content<'_>,
    ) -> Result<T, Failed> {
        let body = self.request(method, path, content)?;
        serde_json::from_slice(&body).map_err(|error| {
            let mend = "use the `strowger` of the server's version";
            Failed::new(format!("the server's answer is not understood: {error}"), mend)
        })
    }

    fn exchange(&self, method: &str, path: &str, content: &Content<'_>) -> std::io::Result<Vec<u8>> {
        let json;
        let (kind, body): (&str, &[u8]) = match content {
            Content::None => ("application/json", &[]),
            Content::Json(value) => {
                json = value.to_string();
                ("application/json", json.as_bytes())
            }
            Content::Lines(lines) => ("text/csv", lines),
        };
        let mut stream = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let mut request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            self.token.expose(),
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        stream.write_all(&request)?;
        let mut answer = Vec::new();
        stream.take(ANSWER_LIMIT).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// Status and body of an answer; `None` when it is no HTTP or was cut short.
fn split(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let body = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines
        .next()?
        .strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") && value.trim().parse() != Ok(body.len()) {
            return None;
        }
    }
    Some((status, body))
}

/// A text as one part of a path or query.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_status_and_body_and_must_be_whole() {
        assert_eq!(
            split(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi"),
            Some((200, &b"hi"[..]))
        );
        assert_eq!(split(b"HTTP/1.1 204 No Content\r\n\r\n"), Some((204, &b""[..])));
        for wrong in [
            &b""[..],
            b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nhi",
            b"SIP/2.0 200 OK\r\n\r\n",
            b"\r\n\r\n",
        ] {
            assert_eq!(split(wrong), None);
        }
    }

    #[test]
    fn paths_are_escaped() {
        assert_eq!(escaped("a/b?c@d.test&x"), "a%2Fb%3Fc@d.test%26x");
    }
}
