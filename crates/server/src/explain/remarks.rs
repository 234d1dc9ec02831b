//! What is malformed or odd about a message, and what becomes of that: remarks, each with the clause that it is about.

use serde::{Deserialize, Serialize};
use strowger_sip::Source;
use strowger_syntax::header::*;
use strowger_syntax::message::Rport;
use strowger_syntax::{Header, Index, Message, Name};

use crate::node::trace::text;

/// How much a remark matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// It is about the file that the message was given in.
    Given,
    /// It is allowed, and worth knowing.
    Odd,
    /// It breaks a rule.
    Wrong,
}

/// A remark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// How much it matters.
    pub weight: Weight,
    /// The clause that it is about.
    pub clause: String,
    /// What there is, and what becomes of it.
    pub what: String,
}

impl Remark {
    pub(super) fn new(weight: Weight, clause: &str, what: impl Into<String>) -> Self {
        Self {
            weight,
            clause: clause.to_owned(),
            what: what.into(),
        }
    }
}

/// Adds the remarks on a message that came so.
pub(super) fn add(bytes: &[u8], index: &Index, source: &Source, remarks: &mut Vec<Remark>) {
    let message = Message::view(bytes, index);
    if index.start_line().is_none() {
        return whole(bytes, remarks);
    }
    on_framing(bytes, message, source, remarks);
    on_lines(message, remarks);
    on_values(message, remarks);
    if message.is_request() {
        on_request(message, source, remarks);
    }
}

/// What can be said of what is no message.
fn whole(bytes: &[u8], remarks: &mut Vec<Remark>) {
    let mut say = |clause, what: &str| remarks.push(Remark::new(Weight::Wrong, clause, what));
    if bytes.is_empty() {
        say("RFC 3261 §7", "there is nothing");
    } else if bytes.iter().all(|byte| b"\r\n\0".contains(byte)) {
        say(
            "RFC 3261 §7.5",
            "there are empty lines only: a keep-alive, which by UDP is not answered",
        );
    } else if bytes.starts_with(b"\r\n") {
        say(
            "RFC 3261 §7.5",
            "it begins with an empty line, which is passed over on connections only: a datagram is one message",
        );
    } else {
        let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or(bytes);
        let shown = text(&first[..first.len().min(80)]);
        let what = format!("`{}` is no Request-Line and no Status-Line", shown.escape_debug());
        say("RFC 3261 §7", &what);
    }
}

fn on_framing(bytes: &[u8], message: Message<'_>, source: &Source, remarks: &mut Vec<Remark>) {
    let behind = bytes.len().saturating_sub(message.bytes().len());
    let mut odd = |clause, what: String| remarks.push(Remark::new(Weight::Odd, clause, what));
    if behind > 0 && message.has(Name::ContentLength) {
        odd(
            "RFC 3261 §18.3",
            format!("{behind} bytes behind the body are left out, as Content-Length says"),
        );
    }
    if !message.has(Name::ContentLength) && source.flow.is_none() {
        odd(
            "RFC 3261 §20.14",
            "there is no Content-Length: the body reaches to the end of the datagram, and the copy gets one"
                .to_owned(),
        );
    }
    if message.body().is_empty() && message.has(Name::ContentType) {
        odd(
            "RFC 3261 §20.15",
            "Content-Type is of a body that is not there".to_owned(),
        );
    }
}

/// How the lines are written.
fn on_lines(message: Message<'_>, remarks: &mut Vec<Remark>) {
    let mut odd = |clause, what: String| remarks.push(Remark::new(Weight::Odd, clause, what));
    let names = |names: &mut dyn Iterator<Item = String>| {
        let mut all: Vec<_> = names.collect();
        all.dedup();
        all.join(", ")
    };
    let compact = message.fields().filter(|field| field.text.len() == 1);
    let compact = names(&mut compact.map(|field| format!("{} is {}", text(field.text), field.name.as_str())));
    if !compact.is_empty() {
        odd("RFC 3261 §7.3.3", format!("compact names: {compact}"));
    }
    let folded = message.fields().filter(|field| field.value.contains(&b'\n'));
    let folded = names(&mut folded.map(|field| text(field.text)));
    if !folded.is_empty() {
        odd(
            "RFC 3261 §7.3.1",
            format!("folded over several lines: {folded}; left as they are"),
        );
    }
    let unknown = message.fields().filter(|field| field.name == Name::Other);
    let unknown = names(&mut unknown.map(|field| text(field.text)));
    if !unknown.is_empty() {
        odd(
            "RFC 3261 §16.6 step 1",
            format!("not known here and passed on as they are: {unknown}"),
        );
    }
    let once = |name: &Name| name.multiplicity() == Multiplicity::Single;
    let again = Name::KNOWN.iter().filter(|name| once(name));
    let again = again.filter(|name| message.fields_of(**name).nth(1).is_some());
    let again = names(&mut again.map(|name| name.as_str().to_owned()));
    if !again.is_empty() {
        odd(
            "RFC 3261 §7.3.1",
            format!("may be there once and is there again; the first counts: {again}"),
        );
    }
}

