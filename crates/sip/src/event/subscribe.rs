//! What a SUBSCRIBE asks for (RFC 6665 §4.2.1.1), as a pure function: request in, what is granted or the refusal out.

use strowger_syntax::header::{Accept, Contact, Event, RecordRoute};
use strowger_syntax::scan::{number, trim};
use strowger_syntax::{Message, Name, Status, Uri};

use crate::reject::{Extra, Reject};

/// So many bytes that are kept of a SUBSCRIBE may be there: from two to four times what those have that come by several proxies.
const MOST_BYTES: usize = 4096;

/// An event package that is served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Package {
    /// `reg`: the registrations of an address-of-record (RFC 3680).
    Registration,
}

impl Package {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Registration];

    /// Its name (RFC 6665 §7.2).
    pub fn name(self) -> &'static str {
        match self {
            Self::Registration => "reg",
        }
    }

    /// The package of a name.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|package| package.name().as_bytes() == name)
    }

    /// The type of what it tells.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Registration => "application/reginfo+xml",
        }
    }

    /// How long a subscription lasts that does not say it, in seconds.
    fn default_secs(self) -> u32 {
        match self {
            Self::Registration => 3761,
        }
    }

    fn is_accepted(self, accept: &Accept<'_>) -> bool {
        let (kind, subtype) = self.media_type().split_once('/').unwrap_or_default();
        accept.covers(kind.as_bytes(), subtype.as_bytes())
    }
}

/// How long subscriptions may last, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durations {
    /// The shortest one; of no effect from one hour on.
    pub min: u32,
    /// The longest one: longer ones are cut to it.
    pub max: u32,
}

impl Default for Durations {
    fn default() -> Self {
        Self { min: 60, max: 7200 }
    }
}

/// What a SUBSCRIBE asks for, and what is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Of what it wants to be told.
    pub package: Package,
    /// The `id` of its Event.
    pub id: &'a [u8],
    /// For how many seconds; 0 ends the subscription, or polls.
    pub secs: u32,
    /// Where it wants to be told: the URI of its Contact.
    pub contact: &'a [u8],
}

/// The package of a SUBSCRIBE, if it is served here.
pub fn package_of(request: Message<'_>) -> Option<Package> {
    let event = request.first(Name::Event)?;
    let end = memchr::memchr(b';', event).unwrap_or(event.len());
    Package::named(trim(&event[..end]))
}

/// Reads a SUBSCRIBE (RFC 6665 §4.2.1.1).
///
/// # Errors
/// 489 for a package that is not served, with those that are; 400 for what is malformed; 406 when the subscriber does not
/// understand what it would be told; 423 for too short a time; 513 for more than anybody keeps for one subscription.
pub fn asked<'a>(request: Message<'a>, durations: &Durations) -> Result<Asked<'a>, Reject> {
    let bad = |what| Reject::because(Status::BAD_REQUEST, what);
    let event = request.get::<Event<'a>>().map_err(|_| bad("Malformed Event"))?;
    let package = event.and_then(|event| Package::named(event.token));
    let (Some(event), Some(package)) = (event, package) else {
        return Err(Reject::with(Status::BAD_EVENT, Extra::AllowEvents));
    };
    if request.has(Name::Accept) {
        let accepts = |accept: Result<Accept<'_>, _>| accept.is_ok_and(|one| package.is_accepted(&one));
        if !request.all::<Accept<'_>>().any(accepts) {
            return Err(Reject::new(Status::NOT_ACCEPTABLE));
        }
    }
    let secs = granted(request, package, durations)?;
    let mut contacts = request.all::<Contact<'a>>();
    let contact = match (contacts.next(), contacts.next()) {
        (Some(Ok(Contact::Address(address))), None) if is_target(&address.uri) => address.uri_text,
        _ => return Err(bad("Contact Must Be One SIP URI")),
    };
    if request.all::<RecordRoute<'_>>().any(|route| route.is_err()) {
        return Err(bad("Malformed Record-Route"));
    }
    let id = event.id().unwrap_or(&[]);
    if kept_bytes(request, id, contact) > MOST_BYTES {
        return Err(Reject::because(
            Status::MESSAGE_TOO_LARGE,
            "Subscription Too Large",
        ));
    }
    Ok(Asked {
        package,
        id,
        secs,
        contact,
    })
}

/// Whether a Contact may be the target of a dialog: a method and headers may be in none (RFC 3261 §19.1.1), and would become parts of
/// a Request-URI.
fn is_target(uri: &Uri<'_>) -> bool {
    matches!(uri, Uri::Sip(sip) if sip.headers.is_empty() && !sip.params.has(b"method"))
}

