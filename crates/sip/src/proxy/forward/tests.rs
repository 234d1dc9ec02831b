use std::sync::Arc;

use strowger_syntax::{Index, Limits};

use super::*;
use crate::endpoint::Ingress;
use crate::proxy::preprocess;
use crate::transaction::Timers;
use crate::transport::{Listener, Listeners};
use crate::{Destination, Endpoint, EndpointConfig, Source};

const OURS: &str = "<sip:192.0.2.1:5060;lr;st=0123456789abcdef>";
const OURS_BY_TCP: &str = "<sip:192.0.2.1:5060;transport=tcp;lr;st=0123456789abcdef>";
const NEXT: &str = "<sip:198.51.100.7;lr>";
const STRICT: &str = "<sip:198.51.100.8>";

fn endpoint() -> Endpoint {
    let listener = |transport| Listener {
        transport,
        address: "192.0.2.1:5060".parse().expect("an address"),
        advertise: Vec::new(),
    };
    Endpoint::new(
        0,
        &EndpointConfig {
            secret: [7; 32],
            boot: 1,
            shards: 1,
            listeners: Arc::new(Listeners::new(
                [Transport::Udp, Transport::Tcp].map(listener).to_vec(),
                Vec::new(),
            )),
            realms: ["ours".to_owned()].into(),
            timers: Timers::DEFAULT,
            limits: Limits::DEFAULT,
        },
    )
}

/// Every message with each of these route sets, in two orders of its fields, with and without the others.
fn requests() -> Vec<String> {
    let two_lines = format!("Route: {OURS}\r\nSubject: between\r\nRoute: {NEXT}\r\n");
    let both_on_two = format!("Route: {OURS_BY_TCP}\r\nRoute: {OURS}\r\n");
    let empty_behind = format!("Route: {OURS},,\r\nRoute: ,\r\n");
    let routes = [
        String::new(),
        format!("Route: {OURS}\r\n"),
        format!("Route: {OURS}, {NEXT}\r\n"),
        format!("Route: {OURS_BY_TCP}, {OURS}\r\n"),
        format!("Route: {OURS_BY_TCP} , {OURS} , {NEXT},{NEXT}\r\n"),
        format!("Route: {OURS}, {STRICT}\r\n"),
        format!("Route: \"Us\" {OURS}\r\n"),
        format!("Route: {NEXT}\r\n"),
        two_lines,
        both_on_two,
        empty_behind,
    ];
    let more = [
        "",
        "Record-Route: <sip:before.test;lr>\r\n",
        "Max-Breadth: 60\r\n",
        "Proxy-Authorization: Digest realm=\"ours\"\r\n",
        "Proxy-Authorization: Digest realm=\"theirs\"\r\nProxy-Authorization: Digest realm=\"ours\"\r\n",
        "Proxy-Authorization: Digest realm=\"ours\"\r\nProxy-Authorization: Digest realm=\"ours\"\r\n",
    ];
    let mut all = Vec::new();
    for route in &routes {
        for more in more {
            for hops in ["Max-Forwards: 70\r\n", ""] {
                for length in ["Content-Length: 2\r\n", ""] {
                    let via = "Via: SIP/2.0/UDP phone.test:5062;rport;branch=z9hG4bKa";
                    let party = "From: <sip:a@x.test>;tag=1\r\nTo: <sip:b@x.test>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n";
                    all.push(format!(
                        "INVITE sip:b@x.test SIP/2.0\r\n{via}\r\n{route}{hops}{more}{party}{length}\r\nhi"
                    ));
                    all.push(format!(
                        "INVITE sip:b@x.test SIP/2.0\r\n{party}{hops}{more}{route}{length}{via},SIP/2.0/TCP up.test\r\n\r\nhi"
                    ));
                }
            }
        }
    }
    all
}

fn source() -> Source {
    Source {
        transport: Transport::Udp,
        listener: 0,
        local: "192.0.2.1:5060".parse().expect("an address"),
        remote: "192.0.2.77:6000".parse().expect("an address"),
        flow: None,
    }
}

/// The only line of Proxy-Authorization, which is for us in all of the requests.
fn only_credentials(request: Message<'_>) -> Option<Span> {
    let mut lines = request.fields_of(Name::ProxyAuthorization);
    let first = lines.next()?.line;
    lines.next().is_none().then_some(first)
}

#[test]
fn one_pass_writes_what_a_draft_writes() {
    let (endpoint, mut edits, mut index) = (endpoint(), Edits::default(), Index::default());
    let identity = &endpoint.identity;
    let (requests, mut at_places) = (requests(), 0);
    let flow = Peer::Datagrams(source().remote.ip(), 6000);
    let dialog = |caller| Some(RecordRoute::Dialog { token: 77, caller });
    let credentials = "Proxy-Authorization: Digest realm=\"r\"\r\nAuthorization: Digest realm=\"s\"\r\n";
    let stays = [
        (None, ""),
        (dialog(None), ""),
        (dialog(Some(flow)), credentials),
        (Some(RecordRoute::Registration(flow)), ""),
    ];
    for text in &requests {
        let request = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request");
        let routing = preprocess(identity, request, |uri| {
            uri.host.ip() == Some(source().local.ip())
        });
        for (transport, listener) in [(Transport::Udp, 0), (Transport::Tcp, 1)] {
            for (record_route, credentials) in stays {
                let to = "192.0.2.10:5060".parse().expect("an address");
                let forwarding = Forwarding {
                    uri: b"sip:b@192.0.2.10;x?y=z",
                    routes: &[],
                    taken: routing.taken,
                    record_route,
                    hop: Hop {
                        transport,
                        listener,
                        local: source().local.ip(),
                        told: AdvertisedAs::default(),
                        to: Destination::Connect { transport, to },
                        over_flow: false,
                    },
                    arrival: Ingress::of(request, &source()).arrival(&identity.listeners),
                    loop_part: 7,
                    breadth: 30,
                    credentials: credentials.as_bytes(),
                };
                let branch = BranchKind::Stateful {
                    client: Id { index: 1, counter: 2 },
                    check: 3,
                };
                let mut drafted = Vec::new();
                write_draft(identity, request, &forwarding, branch, &mut edits, &mut drafted);
                let mut told = forwarding;
                told.taken.credentials = only_credentials(request);
                for forwarding in [forwarding, told] {
                    if let Some(places) = Places::of(identity, request, &forwarding) {
                        let mut quick = Vec::new();
                        write_at_places(identity, request, &forwarding, &places, branch, &mut quick);
                        let [quick, drafted] = [&quick, &drafted].map(|text| String::from_utf8_lossy(text));
                        assert_eq!(quick, drafted, "{text}");
                        at_places += 1;
                    }
                    let mut again = Vec::new();
                    write_draft(identity, request, &forwarding, branch, &mut edits, &mut again);
                    assert_eq!(again, drafted, "{text}");
                }
            }
        }
    }
    assert!(at_places >= 100, "{at_places}");
}
