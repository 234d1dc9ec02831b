//! The written forms of single values: durations, addresses, networks, listen URIs, domain names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

pub use strowger_net::Cidr;
use strowger_syntax::header::NameAddr;
use strowger_syntax::message::ListItems;
use strowger_syntax::{Transport, Uri};

use super::diagnostic::{Complaint, nearest, one_of};

/// Reads an address block. Host bits that are set are an error, because one of the two numbers is then a mistake.
pub(super) fn cidr(text: &str) -> Result<Cidr, Complaint> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        let mend = "write an address or a block such as \"192.0.2.0/24\" or \"2001:db8::/32\"";
        return Err(Complaint::new(
            format!("`{text}` is not an IP address block"),
            mend,
        ));
    };
    let width = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match length {
        None => width,
        Some(length) => match length.parse::<u8>() {
            Ok(prefix) if prefix <= width && length.bytes().all(|byte| byte.is_ascii_digit()) => prefix,
            _ => {
                let what = format!("`/{length}` is not a prefix length");
                return Err(Complaint::new(what, format!("write /0 to /{width}")));
            }
        },
    };
    let network = masked(address, prefix);
    if network != address {
        let what = format!("`{text}` has address bits set beyond its /{prefix}");
        return Err(Complaint::new(
            what,
            format!("write \"{network}/{prefix}\", or \"{address}\" for the one host"),
        ));
    }
    let canonical = network.to_canonical();
    if canonical != network && prefix >= 96 {
        return Ok(Cidr::new(canonical, prefix - 96));
    }
    Ok(Cidr::new(network, prefix))
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            std::net::Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

/// A listen URI: transport, address and port, as in `udp:127.0.0.1:5060` or `tcp:[::1]:5060`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenUri {
    /// The transport.
    pub transport: Transport,
    /// The address to bind; port 0 lets the system pick one.
    pub address: SocketAddr,
}

impl fmt::Display for ListenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", transport_name(self.transport), self.address)
    }
}

/// The transport as a listen URI writes it.
pub fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Ws => "ws",
        Transport::Wss => "wss",
    }
}

const TRANSPORTS: [(&str, Transport); 5] = [
    ("udp", Transport::Udp),
    ("tcp", Transport::Tcp),
    ("tls", Transport::Tls),
    ("ws", Transport::Ws),
    ("wss", Transport::Wss),
];

/// An element of a route: a SIP URI in angle brackets, with `lr` (RFC 3608 §6.3).
pub(super) fn loose_route(text: &str) -> Result<String, Complaint> {
    const MEND: &str = "write it as \"<sip:proxy.example.test;lr>\"";
    let is_route = NameAddr::parse_bracketed(text.as_bytes()).is_ok_and(
        |route| matches!(route.uri, Uri::Sip(sip) if sip.params.has(b"lr") && sip.headers.is_empty()),
    );
    // One that is two would be read as such by phones.
    let is_one = ListItems::new(text.as_bytes()).count() == 1;
    if is_route && is_one && text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        Ok(text.to_owned())
    } else {
        Err(Complaint::new(format!("`{text}` is not a loose route"), MEND))
    }
}

/// Reads a listen URI.
pub(super) fn listen_uri(text: &str) -> Result<ListenUri, Complaint> {
    const EXAMPLE: &str = "write it as \"udp:127.0.0.1:5060\", with IPv6 in brackets: \"udp:[::1]:5060\"";
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(Complaint::new(format!("`{text}` is not a listen URI"), EXAMPLE));
    };
    let found = TRANSPORTS
        .iter()
        .find(|(name, _)| scheme.eq_ignore_ascii_case(name));
    let Some(&(_, transport)) = found else {
        let names = TRANSPORTS.map(|(name, _)| name);
        let looks_like_host = scheme.starts_with('[') || scheme.contains('.') || scheme == "localhost";
        if looks_like_host {
            return Err(Complaint::new(
                format!("`{text}` names no transport"),
                format!("write \"udp:{text}\""),
            ));
        }
        let mend = match nearest(scheme, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("use {}", one_of(&names)),
        };
        return Err(Complaint::new(format!("`{scheme}` is not a transport"), mend));
    };
    let address = socket_address(rest).map_err(|mut complaint| {
        if complaint.mend.is_empty() {
            complaint.mend = EXAMPLE.to_owned();
        }
        complaint
    })?;
    Ok(ListenUri { transport, address })
}

