//! The 200 to a REGISTER (RFC 3261 §10.3 step 8).

use strowger_syntax::scan::{put_number, two_digits};
use strowger_syntax::{Message, Name};

use super::binding::{Binding, Bindings};
use super::gruu::Gruus;
use super::outbound::was_applied;
use super::push::write_public_uri;
use crate::time::civil;

/// What a 200 to REGISTER tells besides the bindings themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'a> {
    /// The Contact lines, if they were written before.
    pub contacts: &'a [u8],
    /// The GRUUs of the instances, for phones that know of them (RFC 5627 §5.2).
    pub gruus: Option<Gruus<'a>>,
    /// Whether outbound is known at all (RFC 5626).
    pub outbound: bool,
    /// How often flows are to be kept alive (RFC 5626 §4.4), in seconds; 0 to say nothing.
    pub flow_timer: u32,
}

/// Appends the header field lines that a 200 to REGISTER has beside the usual ones: a Contact for every current binding,
/// the Path of the request (RFC 3327 §5.3) and Date, and before and behind the contacts what a user agent that keeps its flows
/// is told (RFC 5626 §6).
pub fn write_answer(
    request: Message<'_>,
    record: Bindings<'_>,
    told: &Told<'_>,
    now_secs: u64,
    date: &mut DateLine,
    out: &mut Vec<u8>,
) {
    // Contacts that were written before are those of one binding, which is known by its flow if the request says so.
    let may_be = told.contacts.is_empty() || record.begins_with_flow();
    let outbound = told.outbound && may_be && was_applied(request);
    if outbound {
        out.extend_from_slice(b"Require: outbound\r\n");
    }
    match &told.gruus {
        _ if !told.contacts.is_empty() => out.extend_from_slice(told.contacts),
        None => write_contacts(record, now_secs, out),
        Some(gruus) => {
            for binding in record.live(now_secs) {
                put_contact(
                    binding.contact,
                    binding.params,
                    left(&binding, now_secs),
                    out,
                    |out| {
                        gruus.write_params(&binding, record, now_secs, out);
                    },
                );
            }
        }
    }
    if request.has(Name::Path) {
        for field in request.fields_of(Name::Path) {
            out.extend_from_slice(field.line.of(request.bytes()));
        }
    }
    if outbound && told.flow_timer > 0 {
        out.extend_from_slice(b"Flow-Timer: ");
        put_number(out, u64::from(told.flow_timer));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(date.of(now_secs));
}

/// The Date line of a second, kept because many answers are given in the same one.
#[derive(Debug, Default)]
pub struct DateLine {
    secs: u64,
    line: Vec<u8>,
}

impl DateLine {
    /// The line for `now_secs` (Unix time).
    pub fn of(&mut self, now_secs: u64) -> &[u8] {
        if self.secs != now_secs || self.line.is_empty() {
            self.secs = now_secs;
            self.line.clear();
            write_date(now_secs, &mut self.line);
        }
        &self.line
    }
}

/// Appends a Contact line for every current binding, with its parameters and the seconds it has left.
pub fn write_contacts(record: Bindings<'_>, now_secs: u64, out: &mut Vec<u8>) {
    for binding in record.live(now_secs) {
        put_contact(
            binding.contact,
            binding.params,
            left(&binding, now_secs),
            out,
            |_| {},
        );
    }
}

/// [`write_contacts`] of some bindings as others may see them: without what leads to their devices (RFC 8599 §13).
pub fn write_public_contacts<'a>(
    bindings: impl Iterator<Item = Binding<'a>>,
    now_secs: u64,
    out: &mut Vec<u8>,
) {
    let mut uri = Vec::new();
    for binding in bindings {
        uri.clear();
        write_public_uri(binding.contact, &mut uri);
        put_contact(&uri, binding.params, left(&binding, now_secs), out, |_| {});
    }
}

/// The seconds that a binding has left.
fn left(binding: &Binding<'_>, now_secs: u64) -> u64 {
    u64::from(binding.expires_at).saturating_sub(now_secs)
}

/// Appends the Contact line of a binding that has so many seconds left, with more parameters.
#[inline]
pub(super) fn put_contact(
    uri: &[u8],
    params: &[u8],
    secs: u64,
    out: &mut Vec<u8>,
    write_more: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(b"Contact: <");
    out.extend_from_slice(uri);
    out.push(b'>');
    if !params.is_empty() {
        out.extend_from_slice(params);
    }
    out.extend_from_slice(b";expires=");
    put_number(out, secs);
    write_more(out);
    out.extend_from_slice(b"\r\n");
}

/// Appends a Date line (RFC 3261 §20.17): `Date: Sat, 13 Nov 2010 23:29:00 GMT`. Nothing for years behind 9999, which the
/// grammar cannot write.
fn write_date(now_secs: u64, out: &mut Vec<u8>) {
    const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
    ];
    let (days, seconds) = (now_secs / 86_400, now_secs % 86_400);
    let (year, month, day) = civil(days);
    if year > 9999 {
        return;
    }
    let mut line = *b"Date: ddd, DD mmm YYYY hh:mm:ss GMT\r\n";
    line[6..9].copy_from_slice(DAYS[(days % 7) as usize]);
    line[14..17].copy_from_slice(MONTHS[month as usize - 1]);
    for (at, n) in [
        (11, day),
        (18, year / 100),
        (20, year % 100),
        (23, seconds / 3600),
        (26, seconds / 60 % 60),
        (29, seconds % 60),
    ] {
        line[at..at + 2].copy_from_slice(&two_digits(n as u16));
    }
    out.extend_from_slice(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_rfc_3261_20_17_has_them() {
        for (secs, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (1_289_690_940, "Sat, 13 Nov 2010 23:29:00 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
        ] {
            let mut out = Vec::new();
            write_date(secs, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), format!("Date: {date}\r\n"));
        }
        let mut out = Vec::new();
        write_date(u64::from(u32::MAX) * 100_000, &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn a_date_line_is_that_of_its_second() {
        let mut date = DateLine::default();
        for secs in [0, 1_289_690_940, 1_289_690_940, 1_289_690_941, 0] {
            let mut written = Vec::new();
            write_date(secs, &mut written);
            assert_eq!(date.of(secs), written);
        }
    }
}
