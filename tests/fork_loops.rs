//! Servers that send everything on to each other twice: what a request becomes there is bounded (RFC 5393).
#![cfg(target_os = "linux")]

use system_tests::Peer;
use system_tests::server::{Server, Setup};

/// Binds contacts to a user of a server.
fn bind(server: &Server, user: usize, contacts: &[String]) {
    let aor = format!("sip:u{user}@127.0.0.1");
    let peer = Peer::udp(server.sip());
    let mut register = peer.register(&aor, 600).without("Contact");
    for contact in contacts {
        register = register.with("Contact", format!("<{contact}>"));
    }
    assert_eq!(peer.exchange(&register).status(), Some(200));
}

/// Two servers, each with so many users, of which each is bound to two users of the other server.
fn pair(users: usize) -> [Server; 2] {
    let servers = [(); 2].map(|()| Setup::new().start());
    for (server, other) in [(0, 1), (1, 0)] {
        for user in 0..users {
            let uri = |step| {
                format!(
                    "sip:u{}@127.0.0.1:{}",
                    (user + step) % users,
                    servers[other].port()
                )
            };
            bind(&servers[server], user, &[uri(1), uri(2)]);
        }
    }
    servers
}

/// What becomes of an INVITE for one of the users: its status, and how many INVITEs the two servers got.
fn play([first, second]: &[Server; 2]) -> (u16, u64) {
    let caller = Peer::udp(first.sip());
    let uri = format!("sip:u0@127.0.0.1:{}", first.port());
    let response = caller.exchange(&caller.request("INVITE", &uri, "sip:caller@127.0.0.1", &uri));
    let received = |server: &Server| server.metric("strowger_sip_requests_received_total{method=\"INVITE\"}");
    (
        response.status().expect("a status"),
        received(first) + received(second),
    )
}

// RFC 5393 §4: what comes back for the same URI is a loop, and goes no further.
#[test]
fn two_users_of_two_servers_end_by_the_detection_of_loops() {
    let (status, invites) = play(&pair(2));
    assert_eq!(status, 482);
    assert_eq!(
        invites, 15,
        "four paths of four URIs, and the loops at their ends"
    );
}

// RFC 5393 §5: no path comes to a loop, but the breadth of 60 is used up. A tree of which each leaf has a share of it has no
// more than 60 leaves, and one node less above them.
#[test]
fn many_users_of_two_servers_end_by_the_breadth_of_the_request() {
    let (status, invites) = play(&pair(20));
    assert_eq!(status, 440);
    assert!((64..=119).contains(&invites), "{invites}");
}
