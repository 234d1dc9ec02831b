//! What is to be explained: a message, and how it comes. What nobody said of that is assumed, and told.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use strowger_sip::transport::{Listener, Listeners, via};
use strowger_sip::{Flow, Now, Source};
use strowger_syntax::{Index, Limits, Message, Transport};

use super::remarks::{Remark, Weight};
use crate::node::trace::place;

/// The connection that a message is said to come by.
const CONNECTION: Flow = Flow {
    shard: 0,
    index: u32::MAX,
    generation: 0,
};

/// What is asked for, but for the message, as it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances<'a> {
    /// `ADDR:PORT`: where the message comes from.
    pub source: Option<&'a str>,
    /// The listener that it comes to, as `udp:192.0.2.1:5060`.
    pub listener: Option<&'a str>,
    /// When: Unix seconds, `2026-11-27T23:00:00Z`, or from now as `+10m`.
    pub at: Option<&'a str>,
    /// The user whose right credentials it would have if they were asked for.
    pub user: Option<&'a str>,
}

/// A message that is to be explained.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its bytes, as they would come.
    pub bytes: Vec<u8>,
    /// How it comes.
    pub source: Source,
    /// When.
    pub now: Now,
    /// The user whose right credentials it would have if they were asked for.
    pub user: Option<String>,
    /// What nobody said, and how it was chosen.
    pub assumed: Vec<String>,
    /// What was odd about how it was given.
    pub remarks: Vec<Remark>,
}

/// Why it can't be told what is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub mend: String,
}

impl Asked {
    /// Makes sense of what is asked for. `given` is a file's content: one whose lines all end with LF gets those of SIP.
    ///
    /// # Errors
    /// [`Unclear`]: the source, the listener or the time is none.
    pub fn of(
        given: &[u8],
        wanted: &Circumstances<'_>,
        listeners: &Listeners,
        now: Now,
    ) -> Result<Self, Unclear> {
        let (mut assumed, mut remarks) = (Vec::new(), Vec::new());
        let bytes = match with_crlf(given) {
            Cow::Borrowed(bytes) => bytes.to_owned(),
            Cow::Owned(bytes) => {
                remarks.push(Remark::new(
                    Weight::Given,
                    "RFC 3261 §7",
                    "the file's lines end with LF alone; it is explained as if they ended with CRLF",
                ));
                bytes
            }
        };
        let now = match wanted.at {
            Some(at) => shifted(now, at)?,
            None => now,
        };
        let mut index = Index::default();
        let _ = index.parse(&bytes, &Limits::DEFAULT).is_ok();
        let message = Message::view(&bytes, &index);
        let remote = match wanted.source {
            Some(text) => source(text)?,
            None => source_of(message, &bytes, listeners, &mut assumed),
        };
        let transport = message.via().transport.filter(|_| message.is_request());
        let number = match wanted.listener {
            Some(text) => find_listener(text, listeners)?,
            None => likely_listener(transport, remote.ip(), listeners, &mut assumed)?,
        };
        let Some(listener) = listeners.get(number) else {
            return Err(no_listener());
        };
        let ip = listeners
            .local(number, remote.ip())
            .unwrap_or_else(|| listener.address.ip());
        let source = Source {
            transport: listener.transport,
            listener: number,
            local: SocketAddr::new(ip, listener.address.port()),
            remote,
            flow: listener.transport.is_reliable().then_some(CONNECTION),
        };
        Ok(Self {
            bytes,
            source,
            now,
            user: wanted.user.map(str::to_owned),
            assumed,
            remarks,
        })
    }
}

fn no_listener() -> Unclear {
    Unclear {
        what: "there is no listener that the message could come to".to_owned(),
        mend: "configure one with [[listen]]".to_owned(),
    }
}

/// A file whose lines all end with LF, as a message. One with a CRLF in its head is what it is.
fn with_crlf(given: &[u8]) -> Cow<'_, [u8]> {
    let head = memchr_pair(given).map_or(given.len(), |end| end + 2);
    let bare = given[..head].contains(&b'\n') && !given[..head].windows(2).any(|two| two == b"\r\n");
    if !bare {
        return Cow::Borrowed(given);
    }
    let mut bytes = Vec::with_capacity(given.len() + 64);
    put_with_crlf(&given[..head], &mut bytes);
    let body = &given[head..];
    let mut longer = Vec::new();
    put_with_crlf(body, &mut longer);
    // Whoever wrote the Content-Length had seen the body with CRLF, or has not.
    bytes.extend_from_slice(if content_length(&bytes) == Some(longer.len()) {
        &longer
    } else {
        body
    });
    Cow::Owned(bytes)
}