/// How much of a SUBSCRIBE is kept with its subscription.
fn kept_bytes(request: Message<'_>, id: &[u8], contact: &[u8]) -> usize {
    let names = [Name::From, Name::To, Name::CallId, Name::RecordRoute];
    let fields = names.into_iter().flat_map(|name| request.fields_of(name));
    fields.map(|field| field.value.len()).sum::<usize>() + id.len() + contact.len()
}

/// How long it may last (RFC 6665 §4.2.1.1).
fn granted(request: Message<'_>, package: Package, durations: &Durations) -> Result<u32, Reject> {
    let asked = match request.first(Name::Expires) {
        None => package.default_secs(),
        Some(text) => match number(text) {
            Some(secs) => u32::try_from(secs).unwrap_or(u32::MAX),
            None => return Err(Reject::because(Status::BAD_REQUEST, "Malformed Expires")),
        },
    };
    if asked > 0 && asked < 3600 && asked < durations.min {
        return Err(Reject::with(
            Status::INTERVAL_TOO_BRIEF,
            Extra::MinExpires(durations.min),
        ));
    }
    Ok(asked.min(durations.max))
}

#[cfg(test)]
mod tests {
    use strowger_syntax::{Index, Limits};

    use super::*;

    fn outcome(lines: &str) -> String {
        let text = format!(
            "SUBSCRIBE sip:a@example.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1\r\n\
             From: <sip:a@example.test>;tag=1\r\nTo: <sip:a@example.test>\r\nCall-ID: 1\r\nCSeq: 1 SUBSCRIBE\r\n\
             {lines}\r\nContent-Length: 0\r\n\r\n"
        );
        let mut index = Index::default();
        let request = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request");
        match asked(request, &Durations::default()) {
            Ok(asked) => {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                let (id, contact) = (text(asked.id), text(asked.contact));
                format!("{} {id}/{} {contact}", asked.package.name(), asked.secs)
            }
            Err(reject) => format!("{} {:?}", reject.status, reject.extra),
        }
    }

    #[test]
    fn rfc_6665_section_4_2_1_1_what_is_asked_for_is_granted_or_refused() {
        let contact = "Contact: <sip:a@192.0.2.7>";
        for (lines, expected) in [
            ("Event: reg", "reg /3761 sip:a@192.0.2.7"),
            ("Event: reg;id=7\r\nExpires: 600", "reg 7/600 sip:a@192.0.2.7"),
            ("o: reg \r\nExpires: 0", "reg /0 sip:a@192.0.2.7"),
            ("Event: reg\r\nExpires: 99999999999", "reg /7200 sip:a@192.0.2.7"),
            ("Event: reg\r\nExpires: 59", "423 MinExpires(60)"),
            ("Event: reg\r\nExpires: soon", "400 Nothing"),
            ("Event: REG", "489 AllowEvents"),
            ("Event: presence", "489 AllowEvents"),
            ("Subject: no Event", "489 AllowEvents"),
            ("Event: ;", "400 Nothing"),
            ("Event: reg\r\nAccept: application/pidf+xml", "406 Nothing"),
            ("Event: reg\r\nAccept:", "406 Nothing"),
            (
                "Event: reg\r\nAccept: application/pidf+xml, application/REGINFO+xml;q=0.5",
                "reg /3761 sip:a@192.0.2.7",
            ),
            ("Event: reg\r\nAccept: */*", "reg /3761 sip:a@192.0.2.7"),
        ] {
            assert_eq!(outcome(&format!("{lines}\r\n{contact}")), expected, "{lines}");
        }
        for contact in [
            "Subject: none",
            "Contact: *",
            "Contact: <tel:+1>",
            "Contact: <sip:a@192.0.2.7>, <sip:b@192.0.2.7>",
            // RFC 3261 §19.1.1.
            "Contact: <sip:a@192.0.2.7;method=INVITE>",
            "Contact: <sip:a@192.0.2.7?Route=%3Csip:b@192.0.2.8%3E>",
            "Contact: <sip:a@192.0.2.7>\r\nRecord-Route: <<<>,;;",
        ] {
            assert_eq!(
                outcome(&format!("Event: reg\r\n{contact}")),
                "400 Nothing",
                "{contact}"
            );
        }
    }

    #[test]
    fn what_would_take_far_too_much_memory_is_refused() {
        let routes = "<sip:192.0.2.9;lr;ftag=0123456789abcdef>, ".repeat(200);
        for (id, routes) in [
            ("7".repeat(30_000), ""),
            ("7".to_owned(), routes.trim_end_matches(", ")),
        ] {
            let routes = if routes.is_empty() {
                String::new()
            } else {
                format!("\r\nRecord-Route: {routes}")
            };
            let lines = format!("Event: reg;id={id}\r\nContact: <sip:a@192.0.2.7>{routes}");
            assert_eq!(outcome(&lines), "513 Nothing");
        }
    }
}
