//! What follows from a configuration: pure functions from the tree, and from what the machine says about itself,
//! to what the node does.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use strowger_sip::registrar::{canonical_aor, canonical_host};
use strowger_syntax::Transport;
use strowger_syntax::uri::{Host, SipUri};

use super::{AdminListen, AuthMethods, Cidr, Config, DEFAULT_METHODS, Listen, ListenUri, Register};

/// Whether somebody asked for a thing, or it is only a default. What was asked for must work; a default that cannot
/// is warned about and left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nobody asked.
    Default,
    /// Somebody did.
    Explicit,
}

/// A listener to bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What to bind.
    pub listen: Listen,
    /// Whether it must bind.
    pub asked: Asked,
}

/// The port of SIP over UDP and TCP (RFC 3261 §19.1.2).
pub const SIP_PORT: u16 = 5060;

/// The admin listener's default port.
pub const ADMIN_PORT: u16 = 8080;

/// The listeners: those configured, or udp and tcp on `127.0.0.1:5060` and `[::1]:5060`.
pub fn listeners(config: &Config) -> Vec<Listener> {
    if !config.listen.is_empty() {
        let explicit = |listen: &Listen| Listener {
            listen: listen.clone(),
            asked: Asked::Explicit,
        };
        return config.listen.iter().map(explicit).collect();
    }
    let hosts = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let transports = [Transport::Udp, Transport::Tcp];
    let pairs = hosts
        .into_iter()
        .flat_map(|host| transports.map(|transport| (host, transport)));
    pairs
        .map(|(host, transport)| {
            let uri = ListenUri {
                transport,
                address: SocketAddr::new(host, SIP_PORT),
            };
            Listener {
                listen: Listen::plain(uri),
                asked: Asked::Default,
            }
        })
        .collect()
}

/// The admin address, if there is to be one. A default that is taken moves to a free port.
pub fn admin(config: &Config) -> Option<(SocketAddr, Asked)> {
    match config.admin.listen {
        AdminListen::Off => None,
        AdminListen::At(address) => Some((address, Asked::Explicit)),
        AdminListen::Automatic => Some((
            SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT)),
            Asked::Default,
        )),
    }
}

/// Whether requests are challenged, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The methods that are challenged, in upper case; none when digest is off.
    pub methods: Vec<String>,
    /// What decided it.
    pub because: Because,
}

impl Digest {
    /// True when anything is challenged.
    pub fn is_on(&self) -> bool {
        !self.methods.is_empty()
    }
}

/// What decided whether digest is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The configuration or the command line.
    Asked,
    /// Every listener is loopback.
    OnlyLoopback,
    /// This listener is not.
    Open(ListenUri),
}

/// Decides on digest: one listener that is not loopback turns it on for the whole node, unless the configuration
/// says which methods are challenged (or that none are).
pub fn digest(config: &Config) -> Digest {
    if let AuthMethods::Explicit(methods) = &config.auth.methods {
        return Digest {
            methods: methods.clone(),
            because: Because::Asked,
        };
    }
    let open = config
        .listen
        .iter()
        .map(|listen| listen.uri)
        .find(|uri| !is_loopback(uri.address.ip()));
    match open {
        Some(uri) => {
            let methods = DEFAULT_METHODS.map(str::to_owned).to_vec();
            Digest {
                methods,
                because: Because::Open(uri),
            }
        }
        None => Digest {
            methods: Vec::new(),
            because: Because::OnlyLoopback,
        },
    }
}

/// What an operator who leaves the node open to others ought to hear; `None` where nobody else reaches it, or passwords are
/// asked for where they count.
pub fn exposure(config: &Config) -> Option<String> {
    let mut listeners = config.listen.iter().map(|listen| listen.uri);
    let open = listeners.find(|uri| !is_loopback(uri.address.ip()))?;
    let asked = digest(config).methods;
    let free = DEFAULT_METHODS
        .into_iter()
        .filter(|method| !asked.iter().any(|asked| asked == method))
        .collect::<Vec<_>>();
    let what = match free[..] {
        [] => return None,
        ["REGISTER"] => "register any address as theirs",
        ["INVITE"] => "call every user",
        _ => "register any address as theirs and call wherever that leads",
    };
    let (need, it) = if free.len() == 1 {
        ("needs", "it")
    } else {
        ("need", "them")
    };
    Some(format!(
        "whoever reaches {open} may {what}: {} {need} no password; add {it} to [auth] methods, or leave `--auth off` out",
        free.join(" and ")
    ))
}