/// What is required of a request beside what it takes to read it.
fn on_request(message: Message<'_>, source: &Source, remarks: &mut Vec<Remark>) {
    let mut say = |weight, clause, what: String| remarks.push(Remark::new(weight, clause, what));
    if !message.has(Name::MaxForwards) {
        say(
            Weight::Wrong,
            "RFC 3261 §16.6 step 3",
            "there is no Max-Forwards; what is forwarded gets 70".to_owned(),
        );
    }
    match message.branch() {
        Some(branch) if branch.starts_with(b"z9hG4bK") => {}
        _ => say(
            Weight::Odd,
            "RFC 3261 §17.2.3",
            "the branch of the top Via does not begin with z9hG4bK: its transaction is found as RFC 2543 has it"
                .to_owned(),
        ),
    }
    if message.from_tag().is_none() && message.has(Name::From) {
        say(
            Weight::Wrong,
            "RFC 3261 §8.1.1.3",
            "From has no tag: it is of RFC 2543, and no dialog of it can be told from others".to_owned(),
        );
    }
    let via = message.via();
    if let Some(transport) = via.transport.filter(|transport| *transport != source.transport) {
        let what = format!(
            "the top Via says {}, and it came by {}: answers go by what it came by",
            transport.as_str(),
            source.transport.as_str()
        );
        say(Weight::Odd, "RFC 3261 §18.2.2", what);
    }
    let host = text(message.sent_by_host());
    let same = strowger_sip::transport::via::host_ip(message.sent_by_host()) == Some(source.remote.ip());
    if !same && !host.is_empty() {
        let what = format!(
            "the top Via names {host}, and it comes from {}: it is told so with received",
            source.remote.ip()
        );
        say(Weight::Odd, "RFC 3261 §18.2.1", what);
    }
    if matches!(via.rport, Rport::Asked(_)) {
        let what = format!("the top Via asks for rport and gets {}", source.remote.port());
        say(Weight::Odd, "RFC 3581 §4", what);
    }
}

macro_rules! check {
    ($message:ident, $say:ident, $($type:ty,)*) => {
        $(for value in $message.all::<$type>() {
            if let Err(error) = value {
                $say(<$type as Header<'_>>::NAME, error.what);
            }
        })*
    };
}

/// The values whose grammar is known.
fn on_values(message: Message<'_>, remarks: &mut Vec<Remark>) {
    let mut say = |name: Name, what: &str| {
        let what = format!(
            "{}: {what}; it stays as it is where it is not needed",
            name.as_str()
        );
        remarks.push(Remark::new(Weight::Wrong, "RFC 3261 §25.1", what));
    };
    check! { message, say,
        Date, Expires, MaxBreadth, MaxForwards, MinExpires, RSeq,
        Accept<'_>, AcceptContact<'_>, AcceptEncoding<'_>, AcceptLanguage<'_>, AlertInfo<'_>, Allow<'_>, AllowEvents<'_>,
        AuthenticationInfo<'_>, Authorization<'_>, CallInfo<'_>, Contact<'_>, ContentDisposition<'_>, ContentEncoding<'_>,
        ContentLanguage<'_>, ContentType<'_>, ErrorInfo<'_>, Event<'_>, InReplyTo<'_>, MimeVersion<'_>, MinSe<'_>,
        PAssertedIdentity<'_>, PPreferredIdentity<'_>, Path<'_>, Priority<'_>, Privacy<'_>,
    }
    check! { message, say,
        ProxyAuthenticate<'_>, ProxyAuthorization<'_>, ProxyRequire<'_>, RAck<'_>, Reason<'_>, RecordRoute<'_>, ReferTo<'_>,
        ReferredBy<'_>, RejectContact<'_>, Replaces<'_>, ReplyTo<'_>, RequestDisposition<'_>, Require<'_>, RetryAfter<'_>,
        Route<'_>, ServiceRoute<'_>, SessionExpires<'_>, SubscriptionState<'_>, Supported<'_>, Timestamp<'_>,
        Unsupported<'_>, Via<'_>, Warning<'_>, WwwAuthenticate<'_>,
    }
}
