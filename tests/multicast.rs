//! Registrars that are found by multicast (RFC 3261 §10.2.6): real servers, real sockets, groups of the loopback interface.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use system_tests::digest::Answer;
use system_tests::message::fresh;
use system_tests::server::{DOMAIN, Server, Setup, strowger};
use system_tests::{Message, Peer, Scratch, namespace, ports, process};

/// "All SIP servers".
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 1, 75);

/// How long a phone listens for what may still come.
const QUIET: Duration = Duration::from_millis(700);

fn aor(user: &str) -> String {
    format!("sip:{user}@{DOMAIN}")
}

/// A server at this address of the loopback interface that hears the group.
fn server(address: &str, port: u16, multicast: &str, setup: Setup) -> Server {
    setup
        .top(&format!(
            "[[listen]]\nuri = \"udp:{address}:{port}\"\nmulticast = {multicast}"
        ))
        .start()
}

/// A phone that is in the group.
struct Phone {
    socket: UdpSocket,
    group: SocketAddr,
    local: SocketAddr,
}

impl Phone {
    fn new(group: IpAddr, port: u16) -> Self {
        let group = SocketAddr::new(group, port);
        let socket =
            Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
        match group.ip() {
            IpAddr::V4(ip) => {
                socket
                    .bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())
                    .expect("bound");
                socket
                    .join_multicast_v4(&ip, &Ipv4Addr::LOCALHOST)
                    .and_then(|()| socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST))
                    .expect("joined");
            }
            IpAddr::V6(ip) => {
                socket
                    .bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into())
                    .expect("bound");
                let interface = interface_index("net0");
                socket
                    .join_multicast_v6(&ip, interface)
                    .and_then(|()| socket.set_multicast_if_v6(interface))
                    .expect("joined");
            }
        }
        let socket = UdpSocket::from(socket);
        let port = socket.local_addr().expect("bound").port();
        let ip = match group.ip() {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => "2001:db8::1".parse().expect("an address"),
        };
        Self {
            socket,
            group,
            local: SocketAddr::new(ip, port),
        }
    }

    /// A REGISTER as it is sent to a group (§18.1.1).
    fn register(&self, user: &str) -> Message {
        Message::request("REGISTER", &format!("sip:{DOMAIN}"))
            .with(
                "Via",
                format!(
                    "SIP/2.0/UDP {};branch={};maddr={};ttl=1",
                    self.local,
                    fresh("z9hG4bK"),
                    self.group.ip()
                ),
            )
            .with("Max-Forwards", "70")
            .with("From", format!("<{}>;tag={}", aor(user), fresh("f")))
            .with("To", format!("<{}>", aor(user)))
            .with("Call-ID", fresh("call"))
            .with("CSeq", "1 REGISTER")
            .with("Contact", format!("<sip:{user}@{}>", self.local))
            .with("Expires", "300")
    }

    /// The answers to a message that is sent to the group.
    fn ask(&self, message: &Message) -> Vec<Message> {
        self.socket
            .send_to(message.text().as_bytes(), self.group)
            .expect("sent");
        self.answers()
    }

    fn answers(&self) -> Vec<Message> {
        let (mut all, mut buffer, begun) = (Vec::new(), [0; 4000], Instant::now());
        while let Some(left) = QUIET.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            self.socket.set_read_timeout(Some(left)).expect("a time limit");
            let Ok(len) = self.socket.recv(&mut buffer) else {
                break;
            };
            all.extend(Message::parse(&buffer[..len]));
        }
        all
    }
}

/// The number of an interface, as `ip` has it: /sys shows those of another namespace.
fn interface_index(name: &str) -> u32 {
    let shown = process::run(Duration::from_secs(5), "ip", &["-o", "link", "show", name]);
    let number = shown
        .stdout
        .split(':')
        .next()
        .and_then(|number| number.parse().ok());
    number.expect("an interface")
}

fn statuses(answers: &[Message]) -> Vec<u16> {
    answers.iter().filter_map(Message::status).collect()
}

#[test]
fn a_phone_is_reached_through_each_of_two_servers_that_heard_it() {
    let port = ports::free();
    let first = server("127.0.0.1", port, "true", Setup::new());
    let second = server("127.0.0.2", port, "true", Setup::new());
    let other = server("127.0.0.3", port, "true", Setup::new().domains(&["other.test"]));
    let phone = Phone::new(GROUP.into(), port);
    let answers = phone.ask(&phone.register("alice"));
    assert_eq!(statuses(&answers), [200, 200], "of both that are responsible");
    let tags: Vec<_> = answers
        .iter()
        .map(|answer| answer.header("To").to_owned())
        .collect();
    assert_ne!(tags[0], tags[1], "each with a tag of its own (§17.1.3)");
    let other_phone = phone.register("alice").set("Expires", "10");
    assert_eq!(
        statuses(&phone.ask(&other_phone)),
        [0; 0],
        "423 is not told to a group"
    );
    for server in [&first, &second] {
        let caller = Peer::udp(server.sip());
        let invite = caller.request("INVITE", &aor("alice"), &aor("bob"), &aor("alice"));
        caller.send(&invite);
        let invites = phone.answers();
        assert!(
            invites.iter().any(|message| message.method() == Some("INVITE")),
            "{invites:?}"
        );
    }
    drop(other);
}

