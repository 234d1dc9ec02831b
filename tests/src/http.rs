//! A few lines of HTTP, so that tests can send what a browser or an attacker would.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields as they came.
    pub head: String,
    /// The body.
    pub body: String,
}

/// Sends one request to `address` (`host:port`) and reads the whole answer. `headers` are sent as they are, and a Host
/// that names the address when none is among them.
#[track_caller]
pub fn send(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = match TcpStream::connect(address) {
        Ok(stream) => stream,
        Err(error) => panic!("{address}: {error}"),
    };
    let limit = Some(Duration::from_secs(10));
    stream
        .set_read_timeout(limit)
        .and_then(|()| stream.set_write_timeout(limit))
        .expect("time limits");
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("\r\n{body}");
    stream
        .write_all(request.as_bytes())
        .expect("the request is taken");
    let mut answer = Vec::new();
    // A server that closes hard after its answer has still answered.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        panic!("no answer to {method} {path}: {answer}");
    };
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