fn memchr_pair(given: &[u8]) -> Option<usize> {
    given.windows(2).position(|two| two == b"\n\n")
}

fn put_with_crlf(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        if byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(byte);
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let mut index = Index::default();
    // The body is not there yet, so it is bound to be found wanting.
    let _ = index.parse(head, &Limits::DEFAULT).is_ok();
    let value = Message::view(head, &index).first(strowger_syntax::Name::ContentLength)?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn source(text: &str) -> Result<SocketAddr, Unclear> {
    let with_port = text.parse().ok();
    let alone = || {
        text.trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .ok()
            .map(|ip| SocketAddr::new(ip, 5060))
    };
    with_port.or_else(alone).ok_or_else(|| Unclear {
        what: format!("`{text}` is not where a message can come from"),
        mend: "write an address with its port, as 192.0.2.7:5060 or [2001:db8::7]:5060".to_owned(),
    })
}

/// Where a message most likely comes from: what its top Via says, if that is an address.
fn source_of(
    message: Message<'_>,
    bytes: &[u8],
    listeners: &Listeners,
    assumed: &mut Vec<String>,
) -> SocketAddr {
    let via = message.via();
    let written = via::written_address(via, bytes).filter(|_| message.is_request());
    if let Some(address) = written.filter(|address| !address.ip().is_unspecified() && address.port() != 0) {
        assumed.push(format!("the source, {address}, is what the top Via says"));
        return address;
    }
    let first = listeners.all().first().map(|listener| listener.address.ip());
    let ip = match first {
        Some(ip @ IpAddr::V6(_)) if ip.is_loopback() => ip,
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let address = SocketAddr::new(ip, 5060);
    assumed.push(format!(
        "the source, {address}, is made up, for the top Via names no address; see --source"
    ));
    address
}

fn find_listener(text: &str, listeners: &Listeners) -> Result<u16, Unclear> {
    let written = |listener: &Listener| place(listener.transport, listener.address);
    let fits = |listener: &Listener| written(listener) == text || listener.transport.uri_param() == text;
    let all = listeners.all();
    match all.iter().position(fits) {
        Some(number) => Ok(number as u16),
        None => Err(Unclear {
            what: format!("there is no listener {text}"),
            mend: format!(
                "name one of these: {}",
                all.iter().map(written).collect::<Vec<_>>().join(", ")
            ),
        }),
    }
}

/// The first listener of the transport that the source can reach, or what comes closest to it.
fn likely_listener(
    transport: Option<Transport>,
    from: IpAddr,
    listeners: &Listeners,
    assumed: &mut Vec<String>,
) -> Result<u16, Unclear> {
    let by = |listener: &Listener| transport.is_none_or(|transport| listener.transport == transport);
    let near = |listener: &Listener| {
        let bound = listener.address.ip();
        let same = bound.is_ipv4() == from.is_ipv4();
        same && (bound.is_unspecified() || bound.is_loopback() == from.is_loopback())
    };
    let all = listeners.all();
    let place_of = |wanted: &dyn Fn(&Listener) -> bool| all.iter().position(wanted);
    let number = place_of(&|listener| by(listener) && near(listener))
        .or_else(|| place_of(&by))
        .or_else(|| place_of(&near))
        .unwrap_or_default();
    let listener = all.get(number).ok_or_else(no_listener)?;
    if all.len() > 1 {
        let uri = place(listener.transport, listener.address);
        assumed.push(format!(
            "the listener, {uri}, is the first that fits; see --listener"
        ));
    }
    Ok(number as u16)
}

/// Whether a time can be understood as that at which a message comes, see [`Circumstances::at`].
///
/// # Errors
///
/// What is wrong with it.
pub fn check_time(at: &str, now: Now) -> Result<(), Unclear> {
    shifted(now, at).map(drop)
}

/// The clocks at another time: both of them for one to come, the wall's for one that has been.
fn shifted(now: Now, at: &str) -> Result<Now, Unclear> {
    let wall_ms = moment(at, now.wall_ms).ok_or_else(|| Unclear {
        what: format!("`{at}` is no time"),
        mend: "write Unix seconds, 2026-11-27T23:00:00Z, or how long from now: +90s, +10m, +2h, +3d, -1h"
            .to_owned(),
    })?;
    let ahead_ms = wall_ms.saturating_sub(now.wall_ms);
    Ok(Now {
        mono_ns: now.mono_ns.saturating_add(ahead_ms.saturating_mul(1_000_000)),
        wall_ms,
    })
}

/// The most seconds since the epoch that bindings can have.
const LAST_SECOND: u64 = u32::MAX as u64;

fn moment(at: &str, now_ms: u64) -> Option<u64> {
    let secs = if let Some(span) = at.strip_prefix('+') {
        (now_ms / 1000).checked_add(seconds(span)?)?
    } else if let Some(span) = at.strip_prefix('-') {
        (now_ms / 1000).checked_sub(seconds(span)?)?
    } else if at.bytes().all(|byte| byte.is_ascii_digit()) {
        at.parse().ok()?
    } else {
        of_date(at)?
    };
    (secs <= LAST_SECOND).then_some(secs * 1000)
}

fn seconds(span: &str) -> Option<u64> {
    let unit = span.chars().last()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return span.parse().ok(),
    };
    span[..span.len() - 1].parse::<u64>().ok()?.checked_mul(factor)
}

/// `2026-11-27T23:00:00Z` as Unix seconds.
fn of_date(text: &str) -> Option<u64> {
    let digits = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let marks = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"), (19, "Z")];
    if text.len() != 20 || !marks.iter().all(|&(at, mark)| text.get(at..=at) == Some(mark)) {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    let is_time = hour < 24 && minute < 60 && second < 60;
    if !is_time || year < 1970 {
        return None;
    }
    // Of the days near to where it must be, the one that has this date.
    let near = (year - 1970) * 365 + (year - 1969) / 4 + (month.checked_sub(1)?) * 30;
    let day = (near.saturating_sub(4)..near + 40)
        .find(|&days| strowger_sip::time::civil(days) == (year, month, day))?;
    Some(day * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_three_ways() {
        let now_ms = 1_764_000_000_500;
        for (text, expected) in [
            ("1764000060", Some(1_764_000_060)),
            ("+90s", Some(1_764_000_090)),
            ("+2h", Some(1_764_007_200)),
            ("-1d", Some(1_763_913_600)),
            ("+5", Some(1_764_000_005)),
            ("2025-11-24T16:00:00Z", Some(1_764_000_000)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2100-02-28T23:59:59Z", Some(4_107_542_399)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800)),
            ("2023-02-29T00:00:00Z", None),
            ("2024-00-10T00:00:00Z", None),
            ("2025-11-24 16:00:00Z", None),
            ("2025-11-24T25:00:00Z", None),
            ("99999999999999999999", None),
            ("+99999999999999999d", None),
            ("-99999999999d", None),
            ("soon", None),
            ("+", None),
            ("", None),
            (
                "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
                None,
            ),
        ] {
            assert_eq!(moment(text, now_ms).map(|ms| ms / 1000), expected, "{text}");
        }
    }

    #[test]
    fn a_file_gets_the_line_ends_of_sip_only_if_it_has_none() {
        let same = |text: &str| assert!(matches!(with_crlf(text.as_bytes()), Cow::Borrowed(_)), "{text:?}");
        same("A\r\nB\r\n\r\nbody\n\n");
        same("A\r\nB\nC\r\n\r\n");
        same("no line at all");
        same("");
        let changed = |text: &str| String::from_utf8(with_crlf(text.as_bytes()).into_owned()).expect("ASCII");
        assert_eq!(changed("A\nB: c\n\nbo\ndy"), "A\r\nB: c\r\n\r\nbo\ndy");
        assert_eq!(
            changed("OPTIONS sip:a SIP/2.0\nl: 4\n\nx\ny"),
            "OPTIONS sip:a SIP/2.0\r\nl: 4\r\n\r\nx\r\ny"
        );
        assert_eq!(changed("A\nB"), "A\r\nB");
    }
}
