//! The notifier's side of a subscription's dialog (RFC 3261 §12.1.1, RFC 6665 §4.4.1).

use strowger_syntax::{Message, Name};

/// What is remembered of a dialog, as texts that are written again. It can be stored and made anew of what was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialog {
    /// The Call-ID.
    pub call_id: Box<[u8]>,
    /// Our side: the To value of the SUBSCRIBE, with our tag.
    pub local: Box<[u8]>,
    /// That tag.
    pub local_tag: Box<[u8]>,
    /// The subscriber: the From value of the SUBSCRIBE.
    pub remote: Box<[u8]>,
    /// Its tag; empty if it has none (RFC 2543).
    pub remote_tag: Box<[u8]>,
    /// Where it is: the URI of the Contact of its last SUBSCRIBE.
    pub remote_target: Box<[u8]>,
    /// The Record-Route values of the SUBSCRIBE, with commas between them.
    pub route_set: Box<[u8]>,
    /// The number of the last request that was sent here.
    pub local_cseq: u32,
    /// The number of the last request that came.
    pub remote_cseq: u32,
}

/// Why a request does not fit into a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfOrder;

impl Dialog {
    /// The dialog that a SUBSCRIBE without a To tag creates, where we are known by this tag.
    pub fn of(subscribe: Message<'_>, local_tag: &[u8], contact: &[u8]) -> Self {
        let to = subscribe.first(Name::To).unwrap_or(&[]);
        Self {
            call_id: subscribe.call_id().into(),
            local: [to, b";tag=", local_tag].concat().into(),
            local_tag: local_tag.into(),
            remote: subscribe.first(Name::From).unwrap_or(&[]).into(),
            remote_tag: subscribe.from_tag().unwrap_or(&[]).into(),
            remote_target: contact.into(),
            route_set: subscribe.joined(Name::RecordRoute).into(),
            local_cseq: 0,
            remote_cseq: subscribe.cseq(),
        }
    }

    /// Whether a request with a To tag belongs to it (RFC 3261 §12.2.2).
    pub fn is_of(&self, request: Message<'_>) -> bool {
        *self.local_tag == *request.to_tag().unwrap_or(&[])
            && *self.remote_tag == *request.from_tag().unwrap_or(&[])
            && *self.call_id == *request.call_id()
    }

    /// Takes a refreshing SUBSCRIBE in: its number, and where the subscriber is now (RFC 3261 §12.2.2).
    ///
    /// # Errors
    /// [`OutOfOrder`] when its number is not higher than that of the last one; nothing was changed.
    pub fn refresh(&mut self, subscribe: Message<'_>, contact: &[u8]) -> Result<(), OutOfOrder> {
        if subscribe.cseq() <= self.remote_cseq {
            return Err(OutOfOrder);
        }
        self.remote_cseq = subscribe.cseq();
        if *self.remote_target != *contact {
            self.remote_target = contact.into();
        }
        Ok(())
    }

    /// The bytes of its texts.
    pub fn bytes(&self) -> usize {
        let texts = [
            &self.call_id,
            &self.local,
            &self.local_tag,
            &self.remote,
            &self.remote_tag,
            &self.remote_target,
            &self.route_set,
        ];
        texts.iter().map(|text| text.len()).sum()
    }
}