/// What an operator ought to hear whose node others reach, but which has no domain for their phones to be of.
pub fn without_domain(config: &Config) -> Option<String> {
    let mut listeners = config.listen.iter().map(|listen| listen.uri);
    let open = listeners.find(|uri| !is_loopback(uri.address.ip()))?;
    config.domains.is_empty().then(|| {
        format!(
            "others reach {open}, but there are no `domains`: users can only be of the listeners' addresses, localhost and the \
             host name; write domains = [\"example.test\"] with your own"
        )
    })
}

/// What an operator ought to hear whose providers would be asked for a password when they send a call, so that none comes in.
pub fn unheard(config: &Config) -> Vec<String> {
    if !digest(config).methods.iter().any(|method| method == "INVITE") {
        return Vec::new();
    }
    let is_let_in = |register: &&Register| {
        let among = |address| is_trusted(&config.trusted, address);
        register.trusted || register.address().map_or(!config.trusted.is_empty(), among)
    };
    let challenged = config.register.iter().filter(|register| !is_let_in(register));
    let told = |register: &Register| {
        format!(
            "{}: calls from trunk `{}` are asked for a password, which a provider has not: add the provider's addresses to `trusted`, \
             or trusted = true to its [[register]]",
            register.written, register.name
        )
    };
    challenged.map(told).collect()
}

/// True for loopback addresses, also for IPv4 ones inside IPv6.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// True when the source is one of the blocks that need not authenticate.
pub fn is_trusted(trusted: &[Cidr], source: IpAddr) -> bool {
    trusted.iter().any(|block| block.contains(source))
}

/// True for this machine while digest is off: nobody asks it who it is.
pub fn is_local(digest_on: bool, source: IpAddr) -> bool {
    !digest_on && is_loopback(source)
}

/// Sources that the limits of one source do not hold for: those that are trusted, and this machine while digest is off.
pub fn exempt_sources(config: &Config) -> Vec<Cidr> {
    let digest_on = digest(config).is_on();
    let this_machine = [
        (IpAddr::from([127, 0, 0, 0]), 8),
        (Ipv6Addr::LOCALHOST.into(), 128),
    ];
    let local = this_machine
        .into_iter()
        .filter(|&(address, _)| is_local(digest_on, address))
        .map(|(address, prefix)| Cidr::new(address, prefix));
    config.trusted.iter().copied().chain(local).collect()
}

/// What a command has to be given to find the server of a configuration, as it is written into a shell: ` --data-dir DIR`, or nothing
/// where that is the default.
pub fn data_dir_option(config: &Config) -> String {
    if config.data_dir == Config::default().data_dir {
        return String::new();
    }
    let dir = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    format!(" --data-dir {}", shell_word(&dir.display().to_string()))
}

/// A text as one word of a shell: whoever copies a command that has it runs nothing else.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@:,=%".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Which hosts are ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ours {
    names: Vec<String>,
    /// How many of them are configured domains, which come first.
    domains: usize,
    addresses: Vec<IpAddr>,
    ports: Vec<u16>,
    /// Names that stand for domains, with these.
    aliases: Vec<(String, String)>,
}

/// What an operator ought to hear whose users (counted by domain) are of domains that are not ours, so that their phones
/// cannot register; `None` if there are none.
pub fn unserved(users: &[(String, u64)], ours: &Ours) -> Option<String> {
    const NAMED: usize = 5;
    // An alias is no realm.
    let is_alias = |domain: &str| ours.aliases.iter().any(|(alias, _)| alias == domain);
    let is_foreign = |domain: &str| {
        is_alias(domain) || !Host::parse_bare(domain.as_bytes()).is_some_and(|host| ours.is_our_host(host))
    };
    let foreign: Vec<_> = users.iter().filter(|(domain, _)| is_foreign(domain)).collect();
    let (first, _) = foreign.first()?;
    let mut named: Vec<_> = foreign
        .iter()
        .take(NAMED)
        .map(|(domain, count)| format!("{domain} ({count})"))
        .collect();
    if foreign.len() > NAMED {
        named.push(format!("{} more", foreign.len() - NAMED));
    }
    Some(format!(
        "there are users of domains that this node is not responsible for; their phones cannot register: {}. Add them to \
         `domains` in the configuration, as domains = [\"{first}\"], or give --domain {first}",
        named.join(", ")
    ))
}

/// What the machine says about itself.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Its host name, as the system has it.
    pub host_name: String,
    /// The addresses of its interfaces, for listeners that are bound to all of them.
    pub addresses: Vec<IpAddr>,
}

