//! The REGISTER that nearly all are: it refreshes the one binding that there is, and changes nothing of it but its time
//! (RFC 3261 §10.2.4). What it comes to is what the whole procedure would, in far fewer steps.

use strowger_syntax::header::{Contact, Params};
use strowger_syntax::scan::{find_near, quoted_near};
use strowger_syntax::{Message, Name};

use super::answer::put_contact;
use super::binding::{Bindings, Origin, RecordWriter};
use super::gruu::{is_secure, knows_gruu};
use super::params::is_kept;
use super::policy::Policy;
use super::register::{Changes, LARGEST_ENTRY, expires_field, order, user_agent};

/// Refreshes the only binding of a record and leaves the new record in `out`, and its Contact line in `contacts` unless that is
/// to have GRUUs; `None` when the request is any other, or something is wrong with it.
pub(super) fn refresh(
    request: Message<'_>,
    record: Bindings<'_>,
    origin: &Origin,
    policy: &Policy,
    now: u32,
    out: &mut Vec<u8>,
    contacts: &mut Vec<u8>,
) -> Option<Changes> {
    let mut heads = record.heads();
    let head = heads.next()?;
    if head.is_tombstone() || head.ends_at <= now {
        return None;
    }
    let params = params_of(request.only(Name::Contact)?, head.contact)?;
    if heads.next().is_some() || request.has(Name::Path) || is_secure(head.contact) {
        return None;
    }
    let (stored, epoch) = head.params_if_of(user_agent(request), origin, out)?;
    let same = same_params(params, stored)?;
    // Nothing of RFC 5626 §6 has changed for a binding that is known by its flow, as long as that leads here.
    if same.has_reg_id && (!head.is_outbound() || request.has_second_via()) {
        return None;
    }
    let asked = same
        .expires
        .or_else(|| expires_field(request))
        .unwrap_or(policy.default_expires);
    let expires = policy.grant(asked).filter(|expires| *expires > 0)?;
    let order = order(request);
    let same_call = order.call_id == head.order.call_id;
    if order.cseq <= head.order.cseq && same_call {
        return None;
    }
    let knows_gruu = has_instance(stored) && knows_gruu(request);
    // Temporary GRUUs that begin or hold no more are for the whole procedure, and so is the next life of a flow.
    if (epoch.is_none() && knows_gruu) || (!same_call && (epoch.is_some() || head.is_outbound())) {
        return None;
    }
    let renewed = head.write_renewed(&order, now, expires, out);
    let size = renewed.unwrap_or_else(|| {
        let mut writer = RecordWriter::new(out);
        let size = writer.put_refreshed(&head, &order, now, expires);
        writer.finish();
        size
    });
    if size > LARGEST_ENTRY {
        return None;
    }
    if !knows_gruu {
        put_contact(head.contact, stored, u64::from(expires), contacts, |_| {});
    }
    Some(Changes {
        refreshed: 1,
        ..Changes::default()
    })
}

/// The parameters of a Contact value that is one name-addr with this URI, written the same.
fn params_of<'a>(value: &'a [u8], uri: &[u8]) -> Option<Params<'a>> {
    let address = match value {
        [b'"', ..] => value.get(quoted_near(value, 0)?..)?.trim_ascii_start(),
        _ => value,
    };
    let params = address
        .strip_prefix(b"<")?
        .strip_prefix(uri)?
        .strip_prefix(b">")?;
    if params.is_empty() {
        return Some(Params::default());
    }
    // A comma may be the end of the value, or in quotes.
    Params::parse(params).filter(|_| find_near(params, b',').is_none())
}

/// Whether parameters may have an instance ID among them.
fn has_instance(params: &[u8]) -> bool {
    let is_instance = |at: usize| {
        let name = params.get(at + 1..at + 13);
        name.is_some_and(|name| name.eq_ignore_ascii_case(b"sip.instance"))
    };
    !params.is_empty() && memchr::memchr_iter(b'+', params).any(is_instance)
}

/// What parameters ask for that are those stored otherwise.
#[derive(Default)]
struct Same {
    /// The seconds of expires, if it is there.
    expires: Option<u32>,
    has_reg_id: bool,
}

/// Whether parameters are those stored.
fn same_params(params: Params<'_>, stored: &[u8]) -> Option<Same> {
    let mut same = Same::default();
    let mut rest = stored;
    if !params.text().is_empty() {
        for (name, value) in params.iter() {
            if !is_kept(name) {
                if name.eq_ignore_ascii_case(b"expires") {
                    same.expires.get_or_insert_with(|| Contact::expires_of(value));
                }
                continue;
            }
            same.has_reg_id |= name.eq_ignore_ascii_case(b"reg-id");
            rest = rest.strip_prefix(b";")?.strip_prefix(name)?;
            if let Some(value) = value {
                rest = rest.strip_prefix(b"=")?.strip_prefix(value)?;
            }
        }
    }
    rest.is_empty().then_some(same)
}

#[cfg(test)]
mod tests {
    use strowger_syntax::{Index, Limits};
    use strowger_testkit::Random;

    use super::*;
    use crate::registrar::register::register_any;
    use crate::registrar::{Outcome, register, write_contacts};
    use crate::transport::Transport;

