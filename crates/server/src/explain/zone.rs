//! DNS answers out of a file, in lines as zone files have them (RFC 1035 §5.1): `name [ttl] [IN] type data`. There is no
//! `$ORIGIN`: every name is whole.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::stage::Names;

/// Lines that a file may have.
const MOST_LINES: usize = 10_000;

/// The records of a file.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    addresses: Vec<(String, IpAddr)>,
    aliases: Vec<(String, String)>,
}

/// Why a file is no zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ZoneError {}

/// A name as it is compared: in lower case, without the dot at its end.
fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

impl Zone {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ZoneError`]: the first line that is no record.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        let mut zone = Self::default();
        for (number, line) in text.lines().enumerate() {
            let at = |what: String| ZoneError {
                line: number + 1,
                what,
            };
            if number >= MOST_LINES {
                return Err(at(format!("there are more than {MOST_LINES} lines")));
            }
            let line = line.split(';').next().unwrap_or_default().trim();
            if !line.is_empty() {
                zone.add(line).map_err(at)?;
            }
        }
        Ok(zone)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_ascii_whitespace().peekable();
        let name = canonical(words.next().unwrap_or_default());
        let is_extra =
            |word: &&str| word.eq_ignore_ascii_case("IN") || word.bytes().all(|byte| byte.is_ascii_digit());
        while words.next_if(is_extra).is_some() {}
        let kind = words.next().unwrap_or_default().to_ascii_uppercase();
        let data: Vec<_> = words.collect();
        let no = |what: &str| format!("`{}` is no {what}", data.join(" "));
        match (kind.as_str(), &data[..]) {
            ("A", [ip]) => {
                let ip: Ipv4Addr = ip.parse().map_err(|_| no("IPv4 address"))?;
                self.addresses.push((name, ip.into()));
            }
            ("AAAA", [ip]) => {
                let ip: Ipv6Addr = ip.parse().map_err(|_| no("IPv6 address"))?;
                self.addresses.push((name, ip.into()));
            }
            ("CNAME", [other]) => self.aliases.push((name, canonical(other))),
            ("A" | "AAAA" | "CNAME", _) => return Err(no("one value")),
            _ => return Err(format!("write A, AAAA or CNAME records, not `{line}`")),
        }
        Ok(())
    }
}

impl Names for Zone {
    fn look_up(&mut self, name: &str) -> Vec<IpAddr> {
        let mut name = canonical(name);
        // As many as there are, so that a ring of them ends.
        for _ in 0..self.aliases.len() {
            match self.aliases.iter().find(|(alias, _)| *alias == name) {
                Some((_, other)) => name.clone_from(other),
                None => break,
            }
        }
        let own = self.addresses.iter().filter(|(owner, _)| *owner == name);
        own.map(|(_, ip)| *ip).collect()
    }

    fn authority(&self) -> String {
        "from the file".to_owned()
    }
}