/// Works out which hosts are ours: the configured domains and the listeners' addresses; without domains also
/// `localhost` and the host name. `bound` are the listeners with the ports they really have.
pub fn ours(config: &Config, bound: &[Listen], machine: &Machine) -> Ours {
    let mut ours = Ours {
        names: config.domains.clone(),
        domains: config.domains.len(),
        aliases: config.domain_aliases.clone(),
        ..Ours::default()
    };
    if config.domains.is_empty() {
        ours.names.push("localhost".to_owned());
        let host_name = machine.host_name.trim_end_matches('.').to_ascii_lowercase();
        if !host_name.is_empty() && host_name != "localhost" {
            ours.names.push(host_name);
        }
    }
    let aliases = config.domain_aliases.iter().map(|(alias, _)| alias.clone());
    ours.names.extend(aliases);
    for listen in bound {
        let address = listen.uri.address;
        ours.add_port(address.port());
        if address.ip().is_unspecified() {
            let same_family = |other: &&IpAddr| other.is_ipv4() == address.is_ipv4();
            machine
                .addresses
                .iter()
                .filter(same_family)
                .for_each(|&other| ours.add_address(other));
        } else {
            ours.add_address(address.ip());
        }
        for advertise in listen.advertise.iter().map(|advertise| &advertise.address) {
            match advertise.host.parse() {
                Ok(address) => ours.add_address(address),
                Err(_) => ours.names.push(advertise.host.clone()),
            }
            if let Some(port) = advertise.port {
                ours.add_port(port);
            }
        }
    }
    // A domain that is written as an address is compared as one.
    let addresses: Vec<IpAddr> = ours.names.iter().filter_map(|name| name.parse().ok()).collect();
    addresses
        .into_iter()
        .for_each(|address| ours.add_address(address));
    ours
}

impl Ours {
    /// Appends the canonical address-of-record that a URI of ours is (RFC 3261 §10.3 step 5). An address of an alias is the one
    /// of its domain.
    pub fn write_aor(&self, uri: &SipUri<'_>, aor: &mut Vec<u8>) {
        let start = aor.len();
        canonical_aor(uri, aor);
        if !self.aliases.is_empty()
            && let Some(at) = aor[start..].iter().rposition(|&b| b == b'@')
        {
            self.follow_alias(aor, start + at + 1);
        }
    }

    /// Appends the canonical name of a host of ours. An alias is its domain.
    pub fn write_host(&self, host: &Host<'_>, to: &mut Vec<u8>) {
        let start = to.len();
        canonical_host(host, to);
        self.follow_alias(to, start);
    }

    fn follow_alias(&self, text: &mut Vec<u8>, start: usize) {
        let found = self
            .aliases
            .iter()
            .find(|(alias, _)| alias.as_bytes() == &text[start..]);
        if let Some((_, domain)) = found {
            text.truncate(start);
            text.extend_from_slice(domain.as_bytes());
        }
    }

    /// Whether a URI names this node: a configured domain or a listener's address, with no port or a listener's.
    pub fn is_ours(&self, uri: &SipUri<'_>) -> bool {
        uri.port.is_none_or(|port| self.ports.contains(&port)) && self.is_our_host(uri.host)
    }

    /// Whether a URI's maddr, if it has one, names this node.
    pub fn is_maddr_ours(&self, uri: &SipUri<'_>) -> bool {
        uri.maddr().is_none_or(|host| self.is_our_host(host))
    }

    fn is_our_host(&self, host: Host<'_>) -> bool {
        match host {
            Host::Name(name) => {
                let name = name.strip_suffix(b".").unwrap_or(name);
                self.names
                    .iter()
                    .any(|ours| ours.as_bytes().eq_ignore_ascii_case(name))
            }
            Host::V4(ip) => self.addresses.contains(&IpAddr::V4(ip)),
            Host::V6(ip) => self.addresses.contains(&IpAddr::V6(ip).to_canonical()),
        }
    }

    /// The domain that is meant by who writes a host of ours in its stead (in its canonical form): where that is an address and
    /// none of the configured domains, the first of those that is a name.
    pub fn domain_meant(&self, host: &[u8]) -> Option<&str> {
        let address = |name: &str| name.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let written = address(std::str::from_utf8(host).ok()?)?;
        let domains = &self.names[..self.domains];
        let is_domain = domains.iter().any(|domain| address(domain) == Some(written));
        let named = domains.iter().find(|domain| address(domain).is_none());
        named.filter(|_| !is_domain).map(String::as_str)
    }

    /// The names that are ours: domains first, in the configured order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The addresses that are ours.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    fn add_address(&mut self, address: IpAddr) {
        let address = address.to_canonical();
        if !self.addresses.contains(&address) {
            self.addresses.push(address);
        }
    }

    fn add_port(&mut self, port: u16) {
        if port != 0 && !self.ports.contains(&port) {
            self.ports.push(port);
        }
    }
}

/// How many shards to run on a machine with this many usable cores.
pub fn shards(config: &Config, cores: usize) -> u16 {
    config
        .shards
        .unwrap_or_else(|| u16::try_from(cores.clamp(1, 1024)).unwrap_or(1))
}
