//! NATs of the kernel's own (nftables), each in a network namespace, between a public network that the server is on and a
//! private one that a phone is on. To be used inside [`namespace`](crate::namespace), whose network is the public one.

use std::fs::File;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::Process;
use crate::wait;

/// The server's address on the public network.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 254);

/// Another address of the server's machine there, for a [`Relay`](crate::relay::Relay).
pub const RELAY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 253);

/// The hardware address of both: a bridge that has none of its own takes another one with each NAT, and those that are there would
/// go on to send to the former.
const MAC: &str = "02:00:00:00:00:01";

/// After how many idle seconds a NAT forgets a UDP mapping: few, so that a short test sees it.
pub const UDP_TIMEOUT: Duration = Duration::from_secs(5);

/// What a NAT lets in, and which public port it gives (RFC 4787; the names are those of RFC 3489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whoever sends to the public port reaches the phone.
    FullCone,
    /// Only those answer that the phone has sent to.
    PortRestricted,
    /// The same, and each destination sees another public port.
    Symmetric,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FullCone, Self::PortRestricted, Self::Symmetric];
}

/// The public network: a bridge that the NATs are connected to. It is there as long as the namespace is.
#[derive(Debug)]
pub struct Internet;

impl Internet {
    /// Makes it, with [`SERVER`] on it.
    #[track_caller]
    pub fn new() -> Self {
        run(
            "ip",
            &[
                "link",
                "add",
                "internet",
                "address",
                MAC,
                "type",
                "bridge",
                "forward_delay",
                "0",
            ],
        );
        for address in [SERVER, RELAY] {
            run(
                "ip",
                &["address", "add", &format!("{address}/24"), "dev", "internet"],
            );
        }
        run("ip", &["link", "set", "internet", "up"]);
        Self
    }
}

impl Default for Internet {
    fn default() -> Self {
        Self::new()
    }
}

/// A NAT with one private network behind it.
#[derive(Debug)]
pub struct Nat {
    number: u8,
    /// The namespaces are there as long as these are.
    translator: Process,
    phone: Process,
}

impl Nat {
    /// The NAT of this number (1 to 99), connected to the public network.
    #[track_caller]
    pub fn new(_: &Internet, number: u8, kind: Kind) -> Self {
        let (translator, phone) = (namespace(), namespace());
        let (outside, nat_id, phone_id) = (
            format!("nat{number}"),
            translator.id().to_string(),
            phone.id().to_string(),
        );
        run(
            "ip",
            &[
                "link", "add", &outside, "type", "veth", "peer", "name", "wan", "netns", &nat_id,
            ],
        );
        run("ip", &["link", "set", &outside, "master", "internet", "up"]);
        let nat = Self {
            number,
            translator,
            phone,
        };
        let Self {
            translator, phone, ..
        } = &nat;
        enter(translator, || {
            let cable = [
                "link", "add", "lan", "type", "veth", "peer", "name", "eth", "netns", &phone_id,
            ];
            run("ip", &cable);
            run(
                "ip",
                &["address", "add", &format!("10.{number}.0.1/24"), "dev", "lan"],
            );
            run("ip", &["link", "set", "lan", "up"]);
            run("ip", &["link", "set", "wan", "up"]);
            set("net/ipv4/ip_forward", "1");
            translate(number, kind);
            let seconds = UDP_TIMEOUT.as_secs().to_string();
            set("net/netfilter/nf_conntrack_udp_timeout", &seconds);
            set("net/netfilter/nf_conntrack_udp_timeout_stream", &seconds);
        });
        nat.connect(number);
        enter(phone, || {
            run("ip", &["link", "set", "lo", "up"]);
            run(
                "ip",
                &["address", "add", &format!("{}/24", nat.inside()), "dev", "eth"],
            );
            run("ip", &["link", "set", "eth", "up"]);
            run(
                "ip",
                &["route", "add", "default", "via", &format!("10.{number}.0.1")],
            );
            await_link("eth");
        });
        enter(translator, || ["wan", "lan"].map(await_link));
        await_link(&outside);
        nat
    }

    /// The phone's private address.
    pub fn inside(&self) -> IpAddr {
        IpAddr::from([10, self.number, 0, 2])
    }

    /// Does something where the phone is: sockets that it makes and programs that it starts stay there.
    pub fn enter<T>(&self, act: impl FnOnce() -> T) -> T {
        enter(&self.phone, act)
    }

    /// Gives the NAT another public address (198.51.100.`host`); what it has translated before is forgotten.
    #[track_caller]
    pub fn connect(&self, host: u8) {
        enter(&self.translator, || {
            run("ip", &["address", "flush", "dev", "wan"]);
            run(
                "ip",
                &["address", "add", &format!("198.51.100.{host}/24"), "dev", "wan"],
            );
        });
    }
}

/// A network namespace of its own, and the process that keeps it.
#[track_caller]
fn namespace() -> Process {
    let script = "echo there; exec sleep 600";
    let process = Process::server("unshare", &["--net", "sh", "-c", script], |_| {});
    let there = wait::until_true(Duration::from_secs(5), || process.stdout().contains("there"));
    assert!(there, "a network namespace:\n{}", process.output());
    process
}

