//! Proxy Unique Registration References (RFC 8599 §6.2.1): what a device writes into the contact of a dialog, so that requests within
//! it lead to its registration, and tell nobody else whose that is.
//!
//! ```text
//! purr = sealed                                  ; of device:u64 day:u32 and the address-of-record
//! ```
//!
//! Nothing is remembered: a reference holds as long as the device has a registration. Each day has another one, and two of one
//! device have nothing in common but the number of 64-byte blocks that the address takes.

use std::fmt;

use strowger_syntax::Uri;

use super::push::{PushParams, may_have_push};
use super::sealed::{Room, Seal};
use crate::keys::MacKey;

/// Device and day.
const HEAD: usize = 12;
const SECS_OF_DAY: u64 = 86_400;

/// What references are enciphered with.
#[derive(Clone)]
pub struct PurrKey {
    seal: Seal<HEAD, 64>,
    devices: MacKey,
}

impl fmt::Debug for PurrKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PurrKey")
    }
}

/// The reference in a URI, as it is written.
pub fn purr_of(uri: &[u8]) -> Option<&[u8]> {
    if !may_have_push(uri) {
        return None;
    }
    match Uri::parse(uri) {
        Ok(Uri::Sip(sip)) => sip.params.value(b"pn-purr"),
        _ => None,
    }
}

impl PurrKey {
    /// Of key material.
    pub(crate) fn new(siv: [u8; 32], devices: MacKey) -> Self {
        let seal = Seal::new(siv);
        Self { seal, devices }
    }

    /// A number for a device: of its instance-id, since the service may give it another name, or of that name if it has none.
    pub fn device(&self, params: &PushParams<'_>, instance: Option<&[u8]>) -> u64 {
        match instance {
            Some(instance) => self.devices.hash(&[instance]),
            None => {
                let provider = params.provider.to_ascii_lowercase();
                let (param, prid) = (params.param.unwrap_or_default(), params.prid.unwrap_or_default());
                self.devices.hash(&[&provider, param, prid])
            }
        }
    }

    /// Appends the reference of this day to a device of an address-of-record; nothing if that is too long.
    pub fn write(&self, aor: &[u8], device: u64, now_secs: u64, out: &mut Vec<u8>) {
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&device.to_le_bytes());
        head[8..].copy_from_slice(&((now_secs / SECS_OF_DAY) as u32).to_le_bytes());
        self.seal.seal(None, head, aor, out);
    }

    /// Reads a reference: the number of its device, and its address-of-record in `aor`. `None`, and nothing there, if it was not made
    /// with this key.
    pub fn read(&self, purr: &[u8], aor: &mut Vec<u8>) -> Option<u64> {
        aor.clear();
        let mut room = Room::default();
        let (head, read) = self.seal.open(None, purr, &mut room)?;
        aor.extend_from_slice(read);
        let (device, _) = head.split_first_chunk()?;
        Some(u64::from_le_bytes(*device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    const NOW: u64 = 1_764_000_000;

    fn written(key: &PurrKey, aor: &[u8], device: u64, now_secs: u64) -> Vec<u8> {
        let mut out = Vec::new();
        key.write(aor, device, now_secs, &mut out);
        out
    }

    // RFC 8599 §6.2.1.
    #[test]
    fn a_reference_leads_to_its_device_and_changes_each_day() {
        let key = &Keys::derive(&[7; 32]).purr;
        let purr = written(key, b"bob@example.test", 5, NOW);
        let mut aor = Vec::new();
        assert_eq!(key.read(&purr, &mut aor), Some(5));
        assert_eq!(aor, b"bob@example.test");
        assert_eq!(written(key, b"bob@example.test", 5, NOW + 1), purr);
        let next = written(key, b"bob@example.test", 5, NOW + SECS_OF_DAY);
        assert_ne!(next, purr);
        assert_eq!(
            next.len(),
            written(key, b"a@b", 6, NOW).len(),
            "its length tells nothing"
        );
        assert_eq!(key.read(&next, &mut aor), Some(5));
    }

    // What has been given out holds after an upgrade.
    #[test]
    fn references_are_written_as_ever() {
        let key = &Keys::derive(&[7; 32]).purr;
        for (aor, device, expected) in [
            (
                "bob@example.test",
                5,
                "VVL5agGl0nadWUdHt62jAkhRKNp1_URZrJFmq5fXlWILOg_SOTFKveJGINi2VwW2A9_7mbZMY8Ki4PHD24a4NEJ5ZwsStNMdM_JMc9lhznY",
            ),
            (
                &*"a".repeat(60),
                u64::MAX,
                "cYXH6Sim9zVy5X7HgJeEcL7E_TdE528TJf4wbg7_JqdBgpb33qQnMjhm_QdJ4RXa7KvDeOnP29Z38mXzVlWHD3Ym6NyEAGc19Gff4NCjvP_t2MlrFDgvaI5p\
                 K5AsvCtlAHulvcQ_c7k4fQ4SjSohy9ewGWXZ0YuGCkMdgo6suPRfEKyLWKMM9mn5ewrPaw5I",
            ),
        ] {
            let purr = written(key, aor.as_bytes(), device, NOW);
            assert_eq!(String::from_utf8_lossy(&purr), expected);
        }
    }

    // RFC 8599 §6.2.1: unforgeable.
    #[test]
    fn what_was_not_made_here_leads_nowhere() {
        let (key, other) = (&Keys::derive(&[7; 32]).purr, &Keys::derive(&[8; 32]).purr);
        let purr = written(key, b"bob@example.test", 5, NOW);
        let mut aor = b"before".to_vec();
        assert_eq!(other.read(&purr, &mut aor), None);
        assert!(aor.is_empty());
        for place in 0..purr.len() {
            let mut changed = purr.clone();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(key.read(&changed, &mut aor), None, "{place}");
        }
        for wrong in [&b""[..], b"x", b"!!!!", &purr[..20], &[b'A'; 5000]] {
            assert_eq!(key.read(wrong, &mut aor), None);
        }
        assert!(written(key, &[b'a'; 2000], 5, NOW).is_empty());
    }

    #[test]
    fn a_device_is_known_by_its_instance_or_by_its_name() {
        let key = &Keys::derive(&[7; 32]).purr;
        let params = |prid| PushParams {
            provider: b"ACME",
            param: None,
            prid: Some(prid),
        };
        let device = |prid, instance| key.device(&params(prid), instance);
        assert_eq!(device(b"a", Some(b"<urn:x>")), device(b"b", Some(b"<urn:x>")));
        assert_ne!(device(b"a", None), device(b"b", None));
        assert_ne!(device(b"a", None), device(b"a", Some(b"<urn:x>")));
        assert_eq!(purr_of(b"sip:a@b;pn-purr=x;ob"), Some(&b"x"[..]));
        assert_eq!(purr_of(b"sip:a@b;ob"), None);
    }
}
