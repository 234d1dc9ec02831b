//! Parameters of a URI (RFC 3261 §19.1.1).

use super::escape::same_ignoring_case;

/// Parameters as they were written: empty, or from their first `;` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(pub(super) &'a [u8]);

impl<'a> Params<'a> {
    /// The most that a URI may have: comparing two URIs compares every pair.
    pub const MAX: usize = 64;

    /// The text, its first `;` included.
    pub fn text(self) -> &'a [u8] {
        self.0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Name and value of each, as written. A value is `None` where there is no `=`.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        self.0
            .split(|&b| b == b';')
            .filter(|text| !text.is_empty())
            .map(|text| match memchr::memchr(b'=', text) {
                Some(i) => (&text[..i], Some(&text[i + 1..])),
                None => (text, None),
            })
    }

    /// The value of the first of a name, without regard to case and escapes in the name. Outer: whether it is there;
    /// inner: whether it has a value.
    #[inline]
    pub fn get(self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        if self.is_empty() {
            return None;
        }
        self.iter()
            .find(|(n, _)| same_ignoring_case(n, name))
            .map(|(_, value)| value)
    }

    /// The value of the first of a name, if it has one.
    pub fn value(self, name: &[u8]) -> Option<&'a [u8]> {
        self.get(name).flatten()
    }

    /// Whether there is one of that name.
    pub fn has(self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }
}
