//! What dialled numbers mean: telephone numbers (RFC 3966) as users and as global numbers.

use std::ops::Range;

use strowger_syntax::uri::escape::{escape_user_into, unescape_into};
use strowger_syntax::uri::{SipUri, TelUri};

use crate::config::DialPlan;
use crate::config::route::Translation;

/// What numbers mean on this node.
#[derive(Clone, Debug, Default)]
pub struct NumberPlan {
    plan: Option<DialPlan>,
    domain: String,
}

/// A Request-URI whose user or number is not as it came; reused from request to request.
#[derive(Clone, Debug, Default)]
pub struct Dialled {
    uri: Vec<u8>,
    user: Range<usize>,
    /// What stands behind the number where it goes to a gateway: its parameters (RFC 3966 §5).
    extras: Vec<u8>,
    scratch: Vec<u8>,
    /// Whether it is a telephone number.
    pub phone: bool,
}

impl Dialled {
    /// The SIP URI that it comes to.
    pub fn uri(&self) -> &[u8] {
        &self.uri
    }

    /// The user or number.
    pub fn user(&self) -> &[u8] {
        self.uri.get(self.user.clone()).unwrap_or(&[])
    }

    /// What stands behind the number where it goes to a gateway.
    pub fn extras(&self) -> &[u8] {
        &self.extras
    }

    fn clear(&mut self) {
        self.uri.clear();
        self.extras.clear();
        self.scratch.clear();
        self.user = 0..0;
        self.phone = false;
    }

    fn begin(&mut self, secure: bool) {
        self.clear();
        self.uri
            .extend_from_slice(if secure { b"sips:" } else { b"sip:" });
    }

    /// A URI with another user.
    fn replace_user(&mut self, sip: &SipUri<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.uri.len();
        write(&mut self.uri);
        self.user = start..self.uri.len();
        if !self.user.is_empty() {
            self.uri.push(b'@');
        }
        sip.encode_hostport(&mut self.uri);
        self.uri.extend_from_slice(sip.params.text());
    }

    /// Writes a URI whose number is translated.
    pub fn translate(&mut self, sip: &SipUri<'_>, user: &[u8], translation: &Translation) {
        let phone = self.phone || sip.is_phone();
        let extras = std::mem::take(&mut self.extras);
        self.begin(sip.secure);
        (self.phone, self.extras) = (phone, extras);
        let mut plain = Vec::new();
        unescape_into(user, &mut plain);
        let kept = plain.get(usize::from(translation.strip)..).unwrap_or(&[]);
        self.replace_user(sip, |out| {
            escape_user_into(translation.prefix.as_bytes(), out);
            escape_user_into(kept, out);
            escape_user_into(translation.suffix.as_bytes(), out);
        });
    }
}

impl NumberPlan {
    /// What a configuration says of them. Users who are called by number are in the plan's domain, or in this one.
    pub fn new(plan: Option<&DialPlan>, default_domain: &str) -> Self {
        let named = plan.and_then(|plan| plan.domain.clone());
        Self {
            plan: plan.cloned(),
            domain: named.unwrap_or_else(|| default_domain.to_owned()),
        }
    }

    /// Whether users of ours may be numbers that mean something else than themselves.
    pub fn is_dialled(&self) -> bool {
        self.plan.is_some()
    }

    /// A telephone URI as a SIP URI of ours (RFC 3261 §19.1.6).
    pub fn dial_tel(&self, tel: &TelUri<'_>, dialled: &mut Dialled) {
        dialled.begin(false);
        dialled.phone = true;
        let start = dialled.uri.len();
        let is_user = self.write_number(tel, &mut dialled.scratch, &mut dialled.uri);
        dialled.user = start..dialled.uri.len();
        dialled.uri.push(b'@');
        let context = tel.phone_context().filter(|context| !context.starts_with(b"+"));
        dialled
            .uri
            .extend_from_slice(context.unwrap_or(self.domain.as_bytes()));
        if !is_user {
            dialled.uri.extend_from_slice(b";user=phone");
        }
        write_extras(tel, &mut dialled.extras);
    }