// RFC 3261 §22.4: of two challenges one is met.
#[test]
fn with_passwords_the_server_answers_whose_challenge_is_met() {
    let port = ports::free();
    let setup = || Setup::with_digest().user("alice", "alicepw");
    let first = server("127.0.0.1", port, "true", setup());
    let second = server("127.0.0.2", port, "true", setup());
    let phone = Phone::new(GROUP.into(), port);
    let register = phone.register("alice");
    let challenges = phone.ask(&register);
    assert_eq!(statuses(&challenges), [401, 401]);
    let met = Answer::new("alice", "alicepw").to(&register, &challenges[0]);
    let met = met.set(
        "Via",
        register
            .header("Via")
            .replace("branch=z9hG4bK", "branch=z9hG4bKx"),
    );
    assert_eq!(statuses(&phone.ask(&met)), [200]);
    let registered = [&first, &second].map(|server| server.metric("strowger_registered"));
    assert_eq!(registered.iter().sum::<u64>(), 1, "{registered:?}");
}

#[test]
fn what_is_no_register_of_ours_is_not_answered() {
    let port = ports::free();
    let _server = server("127.0.0.1", port, "true", Setup::new());
    let phone = Phone::new(GROUP.into(), port);
    let register = phone.register("alice");
    assert_eq!(statuses(&phone.ask(&register)), [200]);
    let far = phone.register("alice").set("To", "<sip:alice@far.test>");
    assert_eq!(statuses(&phone.ask(&far)), [0; 0]);
    let mut options = phone.register("alice").text();
    options = options.replace("REGISTER", "OPTIONS");
    let options = Message::parse(options.as_bytes()).expect("a message");
    assert_eq!(statuses(&phone.ask(&options)), [0; 0]);
}

#[test]
fn a_group_of_ipv6_is_heard_on_its_interface() {
    if !namespace::enter("a_group_of_ipv6_is_heard_on_its_interface") {
        return;
    }
    // The loopback interface carries no groups of IPv6.
    let setup = "ip link add net0 type veth peer name net1 && ip link set net0 up && ip link set net1 up && \
                 ip address add 2001:db8::1/64 dev net0 nodad";
    let ended = process::run(Duration::from_secs(5), "sh", &["-c", setup]);
    assert!(ended.succeeded(), "{ended:?}");
    let port = ports::free();
    let _server = server("[2001:db8::1]", port, "\"ff02::4b4b\"", Setup::new());
    let phone = Phone::new("ff02::4b4b".parse().expect("a group"), port);
    assert_eq!(statuses(&phone.ask(&phone.register("alice"))), [200]);
}

#[test]
fn a_reload_adds_and_keeps_a_group_and_refuses_to_change_it() {
    let port = ports::free();
    let server = Setup::new().start();
    let text = std::fs::read_to_string(server.config()).expect("readable");
    let listen = |multicast: &str| {
        let listen = format!("[[listen]]\nuri = \"udp:127.0.0.4:{port}\"\n{multicast}\n[admin]\n");
        std::fs::write(server.config(), text.replace("[admin]\n", &listen)).expect("written");
        server.ctl(&["reload"])
    };
    let reloaded = listen("multicast = true");
    assert!(reloaded.succeeded(), "{reloaded:?}");
    let phone = Phone::new(GROUP.into(), port);
    assert_eq!(statuses(&phone.ask(&phone.register("alice"))), [200]);
    assert!(listen("multicast = true").succeeded());
    assert_eq!(statuses(&phone.ask(&phone.register("alice"))), [200]);
    let refused = listen("");
    assert!(
        !refused.succeeded() && refused.stdout.contains("`multicast` of a listener"),
        "{refused:?}"
    );
    // Without the listener its group is not heard any more, at the latest when it has been drained.
    std::fs::write(server.config(), format!("drain = \"0s\"\n{text}")).expect("written");
    let reloaded = server.ctl(&["reload"]);
    assert!(reloaded.succeeded(), "{reloaded:?}");
    assert_eq!(statuses(&phone.ask(&phone.register("alice"))), [0; 0]);
}

#[test]
fn what_cannot_work_is_refused_with_its_place() {
    let scratch = Scratch::new();
    for (listen, told) in [
        ("uri = \"udp:0.0.0.0:5060\"\nmulticast = true", "one interface"),
        ("uri = \"tcp:127.0.0.1:5060\"\nmulticast = true", "no multicast"),
        (
            "uri = \"udp:[::1]:5060\"\nmulticast = true",
            "no well-known group",
        ),
    ] {
        let config = scratch.write("c.toml", format!("[[listen]]\n{listen}\n"));
        let checked = strowger(&["check", "--config", &config.to_string_lossy()]);
        assert!(!checked.succeeded(), "{checked:?}");
        assert!(
            checked.stdout.contains("c.toml:3:13: ") && checked.stdout.contains(told),
            "{checked:?}"
        );
    }
}
