//! Writing a NOTIFY (RFC 6665 §4.2.2) as a request within its dialog (RFC 3261 §12.2.1.1).

use strowger_syntax::header::NameAddr;
use strowger_syntax::message::ListItems;
use strowger_syntax::scan::put_number;
use strowger_syntax::{Name, Uri};

use super::course::End;
use super::dialog::Dialog;
use super::subscribe::Package;

/// How a subscription is (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was accepted, and goes on.
    Active,
    /// It goes on, but the subscriber is told nothing yet.
    Pending,
    /// It is over.
    Terminated(End),
}

/// What a NOTIFY says beside its dialog.
#[derive(Clone, Copy, Debug)]
pub struct Notify<'a> {
    /// What it is about.
    pub package: Package,
    /// The `id` of the subscription's Event.
    pub id: &'a [u8],
    /// How the subscription is.
    pub standing: Standing,
    /// For how many more seconds the subscription lasts.
    pub left_secs: u64,
    /// The body.
    pub body: &'a [u8],
}

/// Appends a NOTIFY. `via` appends the value of Via, `contact` the URI at which we are reached. The number of the dialog's
/// last request is that of this one.
pub fn write_notify(
    dialog: &Dialog,
    notify: &Notify<'_>,
    via: impl FnOnce(&mut Vec<u8>),
    contact: impl FnOnce(&mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    let route = Route::of(dialog);
    out.extend_from_slice(b"NOTIFY ");
    out.extend_from_slice(route.request_uri);
    out.extend_from_slice(b" SIP/2.0\r\nVia: ");
    via(out);
    out.extend_from_slice(b"\r\nMax-Forwards: 70\r\n");
    route.write(dialog, out);
    let line = |name: Name, value: &[u8], out: &mut Vec<u8>| {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    };
    line(Name::From, &dialog.local, out);
    line(Name::To, &dialog.remote, out);
    line(Name::CallId, &dialog.call_id, out);
    out.extend_from_slice(b"CSeq: ");
    put_number(out, u64::from(dialog.local_cseq));
    out.extend_from_slice(b" NOTIFY\r\nContact: <");
    contact(out);
    out.extend_from_slice(b">\r\nEvent: ");
    out.extend_from_slice(notify.package.name().as_bytes());
    if !notify.id.is_empty() {
        out.extend_from_slice(b";id=");
        out.extend_from_slice(notify.id);
    }
    out.extend_from_slice(b"\r\nSubscription-State: ");
    match notify.standing {
        Standing::Active | Standing::Pending => {
            let is_active = notify.standing == Standing::Active;
            out.extend_from_slice(if is_active { b"active" } else { b"pending" });
            out.extend_from_slice(b";expires=");
            put_number(out, notify.left_secs);
        }
        Standing::Terminated(end) => {
            out.extend_from_slice(b"terminated;reason=");
            out.extend_from_slice(end.as_str().as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    if !notify.body.is_empty() {
        line(Name::ContentType, notify.package.media_type().as_bytes(), out);
    }
    out.extend_from_slice(b"Content-Length: ");
    put_number(out, notify.body.len() as u64);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(notify.body);
}

/// Where a request within a dialog is addressed to, and what is left of the route set for its Route.
struct Route<'a> {
    request_uri: &'a [u8],
    /// The first hop is a strict router: its URI has become the Request-URI, and the target comes last.
    strict: bool,
}

impl<'a> Route<'a> {
    fn of(dialog: &'a Dialog) -> Self {
        match first_route(&dialog.route_set) {
            Some(first) if !is_loose(&first) => Self {
                request_uri: first.uri_text,
                strict: true,
            },
            _ => Self {
                request_uri: &dialog.remote_target,
                strict: false,
            },
        }
    }

    fn write(&self, dialog: &Dialog, out: &mut Vec<u8>) {
        let skipped = usize::from(self.strict);
        let mut between = &b"Route: "[..];
        for (element, _) in ListItems::new(&dialog.route_set).skip(skipped) {
            out.extend_from_slice(between);
            out.extend_from_slice(element);
            between = b", ";
        }
        if self.strict {
            out.extend_from_slice(between);
            out.push(b'<');
            out.extend_from_slice(&dialog.remote_target);
            out.push(b'>');
            between = b", ";
        }
        if between == b", " {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The URI that says where requests within a dialog go first, if its route set does.
pub fn next_hop(dialog: &Dialog) -> Option<&[u8]> {
    first_route(&dialog.route_set).map(|first| first.uri_text)
}

/// The first element of a route set.
fn first_route(route_set: &[u8]) -> Option<NameAddr<'_>> {
    let (first, _) = ListItems::new(route_set).next()?;
    NameAddr::parse(first).ok()
}

fn is_loose(route: &NameAddr<'_>) -> bool {
    matches!(&route.uri, Uri::Sip(sip) if sip.params.has(b"lr"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(route_set: &str, notify: &Notify<'_>) -> String {
        let dialog = Dialog {
            call_id: (*b"1@a").into(),
            local: (*b"<sip:a@example.test>;tag=x").into(),
            remote: (*b"\"A\" <sip:a@example.test>;tag=y").into(),
            remote_target: (*b"sip:a@192.0.2.7").into(),
            route_set: route_set.as_bytes().into(),
            local_cseq: 4,
            ..Dialog::default()
        };
        let mut out = Vec::new();
        write_notify(
            &dialog,
            notify,
            |out| out.extend_from_slice(b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
            |out| out.extend_from_slice(b"sip:192.0.2.1"),
            &mut out,
        );
        String::from_utf8(out).expect("text")
    }

    const ACTIVE: Notify<'_> = Notify {
        package: Package::Registration,
        id: b"7",
        standing: Standing::Active,
        left_secs: 55,
        body: b"<reginfo/>",
    };

    #[test]
    fn rfc_6665_section_4_2_2_a_notify_says_how_the_subscription_is() {
        let text = written("", &ACTIVE);
        assert_eq!(
            text,
            "NOTIFY sip:a@192.0.2.7 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             From: <sip:a@example.test>;tag=x\r\nTo: \"A\" <sip:a@example.test>;tag=y\r\nCall-ID: 1@a\r\n\
             CSeq: 4 NOTIFY\r\nContact: <sip:192.0.2.1>\r\nEvent: reg;id=7\r\n\
             Subscription-State: active;expires=55\r\nContent-Type: application/reginfo+xml\r\n\
             Content-Length: 10\r\n\r\n<reginfo/>"
        );
        let last = Notify {
            standing: Standing::Terminated(End::Deactivated),
            body: b"",
            ..ACTIVE
        };
        let text = written("", &last);
        assert!(
            text.contains("\r\nSubscription-State: terminated;reason=deactivated\r\n"),
            "{text}"
        );
        assert!(!text.contains("Content-Type"), "{text}");
    }

    #[test]
    fn rfc_3261_section_12_2_1_1_the_route_set_is_followed() {
        let loose = written("<sip:p1;lr>,\"B, b\" <sip:p2;lr>;x=1", &ACTIVE);
        assert!(loose.starts_with("NOTIFY sip:a@192.0.2.7 SIP/2.0\r\n"), "{loose}");
        assert!(
            loose.contains("\r\nRoute: <sip:p1;lr>, \"B, b\" <sip:p2;lr>;x=1\r\n"),
            "{loose}"
        );
        let strict = written("<sip:p1>,<sip:p2;lr>", &ACTIVE);
        assert!(strict.starts_with("NOTIFY sip:p1 SIP/2.0\r\n"), "{strict}");
        assert!(
            strict.contains("\r\nRoute: <sip:p2;lr>, <sip:a@192.0.2.7>\r\n"),
            "{strict}"
        );
        let only = written("<sip:p1>", &ACTIVE);
        assert!(only.contains("\r\nRoute: <sip:a@192.0.2.7>\r\n"), "{only}");
    }
}
