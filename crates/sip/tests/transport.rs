//! RFC 3261 §18.2 and RFC 3581 §4: what the top Via is told, and where responses go; and whose shard a message is.

use std::net::SocketAddr;

use strowger_sip::keys::Keys;
use strowger_sip::memory::Id;
use strowger_sip::transaction::KeyHasher;
use strowger_sip::transport::{Branches, Owner, owner, via};
use strowger_sip::{Destination, Flow, Source};
use strowger_syntax::message::ViaStamp;
use strowger_syntax::{Index, Limits, Transport};

const FLOW: Flow = Flow {
    shard: 1,
    index: 2,
    generation: 3,
};

fn source(transport: Transport, remote: &str) -> Source {
    Source {
        transport,
        listener: 5,
        local: SocketAddr::from(([192, 0, 2, 1], 5060)),
        remote: remote.parse().expect("an address"),
        flow: transport.is_reliable().then_some(FLOW),
    }
}

fn request(via: &str) -> String {
    format!(
        "OPTIONS sip:x SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
}

/// What the top Via is told, and where the responses go.
fn told(via: &str, source: &Source) -> (ViaStamp, Destination, Option<Destination>) {
    let text = request(via);
    let mut index = Index::default();
    let request = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request");
    let via = request.via();
    (
        via::stamp(request, source),
        via::response_destination(via, source),
        via::response_fallback(via, source),
    )
}

fn datagram(to: &str) -> Destination {
    Destination::Datagram {
        listener: 5,
        from: Some([192, 0, 2, 1].into()),
        to: to.parse().expect("an address"),
    }
}

// §18.2.1: received when sent-by is a name or another address.
#[test]
fn received_is_told_when_sent_by_is_not_the_source() {
    let from = source(Transport::Udp, "192.0.2.4:7000");
    for (via, told_it) in [
        ("SIP/2.0/UDP 192.0.2.4:7000;branch=z9hG4bK1", false),
        ("SIP/2.0/UDP 192.0.2.4;branch=z9hG4bK1", false),
        ("SIP/2.0/UDP 192.0.2.5:7000;branch=z9hG4bK1", true),
        ("SIP/2.0/UDP host.test;branch=z9hG4bK1", true),
        ("SIP/2.0/UDP 192.0.2.4.example;branch=z9hG4bK1", true),
    ] {
        let stamp = ViaStamp {
            received: told_it.then(|| [192, 0, 2, 4].into()),
            rport: None,
        };
        assert_eq!(told(via, &from).0, stamp, "{via}");
    }
    let from = source(Transport::Udp, "[2001:db8::7]:7000");
    assert_eq!(
        told("SIP/2.0/UDP [2001:DB8:0::7]:7000;branch=z9hG4bK1", &from).0,
        ViaStamp::default()
    );
}

// §18.2.2: to the source address, at the port of sent-by, or at the default one.
// §18.2.2 bullets 3 and 4: without received, sent-by is the source address.
#[test]
fn responses_go_to_the_source_address_at_the_port_of_sent_by() {
    let from = source(Transport::Udp, "192.0.2.4:7000");
    for (via, to) in [
        ("SIP/2.0/UDP 192.0.2.4:6000;branch=z9hG4bK1", "192.0.2.4:6000"),
        ("SIP/2.0/UDP host.test:6000;branch=z9hG4bK1", "192.0.2.4:6000"),
        ("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1", "192.0.2.4:5060"),
        (
            "SIP/2.0/UDP 10.0.0.1;received=203.0.113.9;branch=z9hG4bK1",
            "192.0.2.4:5060",
        ),
    ] {
        assert_eq!(told(via, &from).1, datagram(to), "{via}");
        assert_eq!(told(via, &from).2, None);
    }
}

#[test]
fn responses_to_a_link_local_address_leave_by_its_interface() {
    let from = source(Transport::Udp, "[fe80::7%3]:7000");
    for via in [
        "SIP/2.0/UDP [fe80::7]:6000;branch=z9hG4bK1",
        "SIP/2.0/UDP [fe80::7]:7000;rport;branch=z9hG4bK1",
    ] {
        let Destination::Datagram { to, .. } = told(via, &from).1 else {
            panic!("a datagram is answered by one");
        };
        assert!(
            matches!(to, SocketAddr::V6(to) if to.scope_id() == 3),
            "{via}: {to}"
        );
    }
    let by_stream = source(Transport::Tcp, "[fe80::7%3]:7000");
    let fallback = told("SIP/2.0/TCP [fe80::7]:6000;branch=z9hG4bK1", &by_stream).2;
    let to = "[fe80::7%3]:6000".parse().expect("an address");
    assert_eq!(
        fallback,
        Some(Destination::Connect {
            transport: Transport::Tcp,
            to
        })
    );
}

// RFC 3581 §4: rport asks for both parameters, and for the source port.
#[test]
fn rport_is_filled_in_and_takes_responses_to_the_source_port() {
    let from = source(Transport::Udp, "192.0.2.4:7000");
    let (stamp, to, _) = told("SIP/2.0/UDP 192.0.2.4:6000;rport;branch=z9hG4bK1", &from);
    assert_eq!(
        stamp,
        ViaStamp {
            received: Some([192, 0, 2, 4].into()),
            rport: Some(7000)
        }
    );
    assert_eq!(to, datagram("192.0.2.4:7000"));
}

// §18.2.2: over the connection; when that is gone, over a new one to the source address at the port of sent-by.
// §18.2.2 bullet 1.
#[test]
fn responses_to_a_connection_go_back_over_it() {
    let from = source(Transport::Tcp, "192.0.2.4:40000");
    for (via, port) in [
        ("SIP/2.0/TCP host.test:6000;rport;branch=z9hG4bK1", 6000),
        ("SIP/2.0/TCP host.test;branch=z9hG4bK1", 5060),
    ] {
        let (_, to, fallback) = told(via, &from);
        assert_eq!(to, Destination::Flow(FLOW));
        let new = Destination::Connect {
            transport: Transport::Tcp,
            to: SocketAddr::from(([192, 0, 2, 4], port)),
        };
        assert_eq!(fallback, Some(new));
    }
}

fn owner_of(text: &str, shards: u16) -> Owner {
    let keys = Keys::derive(&[7; 32]);
    let mut index = Index::default();
    index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a message");
    owner(
        text.as_bytes(),
        &index,
        shards,
        &KeyHasher::new([3; 16]),
        &Branches::new(keys.branch.clone(), 9),
    )
}

#[test]
fn requests_of_one_call_id_belong_to_one_shard_however_it_is_written() {
    let mut seen = [false; 5];
    for i in 0..100 {
        let invite =
            request("SIP/2.0/UDP h;branch=z9hG4bK1").replace("Call-ID: c", &format!("Call-ID: c{i}@host"));
        let folded = invite.replace("Call-ID: ", "Call-ID :\r\n \t ");
        let compact = invite
            .replace("Call-ID: ", "i:")
            .replace("OPTIONS", "CANCEL")
            .replace("z9hG4bK1", "z9hG4bK2");
        let Owner::Shard(shard) = owner_of(&invite, 5) else {
            panic!("no shard")
        };
        assert_eq!(owner_of(&folded, 5), Owner::Shard(shard));
        assert_eq!(owner_of(&compact, 5), Owner::Shard(shard));
        assert_eq!(owner_of(&invite, 1), Owner::Here);
        seen[usize::from(shard)] = true;
    }
    assert_eq!(seen, [true; 5], "every shard has its share");
}

#[test]
fn a_response_belongs_to_the_shard_that_its_branch_names() {
    let keys = Keys::derive(&[7; 32]);
    let branches = Branches::new(keys.branch, 9);
    let response = |shard| {
        let mut branch = Vec::new();
        branches.write_stateful(&mut branch, shard, Id { index: 1, counter: 2 }, 4, 3);
        let via = format!("SIP/2.0/UDP h;branch={}", String::from_utf8_lossy(&branch));
        request(&via).replace("OPTIONS sip:x SIP/2.0", "SIP/2.0 200 OK")
    };
    assert_eq!(owner_of(&response(4), 5), Owner::Shard(4));
    assert_eq!(owner_of(&response(5), 5), Owner::Here, "there is no such shard");
    let strange = request("SIP/2.0/UDP h;branch=z9hG4bKt").replace("OPTIONS sip:x SIP/2.0", "SIP/2.0 200 OK");
    assert_eq!(owner_of(&strange, 5), Owner::Here);
}