    /// The number in the user part of a SIP URI of ours: a telephone number (RFC 3261 §19.1.1, `user=phone`), or with a
    /// dial plan whatever is dialled like one. False if it is none, or stays as it is.
    pub fn dial_sip(&self, sip: &SipUri<'_>, dialled: &mut Dialled) -> bool {
        let Some(user) = sip.user else { return false };
        let text = &mut dialled.scratch;
        text.clear();
        unescape_into(user, text);
        let mut number = text.iter().take_while(|&&b| b != b';');
        let is_dialled = self.is_dialled() && number.all(|&b| is_dialled(b));
        if !(sip.is_phone() || is_dialled) {
            return false;
        }
        let Ok(tel) = TelUri::parse(text) else {
            return false;
        };
        let mut number = Vec::new();
        self.write_number(&tel, &mut Vec::new(), &mut number);
        if number == user {
            return false;
        }
        let mut extras = Vec::new();
        write_extras(&tel, &mut extras);
        dialled.begin(sip.secure);
        dialled.phone = sip.is_phone();
        dialled.extras = extras;
        dialled.replace_user(sip, |out| out.extend_from_slice(&number));
        true
    }

    /// Appends what a number means, as a user part has it: a user of ours (true), a global number, or what was dialled.
    fn write_number(&self, tel: &TelUri<'_>, scratch: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
        let number = scratch;
        number.clear();
        if let Some(context) = tel
            .phone_context()
            .filter(|context| context.starts_with(b"+") && !tel.is_global())
        {
            number.extend(context.iter().filter(|b| b.is_ascii_digit() || **b == b'+'));
        }
        number.extend(tel.digits());
        let Some(plan) = &self.plan else {
            escape_user_into(number, out);
            return false;
        };
        if !number.starts_with(b"+") {
            globalize(plan, number);
        }
        let own = plan
            .own
            .iter()
            .filter_map(|own| number.strip_prefix(own.as_bytes()));
        match own
            .max_by_key(|rest| std::cmp::Reverse(rest.len()))
            .filter(|rest| !rest.is_empty())
        {
            Some(user) => {
                escape_user_into(user, out);
                true
            }
            None => {
                escape_user_into(number, out);
                false
            }
        }
    }
}

/// What was dialled as a global number, if it is one.
fn globalize(plan: &DialPlan, number: &mut Vec<u8>) {
    let is_extension = plan
        .extensions
        .is_some_and(|(least, most)| (least..=most).contains(&(number.len() as u16)));
    let kept = plan.keep.iter().any(|keep| keep.as_bytes() == &number[..]);
    if kept || is_extension || !number.iter().all(u8::is_ascii_digit) {
        return;
    }
    let (cut, country, area) = if number.starts_with(plan.international.as_bytes()) {
        (plan.international.len(), Some(""), "")
    } else if !plan.national.is_empty() && number.starts_with(plan.national.as_bytes()) {
        (plan.national.len(), plan.country.as_deref(), "")
    } else if plan.national.is_empty() && plan.area.is_none() {
        (0, plan.country.as_deref(), "")
    } else {
        match plan.area.as_deref() {
            Some(area) => (0, plan.country.as_deref(), area),
            None => return,
        }
    };
    // Nothing is left of what was but a prefix.
    let Some(country) = country.filter(|_| cut < number.len()) else {
        return;
    };
    number.splice(..cut, [b"+", country.as_bytes(), area.as_bytes()].concat());
}

/// What is said of a number besides its context, as a SIP URI's user part has it (RFC 3261 §19.1.6): extension, subaddress,
/// where it was ported to. Whatever a user part may not have is escaped, or a caller could write what stands behind it, and
/// so the host.
fn write_extras(tel: &TelUri<'_>, out: &mut Vec<u8>) {
    let mut write = |separator: u8, text: &[u8]| {
        let mut plain = Vec::new();
        unescape_into(text, &mut plain);
        out.push(separator);
        escape_user_into(&plain, out);
    };
    let params = tel.params.iter();
    for (name, value) in params.filter(|(name, _)| !name.eq_ignore_ascii_case(b"phone-context")) {
        write(b';', name);
        if let Some(value) = value {
            write(b'=', value);
        }
    }
}

const fn is_dialled(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'(' | b')' | b'*' | b'#')
}
