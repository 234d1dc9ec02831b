//! A host name by itself.

/// A host name in lower case, so that asking for one allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostName {
    text: [u8; Self::MAX],
    len: u8,
}

impl HostName {
    /// The most bytes that a name has (RFC 1035 §2.3.4).
    const MAX: usize = 255;

    /// Takes a name; `None` if it is empty, too long or not ASCII. Neither case nor a dot at its end make another name.
    pub fn new(name: &[u8]) -> Option<Self> {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let (mut text, len) = ([0; Self::MAX], u8::try_from(name.len()).ok()?);
        let place = text.get_mut(..name.len())?;
        place.copy_from_slice(name);
        place.make_ascii_lowercase();
        (len > 0 && name.is_ascii()).then_some(Self { text, len })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for HostName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}