/// Does something in the network namespace of this process. The thread is moved there and back: programs that it starts would end
/// with a thread of their own.
fn enter<T>(place: &Process, act: impl FnOnce() -> T) -> T {
    let there = File::open(format!("/proc/{}/ns/net", place.id())).expect("the namespace");
    let home = Home(File::open("/proc/thread-self/ns/net").expect("our own namespace"));
    go_to(&there);
    let result = act();
    drop(home);
    result
}

/// Where a thread comes from, and goes back to, also when what it does fails.
struct Home(File);

impl Drop for Home {
    fn drop(&mut self) {
        go_to(&self.0);
    }
}

fn go_to(namespace: &File) {
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(namespace.as_fd(), kind).expect("to enter a namespace");
}

/// The rules of a NAT (nftables).
#[track_caller]
fn translate(number: u8, kind: Kind) {
    let masquerade = match kind {
        Kind::FullCone | Kind::PortRestricted => "masquerade",
        Kind::Symmetric => "masquerade random,fully-random",
    };
    let inbound = match kind {
        Kind::FullCone => format!(
            "chain inbound {{\n type nat hook prerouting priority -100;\n iifname \"wan\" udp dport 1024-65535 dnat to \
             10.{number}.0.2\n}}\n"
        ),
        Kind::PortRestricted | Kind::Symmetric => {
            "chain filter {\n type filter hook forward priority 0;\n iifname \"wan\" ct state new drop\n}\n"
                .to_owned()
        }
    };
    let rules = format!(
        "table ip translator {{\nchain outbound {{\n type nat hook postrouting priority 100;\n oifname \"wan\" \
         {masquerade}\n}}\n{inbound}}}\n"
    );
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("nft: apt-get install nftables");
    let sent = nft
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(rules.as_bytes()));
    assert!(matches!(sent, Some(Ok(()))), "nft takes rules");
    assert!(nft.wait().is_ok_and(|status| status.success()), "nft: {rules}");
}

#[track_caller]
fn set(name: &str, value: &str) {
    let path = format!("/proc/sys/{name}");
    std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// Waits until this device carries packets: what is sent before is lost.
#[track_caller]
fn await_link(device: &str) {
    let is_up = || {
        let shown = Command::new("ip").args(["-o", "link", "show", device]).output();
        shown.is_ok_and(|shown| String::from_utf8_lossy(&shown.stdout).contains("state UP"))
    };
    assert!(
        wait::until_true(Duration::from_secs(5), is_up),
        "{device} is not up"
    );
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    let ended = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(ended.status.success(), "{program} {arguments:?}: {ended:?}");
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};

    use super::*;
    use crate::namespace;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// A socket on the public network.
    fn outside() -> UdpSocket {
        let socket = UdpSocket::bind((SERVER, 0)).expect("the public network");
        let limit = Duration::from_millis(500);
        socket.set_read_timeout(Some(limit)).expect("an option");
        socket
    }

    /// The public address that this datagram comes from, if it arrives.
    fn seen(at: &UdpSocket) -> Option<SocketAddr> {
        at.recv_from(&mut [0; 16]).ok().map(|(_, from)| from)
    }

    /// Whether the phone gets what is sent to this public address.
    fn reaches(phone: &UdpSocket, from: &UdpSocket, to: SocketAddr) -> bool {
        from.send_to(b"in", to).expect("to be sent");
        seen(phone).is_some()
    }

    #[test]
    fn a_nat_does_what_its_kind_says() {
        if !namespace::enter("nat::tests::a_nat_does_what_its_kind_says") {
            return;
        }
        let internet = Internet::new();
        for (number, kind) in (1..).zip(Kind::ALL) {
            let nat = Nat::new(&internet, number, kind);
            let (here, there, stranger) = (outside(), outside(), outside());
            let phone = nat
                .enter(|| UdpSocket::bind((nat.inside(), 5070)))
                .expect("inside");
            let limit = Duration::from_millis(500);
            phone.set_read_timeout(Some(limit)).expect("an option");
            let ask = |whom: &UdpSocket| {
                let to = whom.local_addr().expect("bound");
                phone.send_to(b"out", to).expect("to be sent");
                seen(whom)
            };
            let mapped = wait::until(PATIENCE, || ask(&here)).expect("it arrives");
            assert_eq!(mapped.ip(), IpAddr::from([198, 51, 100, number]));
            assert!(reaches(&phone, &here, mapped), "{kind:?}");
            assert_eq!(ask(&there) == Some(mapped), kind != Kind::Symmetric, "{kind:?}");
            assert_eq!(
                reaches(&phone, &stranger, mapped),
                kind == Kind::FullCone,
                "{kind:?}"
            );
            nat.connect(number + 100);
            // The kernel forgets in its own time.
            let moved = IpAddr::from([198, 51, 100, number + 100]);
            let is_moved = || ask(&here).is_some_and(|from| from.ip() == moved);
            assert!(wait::until_true(PATIENCE, is_moved), "{kind:?}");
        }
    }
}
