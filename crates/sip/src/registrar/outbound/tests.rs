//! The rules of RFC 5626 for registrars as a table: for each what is sent, and what it comes to.

use strowger_syntax::{Index, Limits};

use crate::registrar::{Bindings, DateLine, Origin, Outcome, Policy, Told, register, write_answer};
use crate::transport::Transport;

const START: u64 = 1_764_000_000;

/// Where a REGISTER comes from, and what came before it.
#[derive(Clone, Copy)]
enum Via {
    /// The phone itself, from this port.
    Phone(u16),
    /// A proxy, with a Path of this value.
    Proxy(&'static str),
}
use Via::{Phone, Proxy};

/// A REGISTER: where from, Call-ID and CSeq number, other lines; and what it comes to: the status, `outbound` if the answer
/// requires it, and the contacts of the answer.
type Sent = (Via, &'static str, &'static str, &'static str);

struct Registrar {
    record: Vec<u8>,
}

impl Registrar {
    fn ask(&mut self, &(from, order, fields, _): &Sent) -> String {
        let (call_id, cseq) = order.split_once(' ').expect("a Call-ID and a number");
        let (via, path, port) = match from {
            Phone(port) => ("", String::new(), port),
            Proxy(path) => (
                "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK0\r\n",
                path.split(' ')
                    .filter(|value| !value.is_empty())
                    .map(|v| format!("Path: {v}\r\n"))
                    .collect(),
                5060,
            ),
        };
        let fields = fields.replace('|', "\r\n").replace("I=", "+sip.instance=");
        let text = format!(
            "REGISTER sip:example.test SIP/2.0\r\n{via}Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{call_id}{cseq}\r\n\
             From: <sip:a@example.test>;tag=1\r\nTo: <sip:a@example.test>\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} REGISTER\r\n{path}{fields}\r\nContent-Length: 0\r\n\r\n"
        );
        let mut index = Index::default();
        let request = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request");
        let origin = Origin {
            transport: Transport::Udp,
            listener: 0,
            from: None,
            remote: ([192, 0, 2, 1], port).into(),
            flow: None,
            pushed_elsewhere: false,
            translated: false,
        };
        let (mut out, mut contacts) = (Vec::new(), Vec::new());
        let policy = Policy::default();
        let record = Bindings::new(&self.record);
        match register(request, record, &origin, &policy, START, &mut out, &mut contacts) {
            Err(reject) => return format!("{} {}", reject.status, reject.reason),
            Ok(Outcome::Changed(_)) => self.record = out,
            Ok(_) => {}
        }
        let mut answer = Vec::new();
        let flow_timer = policy.flow_timer(origin.transport);
        let record = Bindings::new(&self.record);
        write_answer(
            request,
            record,
            &Told {
                contacts: &contacts,
                gruus: None,
                outbound: true,
                flow_timer,
            },
            START,
            &mut DateLine::default(),
            &mut answer,
        );
        let answer = String::from_utf8(answer).expect("ASCII");
        let told = answer.starts_with("Require: outbound\r\n") && answer.contains("Flow-Timer: 29\r\n");
        assert_eq!(told, answer.contains("outbound"), "both or none: {answer}");
        let mut come_to = String::from(if told { "200 outbound" } else { "200" });
        for line in answer.lines().filter_map(|line| line.strip_prefix("Contact: ")) {
            let shown = line.replace("+sip.instance=", "I=").replace(";expires=3600", "");
            come_to.push(' ');
            come_to.push_str(&shown);
        }
        come_to
    }
}

const RULES: &[(&str, &[Sent])] = &[
    (
        "RFC 5626 §6: a binding is known by instance and reg-id, whatever its URI and flow",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: path, outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(2),
                "y 1",
                "Supported: path, outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §6: several flows have one Contact URI, and an instance several flows",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(2),
                "y 1",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=2;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\" <sip:a@h>;reg-id=2;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(3),
                "z 1",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=1;I=\"<urn:uuid:2>\"",
                "200 outbound <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\" <sip:a@h>;reg-id=2;I=\"<urn:uuid:1>\" <sip:a@h>;reg-id=1;I=\"<urn:uuid:2>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §6: registrations with and without reg-id stand beside each other",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(2),
                "y 1",
                "Contact: <sip:a@h>",
                "200 <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\" <sip:a@h>",
            ),
            (
                Phone(2),
                "y 2",
                "Contact: <sip:a@h>;expires=0",
                "200 <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §6: an instance without reg-id is bound by its URI (RFC 3261 §10.3)",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h1>;I=\"<urn:uuid:1>\"",
                "200 <sip:a@h1>;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(1),
                "x 2",
                "Supported: outbound|Contact: <sip:a@h2>;I=\"<urn:uuid:1>\"",
                "200 <sip:a@h1>;I=\"<urn:uuid:1>\" <sip:a@h2>;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §6: a reg-id without an instance is ignored",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h1>;reg-id=1",
                "200 <sip:a@h1>;reg-id=1",
            ),
            (
                Phone(1),
                "x 2",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1",
                "200 <sip:a@h1>;reg-id=1 <sip:a@h2>;reg-id=1",
            ),
        ],
    ),
    (
        "RFC 5626 §6: outbound is required in the answer only of who supports it",
        &[
            (
                Phone(1),
                "x 1",
                "Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(1),
                "x 2",
                "Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(1),
                "x 3",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(1),
                "x 4",
                "Require: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(1),
                "x 5",
                "Supported: outbound",
                "200 <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §6, §11.6: behind a proxy that does not keep the flow the phone that relies on it is told so",
        &[
            (
                Proxy(""),
                "x 1",
                "Supported: path, outbound|Contact: <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
                "439 First Hop Lacks Outbound Support",
            ),
            (
                Proxy("<sip:p;lr>"),
                "x 2",
                "Supported: path, outbound|Contact: <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
                "439 First Hop Lacks Outbound Support",
            ),
            (
                Proxy("<sip:q;lr;ob> <sip:p;lr>"),
                "x 3",
                "Supported: path, outbound|Contact: <sip:a@h>;reg-id=1",
                "439 First Hop Lacks Outbound Support",
            ),
        ],
    ),
    (
        "RFC 5626 §6: there the reg-id of others is ignored",
        &[
            (
                Proxy("<sip:p;lr>"),
                "x 1",
                "Supported: path|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Proxy("<sip:p;lr>"),
                "x 2",
                "Supported: path|Contact: <sip:a@h2>;reg-id=0;I=\"<urn:uuid:1>\"",
                "200 <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\" <sip:a@h2>;reg-id=0;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §6: a first hop that keeps the flow says so in its Path, below those of other proxies",
        &[
            (
                Proxy("<sip:t@p;lr;ob>"),
                "x 1",
                "Supported: path, outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Proxy("<sip:q;lr>,<sip:t@p;lr;ob>"),
                "y 1",
                "Supported: path, outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Proxy("<sip:q;lr> <sip:t@p;lr;ob>"),
                "z 1",
                "Supported: path, outbound|Contact: <sip:a@h3>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h3>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §6: with a reg-id one contact is bound, and others may be removed",
        &[
            (
                Phone(1),
                "x 1",
                "Contact: <sip:b@h>, <sip:c@h>",
                "200 <sip:b@h> <sip:c@h>",
            ),
            (
                Phone(1),
                "x 2",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\", <sip:b@h>",
                "400 More Than One Contact With reg-id",
            ),
            (
                Phone(1),
                "x 3",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\", <sip:b@h>;expires=0",
                "200 outbound <sip:c@h> <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §6, RFC 3261 §10.3 step 7: a late duplicate brings a removed flow back at none of its URIs",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(2),
                "x 2",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(2),
                "x 3",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\";expires=0",
                "200 outbound",
            ),
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "500 CSeq Out Of Order",
            ),
            (
                Phone(2),
                "x 2",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
                "500 CSeq Out Of Order",
            ),
            (
                Phone(1),
                "x 4",
                "Supported: outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §6, RFC 3261 §10.3 step 6: nor one that was removed with all others",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(2),
                "x 2",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (Phone(2), "x 3", "Contact: *|Expires: 0", "200"),
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "500 CSeq Out Of Order",
            ),
        ],
    ),
    (
        "RFC 5626 §6, RFC 3261 §10.3 step 7: nor that of an earlier life, wherever the phone is now",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(2),
                "x 2",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(2),
                "y 1",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "500 CSeq Out Of Order",
            ),
            (
                Phone(2),
                "y 2",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §4.2.2: what removes a binding names the same flow",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(2),
                "y 1",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=2;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\" <sip:a@h>;reg-id=2;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(2),
                "y 2",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=2;I=\"<urn:uuid:1>\";expires=0",
                "200 outbound <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §6: a phone that removes its former URI of the same flow is not removed, in either order",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(1),
                "x 2",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\", <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\";expires=0",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(1),
                "x 3",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\";expires=0, <sip:a@h3>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h3>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §4.2.3: all contacts of an address-of-record are removed without naming one",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(1),
                "x 2",
                "Supported: outbound|Contact: *|Expires: 0",
                "200",
            ),
        ],
    ),
    (
        "RFC 5626 §4.1: instance-ids are compared by the rules of their scheme",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:00AB>\"",
                "200 outbound <sip:a@h1>;reg-id=1;I=\"<urn:uuid:00AB>\"",
            ),
            (
                Phone(1),
                "x 2",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<URN:UUID:00ab>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<URN:UUID:00ab>\"",
            ),
            (
                Phone(1),
                "x 3",
                "Supported: outbound|Contact: <sip:b@h>;reg-id=1;I=\"<urn:x:A>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<URN:UUID:00ab>\" <sip:b@h>;reg-id=1;I=\"<urn:x:A>\"",
            ),
            (
                Phone(1),
                "x 4",
                "Supported: outbound|Contact: <sip:c@h>;reg-id=1;I=\"<urn:X:A>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<URN:UUID:00ab>\" <sip:c@h>;reg-id=1;I=\"<urn:X:A>\"",
            ),
            (
                Phone(1),
                "x 5",
                "Supported: outbound|Contact: <sip:d@h>;reg-id=1;I=\"<urn:x:a>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<URN:UUID:00ab>\" <sip:c@h>;reg-id=1;I=\"<urn:X:A>\" <sip:d@h>;reg-id=1;I=\"<urn:x:a>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §10: a reg-id is a number from 1 to 2^31 - 1",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=0;I=\"<urn:uuid:1>\"",
                "400 Malformed reg-id",
            ),
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=2147483648;I=\"<urn:uuid:1>\"",
                "400 Malformed reg-id",
            ),
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=x;I=\"<urn:uuid:1>\"",
                "400 Malformed reg-id",
            ),
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h>;reg-id;I=\"<urn:uuid:1>\"",
                "400 Malformed reg-id",
            ),
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h>;reg-id=2147483647;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h>;reg-id=2147483647;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
    (
        "RFC 5626 §9.4: a duplicate from before the phone was started again does not bring its former flow back",
        &[
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(2),
                "y 1",
                "Supported: outbound|Contact: <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
            (
                Phone(1),
                "x 1",
                "Supported: outbound|Contact: <sip:a@h1>;reg-id=1;I=\"<urn:uuid:1>\"",
                "200 outbound <sip:a@h2>;reg-id=1;I=\"<urn:uuid:1>\"",
            ),
        ],
    ),
];

