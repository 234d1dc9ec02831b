//! DNS records out of a file, in lines as zone files have them (RFC 1035 §5.1): `name [ttl] [IN] type data`. Every name is
//! whole: there is no `$ORIGIN`, nor anything else that begins with a `$`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::records::{Naptr, Records, Said, Srv};

/// Lines that a file may have.
const MOST_LINES: usize = 10_000;
/// For how many seconds a record holds whose line does not say.
const TTL: u32 = 60;

/// The records of a file.
#[derive(Clone, Debug, Default)]
pub struct Zone(Vec<Record>);

#[derive(Clone, Debug)]
struct Record {
    name: String,
    ttl_secs: u32,
    data: Data,
}

#[derive(Clone, Debug)]
enum Data {
    Address(IpAddr),
    Alias(String),
    Srv(Srv),
    Naptr(Naptr),
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

/// The words of a line, up to a comment; one in quotes may be empty or have spaces.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut rest) = (Vec::new(), line.trim_start());
    loop {
        if rest.is_empty() || rest.starts_with(';') {
            return Some(words);
        }
        let (word, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(
                rest.find(|c: char| c.is_whitespace() || c == ';')
                    .unwrap_or(rest.len()),
            ),
        };
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
}

impl Zone {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ZoneError`]: the first line that is no record.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        let mut records = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let at = |what: String| ZoneError {
                line: number + 1,
                what,
            };
            if number >= MOST_LINES {
                return Err(at(format!("there are more than {MOST_LINES} lines")));
            }
            let words = words(line).ok_or_else(|| at("a quote is not closed".to_owned()))?;
            if !words.is_empty() {
                records.push(Record::read(&words).map_err(at)?);
            }
        }
        Ok(Self(records))
    }

    /// What is there for a name, behind the aliases that it may be.
    fn find<T>(&self, name: &str, read: impl Fn(&Data) -> Option<T>) -> Said<T> {
        let mut name = canonical(name);
        let mut ttl_secs = TTL;
        // As many steps as there are records, so that a ring of aliases ends.
        for _ in 0..self.0.len() {
            let own = |record: &&Record| record.name == name;
            let alias = self.0.iter().filter(own).find_map(|record| match &record.data {
                Data::Alias(other) => Some((other.clone(), record.ttl_secs)),
                _ => None,
            });
            let Some((other, alias_ttl)) = alias else { break };
            ttl_secs = ttl_secs.min(alias_ttl);
            name = other;
        }
        let mut records = Vec::new();
        for record in self.0.iter().filter(|record| record.name == name) {
            if let Some(found) = read(&record.data) {
                ttl_secs = ttl_secs.min(record.ttl_secs);
                records.push(found);
            }
        }
        Said {
            records,
            ttl_secs,
            failed: false,
        }
    }
}

impl Record {
    fn read(words: &[String]) -> Result<Self, String> {
        let mut rest = words.iter().skip(1).map(String::as_str).peekable();
        let mut ttl_secs = TTL;
        while let Some(word) =
            rest.next_if(|word| word.eq_ignore_ascii_case("IN") || word.parse::<u32>().is_ok())
        {
            ttl_secs = word.parse().unwrap_or(ttl_secs);
        }
        let kind = rest.next().unwrap_or_default().to_ascii_uppercase();
        let data: Vec<_> = rest.collect();
        Ok(Self {
            name: canonical(&words[0]),
            ttl_secs,
            data: Data::read(&kind, &data)?,
        })
    }
}

impl Data {
    fn read(kind: &str, data: &[&str]) -> Result<Self, String> {
        let no = |what: &str| format!("`{}` is no {what}", data.join(" "));
        let number = |text: &str| {
            text.parse::<u16>()
                .map_err(|_| format!("`{text}` is no number below 65536"))
        };
        Ok(match (kind, data) {
            ("A", [ip]) => Self::Address(ip.parse::<Ipv4Addr>().map_err(|_| no("IPv4 address"))?.into()),
            ("AAAA", [ip]) => Self::Address(ip.parse::<Ipv6Addr>().map_err(|_| no("IPv6 address"))?.into()),
            ("CNAME", [other]) => Self::Alias(canonical(other)),
            ("SRV", [priority, weight, port, target]) => Self::Srv(Srv {
                priority: number(priority)?,
                weight: number(weight)?,
                port: number(port)?,
                target: canonical(target),
            }),
            ("NAPTR", [order, preference, flags, service, regexp, replacement]) => Self::Naptr(Naptr {
                order: number(order)?,
                preference: number(preference)?,
                flags: (*flags).to_owned(),
                service: (*service).to_owned(),
                regexp: (*regexp).to_owned(),
                replacement: canonical(replacement),
            }),
            ("A" | "AAAA" | "CNAME", _) => return Err(format!("{kind} has one value")),
            ("SRV", _) => return Err("SRV has priority, weight, port and target".to_owned()),
            ("NAPTR", _) => {
                return Err(
                    "NAPTR has order, preference, \"flags\", \"service\", \"regexp\" and replacement"
                        .to_owned(),
                );
            }
            _ => return Err(format!("`{kind}` is none of A, AAAA, CNAME, SRV and NAPTR")),
        })
    }
}

impl Records for Zone {
    fn local(&self, _: &str) -> Vec<IpAddr> {
        Vec::new()
    }

    async fn naptr(&self, name: &str) -> Said<Naptr> {
        self.find(name, |data| match data {
            Data::Naptr(naptr) => Some(naptr.clone()),
            _ => None,
        })
    }

    async fn srv(&self, name: &str) -> Said<Srv> {
        self.find(name, |data| match data {
            Data::Srv(srv) => Some(srv.clone()),
            _ => None,
        })
    }

    async fn a(&self, name: &str) -> Said<IpAddr> {
        self.find(name, |data| match data {
            Data::Address(ip @ IpAddr::V4(_)) => Some(*ip),
            _ => None,
        })
    }

    async fn aaaa(&self, name: &str) -> Said<IpAddr> {
        self.find(name, |data| match data {
            Data::Address(ip @ IpAddr::V6(_)) => Some(*ip),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_zone_files_have_them() {
        let zone = Zone::parse(
            "; a comment\n\
             Example.test. 300 IN NAPTR 10 50 \"s\" \"SIP+D2U\" \"\" _sip._udp.example.test.\n\
             _sip._udp.example.test IN 20 SRV 1 2 5070 one.test ; the first\n\
             one.test CNAME two.test\n\
             two.test A 192.0.2.1\n\
             two.test AAAA 2001:db8::1\n\
             ring.test CNAME ring.test\n",
        )
        .expect("a zone");
        let addresses = zone.find("ONE.test.", |data| match data {
            Data::Address(ip) => Some(ip.to_string()),
            _ => None,
        });
        assert_eq!(addresses.records, ["192.0.2.1", "2001:db8::1"]);
        let srv = zone.find("_sip._udp.example.test", |data| match data {
            Data::Srv(srv) => Some((srv.port, srv.target.clone())),
            _ => None,
        });
        assert_eq!(
            (srv.records, srv.ttl_secs),
            (vec![(5070, "one.test".to_owned())], 20)
        );
        assert!(zone.find("ring.test", |data| Some(format!("{data:?}"))).ttl_secs > 0);
    }

    #[test]
    fn what_is_no_record_is_told_with_its_line() {
        for (text, line) in [
            ("a.test A 192.0.2.1\nb.test A 192.0.2", 2),
            ("a.test", 1),
            ("a.test TXT x", 1),
            ("a.test SRV 1 2 70000 b.test", 1),
            ("a.test SRV 1 2 3", 1),
            ("a.test NAPTR 1 2 \"s SIP+D2U", 1),
            ("a.test AAAA 192.0.2.1", 1),
        ] {
            assert_eq!(
                Zone::parse(text).map_err(|error| error.line).err(),
                Some(line),
                "{text}"
            );
        }
        let many = "a.test A 192.0.2.1\n".repeat(MOST_LINES + 1);
        assert!(Zone::parse(&many).is_err());
    }
}
