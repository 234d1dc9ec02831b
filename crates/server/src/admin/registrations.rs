//! Who is registered, and the removal of registrations, as an administrator sees them.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use strowger_sip::registrar::{Binding, Q_DEFAULT, Removal, canonical_aor};
use strowger_syntax::Uri;

use super::AdminError;
use crate::node::trace::shown;

/// One registered contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The address-of-record.
    pub aor: String,
    /// The contact's URI, without the name of its device (RFC 8599).
    pub contact: String,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// For how many seconds it has been registered (RFC 3680 §5.1), if that is known.
    #[serde(default)]
    pub registered_for: Option<u64>,
    /// Its preference in thousandths (RFC 3261 §10.2.1.2).
    pub q: Option<u16>,
    /// The transport the registration came by.
    pub transport: String,
    /// Where it came from.
    pub source: Option<SocketAddr>,
    /// The User-Agent that registered.
    pub user_agent: Option<String>,
    /// The instance of the phone (RFC 5626 §4.1).
    pub instance: Option<String>,
    /// The way to it (RFC 3327).
    pub path: Option<String>,
    /// The registration's Call-ID.
    pub call_id: String,
    /// Its CSeq number.
    pub cseq: u32,
}

impl Registration {
    /// A binding of an address-of-record, at this time (Unix seconds).
    pub fn of(aor: &[u8], binding: &Binding<'_>, now_secs: u64) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let perhaps = |bytes: &[u8]| (!bytes.is_empty()).then(|| text(bytes));
        Self {
            aor: text(aor),
            contact: shown(binding.contact),
            expires_in: u64::from(binding.expires_at).saturating_sub(now_secs),
            registered_for: binding.bound_at.map(|at| now_secs.saturating_sub(u64::from(at))),
            q: (binding.q != Q_DEFAULT).then_some(binding.q),
            transport: binding.origin.transport.uri_param().to_owned(),
            source: Some(binding.origin.remote),
            user_agent: perhaps(binding.user_agent),
            instance: binding.instance().map(text),
            path: perhaps(binding.path),
            call_id: text(binding.order.call_id),
            cseq: binding.order.cseq,
        }
    }
}

/// Which registrations are to end, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deregister {
    /// The address-of-record, with or without its scheme.
    pub aor: String,
    /// One contact's URI; `None` for all of them.
    #[serde(default)]
    pub contact: Option<String>,
    /// Subscribers are told that the phone is not wanted again, instead of that it may register anew.
    #[serde(default)]
    pub reject: bool,
    /// Subscribers are told that the phone should register anew after so many seconds.
    #[serde(default)]
    pub retry_after: Option<u32>,
    /// They are not removed, but end after so many seconds unless the phone registers again. Subscribers are told.
    #[serde(default)]
    pub after: Option<u32>,
}

/// What becomes of registrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// They end now.
    Removed(Removal),
    /// They end after so many seconds.
    Shortened(u32),
}

impl Deregister {
    /// The address-of-record as the location service has it.
    ///
    /// # Errors
    /// It is no address.
    pub fn canonical_aor(&self) -> Result<Vec<u8>, AdminError> {
        let uri = match self.aor.strip_prefix("sip:") {
            Some(_) => self.aor.clone(),
            None => format!("sip:{}", self.aor),
        };
        let Ok(Uri::Sip(sip)) = Uri::parse(uri.as_bytes()) else {
            return Err(AdminError::Invalid {
                what: format!("`{}` is not an address", self.aor),
                mend: "write it as alice@example.test".to_owned(),
            });
        };
        let mut aor = Vec::new();
        canonical_aor(&sip, &mut aor);
        Ok(aor)
    }

    /// What becomes of them.
    ///
    /// # Errors
    /// It says more than one thing.
    pub fn ending(&self) -> Result<Ending, AdminError> {
        match (self.reject, self.retry_after, self.after) {
            (false, None, None) => Ok(Ending::Removed(Removal::Deactivated)),
            (true, None, None) => Ok(Ending::Removed(Removal::Rejected)),
            (false, Some(retry_after), None) => Ok(Ending::Removed(Removal::Probation { retry_after })),
            (false, None, Some(secs)) => Ok(Ending::Shortened(secs)),
            _ => Err(AdminError::Invalid {
                what: "`reject`, `retry_after` and `after` are different things".to_owned(),
                mend: "use one of them".to_owned(),
            }),
        }
    }

    /// What it names, for people.
    pub fn id(&self) -> String {
        match &self.contact {
            Some(contact) => format!("{contact} of {}", self.aor),
            None => self.aor.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_understood_with_and_without_its_scheme() {
        let of = |aor: &str| {
            let which = Deregister {
                aor: aor.to_owned(),
                contact: None,
                reject: false,
                retry_after: None,
                after: None,
            };
            which.canonical_aor()
        };
        for aor in [
            "alice@example.test",
            "sip:alice@EXAMPLE.test",
            "sip:%61lice@example.test:5060",
        ] {
            assert_eq!(of(aor), Ok(b"alice@example.test".to_vec()));
        }
        for wrong in ["", "sip:", "tel:+1", "a b@c"] {
            assert!(matches!(of(wrong), Err(AdminError::Invalid { .. })), "{wrong}");
        }
    }
}