#[test]
fn every_rule_for_registrars() {
    for (rule, requests) in RULES {
        let mut registrar = Registrar { record: Vec::new() };
        for sent in *requests {
            assert_eq!(registrar.ask(sent), sent.3, "{rule}: {}", sent.2);
        }
    }
}

// RFC 5626 §6: what identifies the flow is updated with each re-registration.
#[test]
fn a_binding_has_the_flow_that_it_was_last_registered_over() {
    let mut registrar = Registrar { record: Vec::new() };
    for (port, cseq) in [(1, "x 1"), (1, "x 2"), (2, "x 3"), (3, "y 1")] {
        let contact = "Supported: outbound|Contact: <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"";
        registrar.ask(&(Phone(port), cseq, contact, ""));
        let mut live = Bindings::new(&registrar.record).live(START);
        let binding = live.next().expect("a binding");
        assert_eq!(
            (binding.origin.remote.port(), live.next()),
            (port, None),
            "{cseq}"
        );
        let flow = binding.instance_flow().expect("a flow");
        assert_eq!((flow.instance, flow.reg_id), (&b"urn:uuid:1"[..], 1));
    }
}

#[test]
fn a_binding_that_is_not_known_by_its_flow_has_none() {
    let mut registrar = Registrar { record: Vec::new() };
    let contact = "Supported: path|Contact: <sip:a@h>;reg-id=1;I=\"<urn:uuid:1>\"";
    registrar.ask(&(Proxy("<sip:p;lr>"), "x 1", contact, ""));
    let binding = Bindings::new(&registrar.record)
        .live(START)
        .next()
        .expect("a binding");
    assert_eq!(
        (binding.instance_flow(), binding.instance()),
        (None, Some(&b"urn:uuid:1"[..]))
    );
}

// RFC 5626 §4.4.1, §4.4.2: what is asked for over a connection is too seldom for the NATs that datagrams cross.
#[test]
fn a_flow_timer_suits_its_transport() {
    let policy = |flow_timer| Policy {
        flow_timer,
        ..Policy::default()
    };
    for (given, datagrams, connections) in [(120, 29, 120), (20, 20, 20), (0, 0, 0)] {
        let told = [Transport::Udp, Transport::Tcp].map(|transport| policy(given).flow_timer(transport));
        assert_eq!(told, [datagrams, connections], "{given}");
    }
}
