//! What a caller prefers (RFC 3841): how a request is handled, and which of a user's contacts it is for.

#[cfg(test)]
mod tests;

use strowger_syntax::header::{NameAddr, ParamValue, Params};
use strowger_syntax::{Message, Name};

/// How a caller wants a request to be handled (RFC 3841 §9.1); `None` where that is left to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disposition {
    /// Forwarded (`proxy`), or answered with a redirection (`redirect`).
    pub proxy: Option<bool>,
    /// Whether the other targets are cancelled when one has answered.
    pub cancel: Option<bool>,
    /// Whether it may be sent to more than one target.
    pub fork: Option<bool>,
    /// Whether the contacts of a 3xx are tried.
    pub recurse: Option<bool>,
    /// Whether several targets are tried at once (`parallel`) or one after the other (`sequential`).
    pub parallel: Option<bool>,
    /// Whether it may wait for somebody who cannot be reached at the moment (`queue`), or is refused at once (`no-queue`).
    pub queue: Option<bool>,
}

impl Disposition {
    /// What a request says; few say anything.
    #[inline]
    pub fn of(request: Message<'_>) -> Self {
        if request.has(Name::RequestDisposition) {
            Self::read(request)
        } else {
            Self::default()
        }
    }

    fn read(request: Message<'_>) -> Self {
        let mut asked = Self::default();
        for directive in request.elements(Name::RequestDisposition) {
            let is = |word: &str| directive.eq_ignore_ascii_case(word.as_bytes());
            for (yes, no, place) in [
                ("proxy", "redirect", &mut asked.proxy),
                ("cancel", "no-cancel", &mut asked.cancel),
                ("fork", "no-fork", &mut asked.fork),
                ("recurse", "no-recurse", &mut asked.recurse),
                ("parallel", "sequential", &mut asked.parallel),
                ("queue", "no-queue", &mut asked.queue),
            ] {
                if is(yes) || is(no) {
                    *place = Some(is(yes));
                }
            }
        }
        asked
    }
}

/// How well a contact suits a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suits {
    /// So well, in thousandths: what orders contacts with the same `q` (Qa).
    Rank(u16),
    /// It lacks what was asked for, or has what was rejected.
    Not,
    /// It does not say that it knows the method or the event package: it is left out if there are others.
    NotByItself,
}

/// The rank of a contact to which preferences do not apply.
const IMMUNE: Suits = Suits::Rank(1000);

/// How well a contact that was registered with these header field parameters suits the caller (RFC 3841 §7.2).
pub fn suits(request: Message<'_>, params: &[u8]) -> Suits {
    let Some(contact) = Params::parse(params).filter(|params| features(*params).next().is_some()) else {
        return IMMUNE;
    };
    if !request.has(Name::AcceptContact) && !request.has(Name::RejectContact) {
        return implied(request, contact);
    }
    let rejects = |predicate: Params<'_>| {
        let mut asked = features(predicate);
        asked.all(|(tag, value)| feature(contact, tag).is_some_and(|has| meets(has, value)))
    };
    if predicates(request, Name::RejectContact)
        .any(|predicate| features(predicate).next().is_some() && rejects(predicate))
    {
        return Suits::Not;
    }
    let (mut sum, mut count) = (0, 0);
    for predicate in predicates(request, Name::AcceptContact) {
        let (require, explicit) = (predicate.has(b"require"), predicate.has(b"explicit"));
        match score(predicate, contact) {
            None if require => return Suits::Not,
            None => continue,
            Some(score) if explicit && score < 1000 => {
                if require {
                    return Suits::Not;
                }
            }
            Some(score) => sum += u32::from(score),
        }
        count += 1;
    }
    if count == 0 {
        return if request.has(Name::AcceptContact) {
            Suits::Rank(0)
        } else {
            IMMUNE
        };
    }
    Suits::Rank((sum / count) as u16)
}

/// Implicit preferences (RFC 3841 §7.2.2): for the method, and for the event package of what subscribes.
fn implied(request: Message<'_>, contact: Params<'_>) -> Suits {
    let knows = |tag: &[u8], word: &[u8]| {
        let values = feature(contact, tag);
        values.is_none_or(|values| values_of(values).any(|value| is_met(value, word)))
    };
    let event = request.first(Name::Event).map(|event| {
        let end = event.iter().position(|&b| b == b';').unwrap_or(event.len());
        event[..end].trim_ascii()
    });
    let subscribes = request.method_text() == b"SUBSCRIBE";
    if knows(b"methods", request.method_text())
        && (!subscribes || event.is_none_or(|event| knows(b"events", event)))
    {
        IMMUNE
    } else {
        Suits::NotByItself
    }
}