/// Reads `ADDRESS:PORT`; `localhost` stands for 127.0.0.1. The complaint's mend is empty when the caller knows a
/// better example than we do.
fn socket_address(text: &str) -> Result<SocketAddr, Complaint> {
    let Some((host, port)) = text
        .rsplit_once(':')
        .filter(|(host, _)| !host.contains(':') || host.starts_with('['))
    else {
        let what = match text.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) => format!("`{text}` is an IPv6 address without brackets and port"),
            _ => format!("`{text}` has no port"),
        };
        return Err(Complaint::new(what, ""));
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address = match bare {
        Some(v6) => v6.parse().map(IpAddr::V6).ok(),
        None if host.eq_ignore_ascii_case("localhost") => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        None => host.parse().map(IpAddr::V4).ok(),
    };
    let Some(address) = address else {
        let what = format!("`{host}` is not an IP address");
        return Err(Complaint::new(
            what,
            "write an address of this machine, or 0.0.0.0 or [::] for all of them",
        ));
    };
    let port = port_number(port)?;
    Ok(SocketAddr::new(address, port))
}

fn port_number(text: &str) -> Result<u16, Complaint> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits => Ok(port),
        _ if digits => Err(Complaint::new(
            format!("port {text} is out of range"),
            "write a port from 0 to 65535",
        )),
        _ => Err(Complaint::new(
            format!("`{text}` is not a port"),
            "write a port from 0 to 65535",
        )),
    }
}

/// Where the admin listener is asked to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdminListen {
    /// Nobody said: 127.0.0.1:8080, or a free port when that is taken.
    #[default]
    Automatic,
    /// Exactly here.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

/// Reads the admin address, or `off`. It must be on loopback, because the admin listener speaks no TLS.
pub(super) fn admin_listen(text: &str) -> Result<AdminListen, Complaint> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(AdminListen::Off);
    }
    let address = socket_address(text).map_err(|mut complaint| {
        if complaint.mend.is_empty() {
            complaint.mend = "write \"127.0.0.1:8080\", \"[::1]:8080\" or \"off\"".to_owned();
        }
        complaint
    })?;
    if !address.ip().to_canonical().is_loopback() {
        let what = format!("the admin address {address} is not loopback, and it carries no TLS");
        return Err(Complaint::new(
            what,
            format!(
                "write \"127.0.0.1:{}\" and reach it through an SSH tunnel",
                address.port()
            ),
        ));
    }
    Ok(AdminListen::At(address))
}

/// Reads the address of a name server, with a port or without.
pub(super) fn name_server(text: &str) -> Result<SocketAddr, Complaint> {
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    let address = address.or_else(|_| text.parse());
    address.map_err(|_| {
        let what = format!("`{text}` is not the address of a name server");
        Complaint::new(
            what,
            "write \"192.0.2.53\", \"192.0.2.53:5353\" or \"[2001:db8::53]:53\"",
        )
    })
}

/// A host with an optional port, as others shall see us.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The port; `None` means the listener's.
    pub port: Option<u16>,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
            (true, None) => write!(f, "[{}]", self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (false, None) => f.write_str(&self.host),
        }
    }
}

/// Reads `HOST` or `HOST:PORT`.
pub(super) fn host_port(text: &str) -> Result<HostPort, Complaint> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((host, tail)) = rest.split_once(']') else {
            return Err(Complaint::new(
                format!("`{text}` lacks a closing bracket"),
                "write \"[2001:db8::5]:5060\"",
            ));
        };
        (
            host,
            tail.strip_prefix(':')
                .or_else(|| (!tail.is_empty()).then_some(tail)),
        )
    } else if text.parse::<std::net::Ipv6Addr>().is_ok() {
        (text, None)
    } else {
        match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let host = match host.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => {
            let what = format!("nobody can reach `{host}`");
            return Err(Complaint::new(
                what,
                "write the address or name that others reach this node by",
            ));
        }
        Ok(address) => address.to_string(),
        Err(_) => domain(host)?,
    };
    let port = match port.map(port_number).transpose()? {
        Some(0) => {
            return Err(Complaint::new(
                "nobody can reach port 0",
                "write the port that others reach, or none",
            ));
        }
        port => port,
    };
    Ok(HostPort { host, port })
}

