//! RFC 3665 §3.8 to §3.11: calls through two proxies that come to nothing.

use std::time::Duration;

use system_tests::Message;
use system_tests::server::Setup;

use crate::expect_trying;
use crate::flow::Flow;
use crate::two_proxies::Path2;

/// F1 to F5 of the flows that fail: the INVITE has reached Bob.
fn arrive(flow: &Flow, path: &Path2) -> (Message, Message) {
    let invite = path.authenticated_invite();
    path.alice.send(&invite);
    flow.step("INVITE");
    flow.between(&["INVITE"]);
    expect_trying(&path.alice);
    flow.step("100");
    let arrived = path.bob.expect_request("INVITE");
    flow.step("INVITE");
    path.assert_forwarded(&invite, &arrived);
    flow.between(&["100"]);
    (invite, arrived)
}

fn ring(flow: &Flow, path: &Path2, arrived: &Message) {
    path.bob
        .send(&Message::response(arrived, 180, "Ringing", "314159"));
    flow.step("180");
    flow.between(&["180"]);
    path.alice.expect_status(180);
    flow.step("180");
}

/// Bob refuses; each element acknowledges what it got.
fn refuse(flow: &Flow, path: &Path2, invite: &Message, arrived: &Message, status: u16, reason: &str) {
    let code = status.to_string();
    let response = Message::response(arrived, status, reason, "314159");
    path.bob.send(&response);
    flow.step(&code);
    let ack = path.bob.expect_request("ACK");
    flow.step("ACK");
    assert_eq!(
        ack.header("Via"),
        arrived.header("Via"),
        "RFC 3261 §17.1.1.3: the ACK has the INVITE's Via"
    );
    assert_eq!(ack.list("Via").len(), 1, "and only that");
    assert_eq!(ack.parameter("To", "tag").as_deref(), Some("314159"));
    flow.between(&[&code, "ACK"]);
    let refused = path.alice.expect_status(status);
    flow.step(&code);
    path.assert_returned(
        invite,
        &response.clone().without("Record-Route"),
        &refused.clone().without("Record-Route"),
    );
    path.alice.acknowledge(invite, &refused);
    flow.step("ACK");
    flow.end();
    path.bob.expect_silence(Duration::from_millis(300));
    path.alice.expect_silence(Duration::from_millis(300));
}

/// RFC 3665 §3.8.
#[test]
fn nobody_answers_and_the_caller_gives_up() {
    let (flow, path) = (Flow::of("3.8"), Path2::new(Setup::new()));
    let (alice, bob) = (&path.alice, &path.bob);
    let (invite, arrived) = arrive(&flow, &path);
    ring(&flow, &path, &arrived);
    let mut cancel = Message::request("CANCEL", invite.uri()).with("Via", invite.header("Via"));
    for name in ["Route", "Max-Forwards", "From", "To", "Call-ID"] {
        cancel = cancel.with(name, invite.header(name));
    }
    alice.send(&cancel.with("CSeq", format!("{} CANCEL", invite.cseq())));
    flow.step("CANCEL");
    let cancelled = alice.expect_status(200);
    flow.step("200");
    assert!(
        cancelled.header("CSeq").ends_with(" CANCEL"),
        "{}",
        cancelled.text()
    );
    flow.between(&["CANCEL", "200"]);
    let cancel = bob.expect_request("CANCEL");
    flow.step("CANCEL");
    assert_eq!(cancel.uri(), arrived.uri(), "RFC 3261 §9.1");
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(cancel.header(name), arrived.header(name), "RFC 3261 §9.1: {name}");
    }
    assert_eq!(cancel.list("Via").len(), 1);
    bob.send(&Message::response(&cancel, 200, "OK", "314159"));
    flow.step("200");
    refuse(&flow, &path, &invite, &arrived, 487, "Request Terminated");
}

/// RFC 3665 §3.9.
#[test]
fn the_called_phone_is_busy() {
    let (flow, path) = (Flow::of("3.9"), Path2::new(Setup::new()));
    let (invite, arrived) = arrive(&flow, &path);
    refuse(&flow, &path, &invite, &arrived, 486, "Busy Here");
}

/// RFC 3665 §3.10. The RFC's proxy repeats the INVITE six times and answers 480; this one gives a silent phone up after
/// three seconds, and its answer is 408 as RFC 3261 §16.9 says.
#[test]
fn the_called_phone_does_not_answer_at_all() {
    let (flow, path) = (Flow::of("3.10"), Path2::new(Setup::new()));
    let (invite, arrived) = arrive(&flow, &path);
    let repeated = path
        .bob
        .receive_repeats(Duration::from_secs(2))
        .expect("the INVITE is sent again");
    assert_eq!(repeated, arrived, "a retransmission has the same bytes");
    let refused = path.alice.response();
    assert!(matches!(refused.status(), Some(408 | 480)), "{}", refused.text());
    flow.between(&["480", "ACK"]);
    flow.step("480");
    path.alice.acknowledge(&invite, &refused);
    flow.step("ACK");
    flow.end();
    path.alice.expect_silence(Duration::from_millis(700));
}

/// RFC 3665 §3.11.
#[test]
fn the_called_phone_is_temporarily_unavailable() {
    let (flow, path) = (Flow::of("3.11"), Path2::new(Setup::new()));
    let (invite, arrived) = arrive(&flow, &path);
    ring(&flow, &path, &arrived);
    refuse(&flow, &path, &invite, &arrived, 480, "Temporarily Unavailable");
}
