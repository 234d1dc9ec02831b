//! Via (RFC 3261 §20.42).

use std::net::IpAddr;

use super::{Encode, Header, HeaderError, Name, Params, Range};
use crate::Transport;
use crate::scan::{is_ws, number, port, put_number, skip_ws, token_end, trim};
use crate::uri::Host;

/// One hop.
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    /// The protocol's name and version as written; `SIP` and `2.0`, or the peer speaks something else.
    pub protocol: (&'a [u8], &'a [u8]),
    /// The transport; `None` for one we do not know.
    pub transport: Option<Transport>,
    /// The transport as written.
    pub transport_text: &'a [u8],
    /// The host of sent-by.
    pub host: Host<'a>,
    /// That host as written.
    pub host_text: &'a [u8],
    /// The port of sent-by.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// The branch parameter (§8.1.1.7).
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.params.value(b"branch").filter(|b| !b.is_empty())
    }

    /// The address the request came from (§18.2.1).
    pub fn received(&self) -> Option<IpAddr> {
        self.params.value(b"received").and_then(Host::parse_bare)?.ip()
    }

    /// The port the request came from (RFC 3581 §4); `None` too while it is only asked for.
    pub fn rport(&self) -> Option<u16> {
        self.params
            .value(b"rport")
            .and_then(number)
            .and_then(|n| u16::try_from(n).ok())
            .filter(|&n| n != 0)
    }

    /// The maddr parameter.
    pub fn maddr(&self) -> Option<Host<'a>> {
        self.params.value(b"maddr").and_then(Host::parse_bare)
    }

    /// The ttl parameter.
    pub fn ttl(&self) -> Option<u8> {
        self.params
            .value(b"ttl")
            .and_then(number)
            .and_then(|n| u8::try_from(n).ok())
    }

    fn read(value: &'a [u8]) -> Result<Self, &'static str> {
        let [name, version, transport] = sent_protocol(value).ok_or("malformed sent-protocol")?;
        let protocol = (&value[name.0..name.1], &value[version.0..version.1]);
        let transport_text = &value[transport.0..transport.1];
        let at = skip_ws(value, transport.1);
        let end = at + memchr::memchr(b';', &value[at..]).unwrap_or(value.len() - at);
        let sent_by = trim(&value[at..end]);
        let host_end = match sent_by.first() {
            Some(b'[') => memchr::memchr(b']', sent_by).ok_or("malformed sent-by")? + 1,
            _ => memchr::memchr(b':', sent_by).unwrap_or(sent_by.len()),
        };
        let host_text = trim(&sent_by[..host_end]);
        let host = Host::parse(host_text).ok_or("malformed sent-by")?;
        let port = match trim(&sent_by[host_end..]) {
            [] => None,
            [b':', text @ ..] => match port(text, skip_ws(text, 0)) {
                Some((port, end)) if end == text.len() => Some(port),
                _ => return Err("malformed port"),
            },
            _ => return Err("malformed sent-by"),
        };
        let params = Params::parse(&value[end..]).ok_or("malformed parameters")?;
        Ok(Self {
            protocol,
            transport: Transport::from_token(transport_text),
            transport_text,
            host,
            host_text,
            port,
            params,
        })
    }
}

/// The ranges of name, version and transport of a sent-protocol, which white space must follow.
pub(crate) fn sent_protocol(value: &[u8]) -> Option<[Range; 3]> {
    let [name, version] = if value.starts_with(b"SIP/2.0/") {
        [(0, 3), (4, 7)]
    } else {
        let name = token_at(value, 0)?;
        [name, token_at(value, behind_slash(value, name.1)?)?]
    };
    let transport = token_at(value, behind_slash(value, version.1)?)?;
    let spaced = value.get(transport.1).is_some_and(|&b| is_ws(b));
    spaced.then_some([name, version, transport])
}

fn token_at(value: &[u8], at: usize) -> Option<Range> {
    let end = token_end(value, at);
    (end > at).then_some((at, end))
}

fn behind_slash(value: &[u8], at: usize) -> Option<usize> {
    let slash = skip_ws(value, at);
    (value.get(slash) == Some(&b'/')).then(|| skip_ws(value, slash + 1))
}

impl<'a> Header<'a> for Via<'a> {
    const NAME: Name = Name::Via;

    fn decode(value: &'a [u8]) -> Result<Self, HeaderError> {
        Self::read(value).map_err(|what| HeaderError {
            name: Self::NAME,
            what,
        })
    }
}

impl Encode for Via<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.protocol.0);
        out.push(b'/');
        out.extend_from_slice(self.protocol.1);
        out.push(b'/');
        out.extend_from_slice(self.transport_text);
        out.push(b' ');
        self.host.encode(out);
        if let Some(port) = self.port {
            out.push(b':');
            put_number(out, u64::from(port));
        }
        self.params.encode(out);
    }
}
