//! Which routes may be for a request at all: by its method, and by what its number begins with.

use strowger_syntax::Method;

use super::bits::Bits;
use super::pattern::Patterns;
use crate::config;

/// Routes by what finds them.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// By the method, the unknown ones last.
    methods: Vec<Bits>,
    /// Those that ask for no user.
    any_user: Bits,
    /// By the whole user.
    users: Table,
    /// By its beginning.
    prefixes: Table,
    /// By the Request-URI: those that ask for none, and the expressions of the others.
    pub(super) any_to: Bits,
    pub(super) to: Patterns,
    /// By From.
    pub(super) any_from: Bits,
    pub(super) from: Patterns,
}

/// Texts and the routes that ask for them, ordered by text; and the lengths that there are.
#[derive(Clone, Debug, Default)]
struct Table {
    entries: Vec<(Box<[u8]>, Vec<u16>)>,
    lengths: Vec<usize>,
}

impl Table {
    fn new(mut all: Vec<(&str, u16)>) -> Self {
        all.sort_unstable();
        let mut table = Self::default();
        for (text, route) in all {
            match table.entries.last_mut() {
                Some((last, routes)) if **last == *text.as_bytes() => routes.push(route),
                _ => table.entries.push((text.as_bytes().into(), vec![route])),
            }
            table.lengths.push(text.len());
        }
        table.lengths.sort_unstable();
        table.lengths.dedup();
        table
    }

    fn add_exact(&self, text: &[u8], bits: &mut Bits) {
        if let Ok(at) = self.entries.binary_search_by(|(entry, _)| (**entry).cmp(text)) {
            self.entries[at]
                .1
                .iter()
                .for_each(|&route| bits.add(usize::from(route)));
        }
    }

    fn add_beginnings(&self, text: &[u8], bits: &mut Bits) {
        let lengths = self.lengths.iter().take_while(|&&length| length <= text.len());
        lengths.for_each(|&length| self.add_exact(&text[..length], bits));
    }
}

const METHODS: usize = Method::KNOWN.len() + 1;

impl Index {
    pub(super) fn new(routes: &[config::Route]) -> Self {
        let mut index = Self {
            methods: vec![Bits::default(); METHODS],
            ..Self::default()
        };
        let (mut users, mut prefixes, mut to, mut from) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (place, route) in routes.iter().enumerate() {
            let when = &route.when;
            let wants = |method: Method| {
                when.method.is_empty()
                    || when
                        .method
                        .iter()
                        .any(|text| Method::from_token(text.as_bytes()) == method)
            };
            for (method, bits) in Method::KNOWN
                .iter()
                .chain(&[Method::Other])
                .zip(&mut index.methods)
            {
                if wants(*method) {
                    bits.add(place);
                }
            }
            let number = place as u16;
            users.extend(when.user.iter().map(|text| (text.as_str(), number)));
            prefixes.extend(when.prefix.iter().map(|text| (text.as_str(), number)));
            if when.user.is_empty() && when.prefix.is_empty() {
                index.any_user.add(place);
            }
            match &when.to {
                Some(text) => to.push((place, text.as_str())),
                None => index.any_to.add(place),
            }
            match &when.from {
                Some(text) => from.push((place, text.as_str())),
                None => index.any_from.add(place),
            }
        }
        index.users = Table::new(users);
        index.prefixes = Table::new(prefixes);
        index.to = Patterns::new(&to);
        index.from = Patterns::new(&from);
        index
    }

    /// Those that take a method. ACK and CANCEL go where their INVITE goes (RFC 3261 §16.11).
    pub(super) fn of_method(&self, method: Method) -> Bits {
        let method = match method {
            Method::Ack | Method::Cancel => Method::Invite,
            method => method,
        };
        self.methods.get(method as usize).copied().unwrap_or_default()
    }

    /// Those that take a user or number.
    pub(super) fn of_user(&self, user: &[u8]) -> Bits {
        let mut bits = self.any_user;
        if !user.is_empty() {
            self.users.add_exact(user, &mut bits);
            self.prefixes.add_beginnings(user, &mut bits);
        }
        bits
    }
}