/// The parameters of each value of Accept-Contact or Reject-Contact: `*` and parameters.
fn predicates(request: Message<'_>, name: Name) -> impl Iterator<Item = Params<'_>> {
    request.elements(name).filter_map(|element| {
        match element.strip_prefix(b"*") {
            Some(params) => Params::parse(params.trim_ascii_start()),
            // RFC 3841 §9.2 has the star only; some write an address.
            None => NameAddr::parse(element).ok().map(|address| address.params),
        }
    })
}

/// The part of a predicate's terms, in thousandths, that the contact says something of; `None` when they do not match.
fn score(predicate: Params<'_>, contact: Params<'_>) -> Option<u16> {
    let (mut terms, mut known) = (0, 0);
    for (tag, value) in features(predicate) {
        terms += 1;
        if let Some(has) = feature(contact, tag) {
            if !meets(has, value) {
                return None;
            }
            known += 1;
        }
    }
    Some(if terms == 0 {
        1000
    } else {
        (known * 1000 / terms) as u16
    })
}

/// The base tags (RFC 3840 §9), which stand without a plus.
const BASE: [&[u8]; 20] = [
    b"audio",
    b"automata",
    b"class",
    b"duplex",
    b"data",
    b"control",
    b"mobility",
    b"description",
    b"events",
    b"priority",
    b"methods",
    b"extensions",
    b"schemes",
    b"application",
    b"video",
    b"language",
    b"type",
    b"isfocus",
    b"actor",
    b"text",
];

/// The feature parameters among others.
fn features(params: Params<'_>) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let is_feature =
        |name: &[u8]| name.starts_with(b"+") || BASE.iter().any(|base| base.eq_ignore_ascii_case(name));
    params.iter().filter(move |(name, _)| is_feature(name))
}

/// The value of a feature tag; of one without a value, `None`.
fn feature<'a>(params: Params<'a>, tag: &[u8]) -> Option<Option<&'a [u8]>> {
    params.get(tag)
}

/// Whether two values of one tag have something in common (RFC 3841 §7.2.4).
fn meets(has: Option<&[u8]>, asked: Option<&[u8]>) -> bool {
    values_of(has).any(|has| values_of(asked).any(|asked| has.meets(asked)))
}

fn is_met(value: Value<'_>, word: &[u8]) -> bool {
    value.meets(Value {
        not: false,
        what: What::Word(word),
    })
}

/// One of the values of a feature tag (RFC 3840 §9 `tag-value`).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Value<'a> {
    not: bool,
    what: What<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What<'a> {
    Word(&'a [u8]),
    Text(&'a [u8]),
    Range(f64, f64),
}

impl Value<'_> {
    /// Whether something is both.
    fn meets(self, other: Self) -> bool {
        match (self.not, other.not) {
            (false, false) => self.what.overlaps(other.what),
            (true, true) => true,
            (true, false) => !self.what.covers(other.what),
            (false, true) => !other.what.covers(self.what),
        }
    }
}

impl What<'_> {
    fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (What::Word(a), What::Word(b)) => a.eq_ignore_ascii_case(b),
            (What::Text(a), What::Text(b)) => a == b,
            (What::Range(a, b), What::Range(c, d)) => a <= d && c <= b,
            _ => false,
        }
    }

    fn covers(self, other: Self) -> bool {
        match (self, other) {
            (What::Range(a, b), What::Range(c, d)) => a <= c && d <= b,
            _ => self.overlaps(other),
        }
    }
}

/// The values of a feature tag, of which one without any means TRUE.
fn values_of(value: Option<&[u8]>) -> impl Iterator<Item = Value<'_>> {
    let text = value.map_or(&b"TRUE"[..], |value| ParamValue::of(value).inside());
    text.split(|&b| b == b',').map(|one| {
        let one = one.trim_ascii();
        let (not, one) = one.strip_prefix(b"!").map_or((false, one), |rest| (true, rest));
        let what = match one {
            [b'<', text @ .., b'>'] => What::Text(text),
            [b'#', number @ ..] => range(number).map_or(What::Word(one), |(from, to)| What::Range(from, to)),
            word => What::Word(word),
        };
        Value { not, what }
    })
}

/// `>=n`, `<=n`, `=n` or `n:m`.
fn range(text: &[u8]) -> Option<(f64, f64)> {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.trim().parse::<f64>().ok();
    match text {
        [b'>', b'=', n @ ..] => Some((number(n)?, f64::INFINITY)),
        [b'<', b'=', n @ ..] => Some((f64::NEG_INFINITY, number(n)?)),
        [b'=', n @ ..] => number(n).map(|n| (n, n)),
        _ => {
            let at = text.iter().position(|&b| b == b':')?;
            Some((number(&text[..at])?, number(&text[at + 1..])?))
        }
    }
}
