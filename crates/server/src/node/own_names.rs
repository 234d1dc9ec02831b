//! How this node and its domain were written last: nearly every request writes them the same way, and is then known by its
//! bytes. What is remembered was worked out from the configuration, so it is to be forgotten with that.

use strowger_syntax::uri::SipUri;

/// The longest text that is remembered.
const LONGEST: usize = 256;

#[derive(Debug, Default)]
pub(super) struct OwnNames {
    /// A Request-URI that names the node.
    node: Vec<u8>,
    /// The domain of an address-of-record that was registered.
    pub(super) registered: Domain,
    /// The domain of a Request-URI that names one of our users.
    pub(super) addressed: Domain,
}

impl OwnNames {
    /// Whether a Request-URI is known to name the node.
    pub(super) fn is_node(&self, uri: &[u8]) -> bool {
        self.node == uri && !uri.is_empty()
    }

    /// Remembers a Request-URI that names the node.
    pub(super) fn remember_node(&mut self, uri: &[u8]) {
        if uri.len() <= LONGEST {
            self.node.clear();
            self.node.extend_from_slice(uri);
        }
    }
}

/// A domain of ours.
#[derive(Debug, Default)]
pub(super) struct Domain {
    /// What followed the `@` of an address of ours: host, port and parameters.
    written: Vec<u8>,
    /// The domain in its canonical form.
    canonical: Vec<u8>,
}

impl Domain {
    /// Whether a URI is known to be an address of this domain.
    pub(super) fn is_of(&self, uri: &[u8]) -> bool {
        self.split(uri).is_some()
    }

    /// The user of a URI and the canonical domain, if that is known to be ours.
    pub(super) fn split<'u>(&self, uri: &'u [u8]) -> Option<(&'u [u8], &[u8])> {
        let (user, written) = SipUri::split_plain_user(uri)?;
        (written == self.written && !written.is_empty()).then_some((user, &self.canonical))
    }

    /// Appends the canonical address-of-record of a URI, if its domain is known to be ours.
    pub(super) fn write_aor(&self, uri: &[u8], aor: &mut Vec<u8>) -> bool {
        let Some((user, domain)) = self.split(uri) else {
            return false;
        };
        aor.extend_from_slice(user);
        aor.push(b'@');
        aor.extend_from_slice(domain);
        true
    }

    /// Remembers the domain of a URI that is an address of ours, and its canonical address-of-record.
    pub(super) fn remember(&mut self, uri: &[u8], aor: &[u8]) {
        let at = aor.iter().rposition(|&b| b == b'@');
        if let (Some((_, written)), Some(at)) = (SipUri::split_plain_user(uri), at)
            && written.len() <= LONGEST
        {
            self.written.clear();
            self.written.extend_from_slice(written);
            self.canonical.clear();
            self.canonical.extend_from_slice(&aor[at + 1..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_by_the_text_of_its_domain_only() {
        let mut own = Domain::default();
        let aor = |own: &Domain, uri: &str| {
            let mut aor = Vec::new();
            own.write_aor(uri.as_bytes(), &mut aor)
                .then(|| String::from_utf8(aor).expect("ASCII"))
        };
        assert_eq!(aor(&own, "sip:alice@"), None);
        own.remember(b"sip:bob@Example.Test.:5060;x", b"bob@example.test");
        let known = aor(&own, "sip:alice@Example.Test.:5060;x");
        assert_eq!(known.as_deref(), Some("alice@example.test"));
        for other in [
            "sip:alice@Example.Test.:5060",
            "sip:alice@Example.Test.:5060;x;y",
            "sips:alice@Example.Test.:5060;x",
            "sip:al%69ce@Example.Test.:5060;x",
            "sip:alice:pw@Example.Test.:5060;x",
            "sip:@Example.Test.:5060;x",
            "sip:Example.Test.:5060;x",
            "sip:a@b@Example.Test.:5060;x",
            "",
        ] {
            assert_eq!(aor(&own, other), None, "{other}");
        }
    }

    #[test]
    fn the_node_is_known_by_its_whole_uri() {
        let mut own = OwnNames::default();
        assert!(!own.is_node(b""));
        own.remember_node(b"sip:example.test");
        assert!(own.is_node(b"sip:example.test"));
        assert!(!own.is_node(b"sip:example.tes"));
        own.remember_node(&[b'a'; LONGEST + 1]);
        assert!(own.is_node(b"sip:example.test"));
    }
}