    /// A REGISTER whose contact has these parameters most of the time.
    fn request(random: &mut Random, usual: &'static str) -> String {
        let contact = [
            "Contact: <sip:a@192.0.2.1>",
            "Contact: <sip:a@192.0.2.1:5060>",
            "Contact: <sip:b@192.0.2.1>",
            "Contact: *",
            "m: \"A\" <sip:a@192.0.2.1>",
            "Contact: \"A \\\" <b>\"<sip:a@192.0.2.1>",
            "Contact: A <sip:a@192.0.2.1>",
            "Contact: sip:a@192.0.2.1",
            "Contact: <sip:b@192.0.2.1>, <sip:a@192.0.2.1>",
        ];
        let params = [
            usual,
            "",
            ";ob",
            ";q=0.5",
            ";expires=0",
            ";expires=90;ob",
            " ; ob;EXPIRES=61",
            ";ob=1",
            ";ob=\"1,2\"",
            ";+sip.instance=\"<urn:uuid:1>\"",
            ";+sip.instance=\"<urn:uuid:1>\";pub-gruu=\"sip:a@b\"",
            ";+sip.instance=\"<urn:uuid:2>\";reg-id=1",
            ", <sip:b@192.0.2.1>",
            " x",
            ";reg-id=1",
            ";reg-id=1;+sip.instance=\"<urn:uuid:1>\"",
            ";+sip.instance=\"<urn:uuid:1>\";reg-id=1",
            ";+sip.instance=\"<urn:uuid:1>\";reg-id=2",
            ";+sip.instance=\"<urn:uuid:1>\";reg-id=0",
            ";+sip.instance=\"<urn:uuid:1>\";reg-id=1;expires=0",
        ];
        let other = ["", "Expires: 0\r\n", "Expires: 10\r\n", "Expires: 99999\r\n"];
        let path = ["", "Path: <sip:p.example.test;lr>\r\n"];
        let by_flow = [
            ";reg-id=1;+sip.instance=\"<urn:uuid:1>\"",
            ";reg-id=1",
            ";+sip.instance=\"<urn:uuid:1>\";reg-id=1",
        ];
        let params: &[&'static str] = match random.of(&["plain", "flow"]) {
            "plain" => &params,
            _ => &by_flow,
        };
        let branch = random.of(&["a", "b", "c"]);
        let cseq = random.of(&["1", "2", "3", "129", "130", "20000"]);
        // The first of a list most of the time.
        let mut draw = |list: &[&'static str]| match random.of(&["usual", "usual", "usual", "any"]) {
            "any" => random.of(list),
            _ => list[0],
        };
        format!(
            "REGISTER sip:example.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{}\r\n\
             From: <sip:a@example.test>;tag=1\r\nTo: <sip:a@example.test>\r\nCall-ID: {}\r\n\
             CSeq: {} REGISTER\r\n{}{}\r\n{}{}{}Supported: path{}\r\nContent-Length: 0\r\n\r\n",
            branch,
            draw(&["1", "long-call-id@192.0.2.1"]),
            cseq,
            draw(&contact),
            draw(params),
            draw(&other),
            draw(&path),
            draw(&["User-Agent: x\r\n", "User-Agent: y\r\n", ""]),
            random.of(&["", ", gruu"]),
        )
    }

    #[test]
    fn a_refresh_comes_to_what_the_whole_procedure_does() {
        let mut random = Random::seeded(1);
        let (mut record, mut now, mut refreshed, mut by_flow, mut with_gruus) =
            (Vec::new(), 1_764_000_000, 0, 0, 0);
        for round in 0..50_000 {
            let usual = if round % 1000 < 500 {
                ""
            } else {
                ";+sip.instance=\"<urn:uuid:1>\""
            };
            let text = request(&mut random, usual);
            let mut index = Index::default();
            let request = index.parse(text.as_bytes(), &Limits::DEFAULT).expect("a request");
            let port = random.of(&["5060", "5060", "5060", "5062"]);
            let origin = Origin {
                transport: Transport::Udp,
                listener: 0,
                from: None,
                remote: ([192, 0, 2, 1], port.parse().expect("a port")).into(),
                flow: None,
                pushed_elsewhere: false,
                translated: false,
            };
            let policy = Policy::default();
            let before = Bindings::new(&record);
            let (mut quick, mut whole) = (Vec::new(), Vec::new());
            let mut contacts = Vec::new();
            let outcome = register(request, before, &origin, &policy, now, &mut quick, &mut contacts);
            let expected = register_any(request, before, &origin, &policy, now, &mut whole);
            assert_eq!((&outcome, &quick), (&expected, &whole), "{text}");
            let mut short = (Vec::new(), Vec::new());
            let refreshed_here = refresh(
                request,
                before,
                &origin,
                &policy,
                now as u32,
                &mut short.0,
                &mut short.1,
            );
            if refreshed_here.is_some() && contacts.is_empty() {
                assert!(knows_gruu(request), "{text}");
                with_gruus += 1;
            }
            if !contacts.is_empty() {
                let mut written = Vec::new();
                write_contacts(Bindings::new(&whole), now, &mut written);
                assert_eq!(contacts, written, "{text}");
                refreshed += 1;
                by_flow += usize::from(contacts.windows(6).any(|text| text == b"reg-id"));
            }
            if matches!(outcome, Ok(Outcome::Changed(_))) {
                record = whole;
            }
            if random.of(&["", "", "", "", "", "", "", "later"]) == "later" {
                now += 70;
            }
            if random.of(&["", "", "", "", "end"]) == "end" {
                record.clear();
            }
        }
        assert!(refreshed > 100, "{refreshed} were refreshes");
        assert!(with_gruus > 30, "{with_gruus} get GRUUs");
        assert!(
            by_flow > 10,
            "{by_flow} were refreshes of a binding known by its flow"
        );
    }
}
