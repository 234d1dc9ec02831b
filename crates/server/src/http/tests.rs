//! The client against servers that answer what they are told to, byte for byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::{Client, Error, Fault, Limits, Request, RequestError, Url};

const LIMITS: Limits = Limits {
    time: Duration::from_millis(600),
    body: 64,
    at_once: 2,
    waiting: 2,
};

/// What a server does with the requests of a connection.
#[derive(Clone)]
enum Manner {
    /// Answers each with these bytes.
    Says(&'static [u8]),
    /// Answers the first of each connection with these bytes, and closes it when the second has come.
    SaysOnce(&'static [u8]),
    /// Says nothing.
    IsSilent,
}

struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
}

async fn server(manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "http://{}/push?key=hidden",
        listener.local_addr().expect("an address")
    );
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.expect("a connection");
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(converse(connection, manner.clone()));
        }
    });
    Server { url, connections }
}

async fn converse(connection: TcpStream, manner: Manner) {
    let mut answered = 0;
    while read_request(&connection).await {
        match manner {
            Manner::Says(answer) => write(&connection, answer).await,
            Manner::SaysOnce(answer) if answered == 0 => write(&connection, answer).await,
            Manner::SaysOnce(_) => return,
            Manner::IsSilent => {}
        }
        answered += 1;
    }
}

/// Reads what has come; a request of these tests comes in one piece.
async fn read_request(connection: &TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        connection.readable().await.expect("a socket");
        match connection.try_read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
}

async fn write(connection: &TcpStream, bytes: &[u8]) {
    connection.writable().await.expect("a socket");
    connection.try_write(bytes).expect("room");
}

fn post(server: &Server) -> Request {
    Request::post(Url::parse(&server.url).expect("a URL"), "{}")
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let server = server(Manner::Says(OK)).await;
    let client = Client::new(LIMITS);
    for _ in 0..3 {
        let answer = client.ask(&post(&server)).await.expect("an answer");
        assert_eq!((answer.status, &*answer.body), (200, &b"hi"[..]));
        assert!(answer.is_success());
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let server = server(Manner::Says(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ))
    .await;
    let answer = Client::new(LIMITS).ask(&post(&server)).await.expect("an answer");
    assert_eq!(answer.status, 302);
    assert!(!answer.is_success());
}

#[tokio::test]
async fn what_may_be_repeated_is_sent_again_when_a_kept_connection_was_closed() {
    let server = server(Manner::SaysOnce(OK)).await;
    let client = Client::new(LIMITS);
    client.ask(&post(&server)).await.expect("an answer");
    let error = client.ask(&post(&server)).await.expect_err("no answer");
    assert!(matches!(error, Error::Broken(..)), "{error}");
    client.ask(&post(&server)).await.expect("an answer");
    client.ask(&post(&server).repeatable()).await.expect("an answer");
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_its_time_and_no_more() {
    let server = server(Manner::IsSilent).await;
    let error = Client::new(LIMITS)
        .ask(&post(&server))
        .await
        .expect_err("no answer");
    assert_eq!(error.fault(), Fault::Theirs);
    assert!(
        error.to_string().ends_with("did not answer within 600ms"),
        "{error}"
    );
    assert!(!error.to_string().contains("hidden"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_no_http_is_the_servers_fault() {
    let large: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n0123456789012345678901234567890123456789\
        0123456789012345678901234567890123456789";
    for (answer, said) in [
        (large, "more than 64 bytes"),
        (b"220 mail.example.test\r\n\r\n", "did not answer by HTTP"),
    ] {
        let server = server(Manner::Says(answer)).await;
        let error = Client::new(LIMITS)
            .ask(&post(&server))
            .await
            .expect_err("no answer");
        assert_eq!(error.fault(), Fault::Theirs);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn nobody_there_is_the_networks_fault() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("an answer")
        .local_addr()
        .expect("an answer");
    let url = Url::parse(&format!("http://{closed}/")).expect("a URL");
    let error = Client::new(LIMITS)
        .ask(&Request::get(url))
        .await
        .expect_err("no answer");
    assert_eq!(error.fault(), Fault::Network);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn plain_http_where_tls_is_expected_is_said() {
    let server = server(Manner::Says(OK)).await;
    let url = Url::parse(&server.url.replace("http:", "https:")).expect("a URL");
    let error = Client::new(LIMITS)
        .ask(&Request::get(url))
        .await
        .expect_err("no answer");
    assert!(matches!(error, Error::Tls(..)), "{error}");
}

#[tokio::test]
async fn so_many_are_under_way_and_so_many_wait() {
    let server = server(Manner::IsSilent).await;
    let client = Arc::new(Client::new(LIMITS));
    let asked: Vec<_> = (0..5)
        .map(|_| {
            let (client, request) = (Arc::clone(&client), post(&server));
            tokio::spawn(async move { client.ask(&request).await.expect_err("no answer") })
        })
        .collect();
    let mut errors = Vec::new();
    for asked in asked {
        errors.push(asked.await.expect("an outcome"));
    }
    let count = |is: fn(&Error) -> bool| errors.iter().filter(|error| is(error)).count();
    assert_eq!(count(|e| matches!(e, Error::Late(..))), 2, "{errors:?}");
    assert_eq!(count(|e| matches!(e, Error::Crowded(_))), 2, "{errors:?}");
    assert_eq!(count(|e| matches!(e, Error::Full)), 1, "{errors:?}");
    assert_eq!(server.connections.load(Ordering::Relaxed), 2);
}

#[test]
fn a_request_is_shown_without_what_is_secret() {
    let url = Url::parse("https://push.example.test:8443/key/abc?token=def").expect("a URL");
    let request = Request::post(url, "body")
        .with_line("Authorization", b"Bearer ghi")
        .expect("an answer");
    assert_eq!(format!("{request:?}"), "POST https://push.example.test:8443");
}

#[test]
fn what_is_no_request_is_refused() {
    for (text, error) in [
        ("push.example.test", RequestError::Scheme),
        ("/path", RequestError::Scheme),
        ("ftp://push.example.test/", RequestError::Scheme),
        ("https://me:secret@push.example.test/", RequestError::UserInfo),
        ("https://push.example.test/#part", RequestError::Url),
        ("https://push example/", RequestError::Url),
        ("https:///path", RequestError::Url),
    ] {
        assert_eq!(Url::parse(text), Err(error), "{text}");
    }
    let request = || Request::get(Url::parse("http://[::1]:80/").expect("a URL"));
    for (name, value, error) in [
        ("X Y", "1", RequestError::HeaderLine),
        ("X", "1\r\nY: 2", RequestError::HeaderLine),
        ("Host", "other", RequestError::OwnHeader),
        ("content-length", "5", RequestError::OwnHeader),
    ] {
        assert_eq!(
            request()
                .with_line(name, value.as_bytes())
                .expect_err("no answer"),
            error,
            "{name}"
        );
    }
    assert_eq!(
        request().with_method("A B").expect_err("no method"),
        RequestError::Method
    );
}

#[test]
fn loopback_and_plain_are_known() {
    for (text, plain, loopback) in [
        ("http://127.0.0.1:80/x", true, true),
        ("http://[::1]/x", true, true),
        ("https://localhost/", false, true),
        ("http://push.example.test/", true, false),
        ("http://192.0.2.1/", true, false),
    ] {
        let url = Url::parse(text).expect("a URL");
        assert_eq!((url.is_plain(), url.is_loopback()), (plain, loopback), "{text}");
    }
}
