//! The registration and session flows of RFC 3665, message by message: this test plays the phones, the servers are
//! real. Each flow is a list of its messages in the RFC's order; the test walks along it and cannot leave one out.
//!
//! What differs from the RFC's pages: addresses are loopback's, and transport is UDP where the RFC has TLS or TCP.
//! Between two proxies the caller's Route names both, because names like `biloxi.example.com` lead nowhere here. What
//! passes between the proxies is not seen but inferred from what arrives at the far end. The flow of RFC 3665 §3.5 is
//! left out: it shows an application layer gateway, which is no role of this server.
#![cfg(target_os = "linux")]

mod failures;
mod flow;
mod registration;
mod sessions;
mod two_proxies;

use system_tests::message::uri_of;
use system_tests::{Message, Peer};

const ATLANTA: &str = "atlanta.example.com";
const BILOXI: &str = "biloxi.example.com";
const CHICAGO: &str = "chicago.example.com";
const ALICE: &str = "sip:alice@atlanta.example.com";
const BOB: &str = "sip:bob@biloxi.example.com";

fn expect_trying(alice: &Peer) {
    let message = alice.next();
    assert_eq!(message.status(), Some(100), "{}", message.text());
}

fn uris(response: &Message) -> Vec<String> {
    let mut uris: Vec<_> = response
        .list("Contact")
        .iter()
        .map(|contact| uri_of(contact).to_owned())
        .collect();
    uris.sort();
    uris
}