/// Reads a domain name or address that a URI may carry as its host; answers it in lower case without a trailing dot.
pub(super) fn domain(text: &str) -> Result<String, Complaint> {
    const MEND: &str = "write a host name such as \"example.test\"";
    let complain = |why: &str| Err(Complaint::new(format!("`{text}` is not a domain: {why}"), MEND));
    if text.starts_with("sip:") || text.starts_with("sips:") {
        return complain("it is a URI");
    }
    if text.contains('@') {
        return complain("it names a user");
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|v6| v6.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() || name.len() > 253 {
        return complain("a name has 1 to 253 characters");
    }
    if name.contains(':') {
        return complain("it carries a port");
    }
    for label in name.split('.') {
        let clean = label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        let edges = label.starts_with('-') || label.ends_with('-');
        if label.is_empty() || label.len() > 63 || !clean || edges {
            return complain("each part between dots has 1 to 63 letters, digits or hyphens inside");
        }
    }
    Ok(name.to_ascii_lowercase())
}

/// Reads a duration: numbers with `us`, `ms`, `s`, `m`, `h` or `d`, as in "500ms", "5s" or "1h30m".
pub(super) fn duration(text: &str) -> Result<Duration, Complaint> {
    let complain = || {
        let mend = "write a number with its unit: us, ms, s, m, h or d, as in \"500ms\" or \"5s\"";
        Complaint::new(format!("`{text}` is not a duration"), mend)
    };
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| complain())?;
        let milliseconds = |each: u64| number.checked_mul(each).map(Duration::from_millis);
        let part = match unit {
            "us" => Some(Duration::from_micros(number)),
            "ms" => milliseconds(1),
            "s" => milliseconds(1000),
            "m" => milliseconds(60_000),
            "h" => milliseconds(3_600_000),
            "d" => milliseconds(86_400_000),
            _ => return Err(complain()),
        };
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(complain)?;
        rest = tail;
    }
    if text.is_empty() {
        Err(complain())
    } else {
        Ok(total)
    }
}

/// Writes a duration as [`duration`] reads it, in the largest unit that keeps it whole.
pub(super) fn duration_text(duration: Duration) -> String {
    let (us, ms) = (duration.as_micros(), duration.as_millis());
    if us != ms * 1000 {
        return format!("{us}us");
    }
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if ms != 0 && ms.is_multiple_of(size) {
            return format!("{}{unit}", ms / size);
        }
    }
    format!("{ms}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let read = |text| duration(text).ok();
        assert_eq!(read("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(read("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(read("2d"), Some(Duration::from_secs(172_800)));
        for wrong in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "5sec",
            "1.5s",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        for text in ["300us", "500ms", "5s", "3m", "12h", "1d", "181s", "0ms"] {
            assert_eq!(read(text).map(duration_text).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_block_holds_its_addresses_and_no_others() {
        let inside = |block: &str, address: &str| {
            let block = cidr(block).map_err(|complaint| complaint.what);
            Ok::<_, String>(block?.contains(address.parse().map_err(|_| "address".to_owned())?))
        };
        for (block, address, expected) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.0/24", "::ffff:192.0.2.7", true),
            ("::ffff:192.0.2.0/120", "192.0.2.7", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("::/0", "2001:db8::1", true),
            ("192.0.2.5", "192.0.2.5", true),
            ("192.0.2.5", "192.0.2.4", false),
        ] {
            assert_eq!(inside(block, address), Ok(expected), "{block} {address}");
        }
        for wrong in [
            "192.0.2.1/24",
            "192.0.2.0/33",
            "192.0.2.0/",
            "192.0.2/24",
            "host/8",
            "::/129",
            "10.0.0.0/+8",
        ] {
            assert!(cidr(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn listen_uris_read_back_as_written() {
        for text in [
            "udp:127.0.0.1:5060",
            "tcp:[::1]:0",
            "wss:0.0.0.0:443",
            "tls:[2001:db8::1]:5061",
        ] {
            assert_eq!(listen_uri(text).map(|uri| uri.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(
            listen_uri("UDP:localhost:5060").map(|uri| uri.to_string()),
            Ok("udp:127.0.0.1:5060".to_owned())
        );
        for wrong in [
            "udp:127.0.0.1",
            "udp:::1:5060",
            "udp:[::1]",
            "127.0.0.1:5060",
            "udp:1.2.3.4:65536",
            "sip:a",
            "udp",
        ] {
            assert!(listen_uri(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn domains_are_bare_names() {
        assert_eq!(domain("Example.TEST."), Ok("example.test".to_owned()));
        assert_eq!(domain("[2001:db8::1]"), Ok("2001:db8::1".to_owned()));
        for wrong in [
            "",
            "a..b",
            "sip:example.test",
            "alice@example.test",
            "example.test:5060",
            "-a.test",
            "a b",
        ] {
            assert!(domain(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_advertised_address_may_carry_a_port() {
        for text in [
            "203.0.113.5:5060",
            "203.0.113.5",
            "pbx.example.test:5070",
            "[2001:db8::5]:5060",
            "[2001:db8::5]",
        ] {
            assert_eq!(host_port(text).map(|host| host.to_string()), Ok(text.to_owned()));
        }
        for wrong in [
            "0.0.0.0:5060",
            "a:b",
            "203.0.113.5:0",
            "[::1",
            "[2001:db8::5]5060x",
            "",
        ] {
            assert!(host_port(wrong).is_err(), "{wrong}");
        }
    }
}
