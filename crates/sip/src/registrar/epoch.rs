//! How long temporary GRUUs hold (RFC 5627 §5.1, §5.3): from the REGISTER that had the first one made until the phone
//! registers with another Call-ID, or its last contact is gone. An epoch names that time: it stands in each binding of the
//! instance and in each of the GRUUs, so that none of them has to be remembered.

use strowger_syntax::Message;
use strowger_syntax::header::Params;

use super::binding::{Binding, Order};
use super::gruu::knows_gruu;
use super::outbound::{InstanceFlow, instance_of};
use super::register::fold;

/// Which temporary GRUUs hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// What those that hold have in them.
    pub id: u32,
    /// The CSeq number of the REGISTER by which the oldest of them was made that this contact's Call-ID has had
    /// (RFC 5628 §5).
    pub first_cseq: u32,
}

/// What a REGISTER does to the temporary GRUUs of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// The epoch of the contact that it binds.
    pub(super) epoch: Option<Epoch>,
    /// Whether the other contacts of the instance get another one too.
    pub(super) renews: bool,
}

/// What is known of a REGISTER besides the contact.
#[derive(Clone, Copy)]
pub(super) struct Registering<'a> {
    order: Order<'a>,
    /// Whether its phone knows of GRUUs.
    knows_gruu: bool,
    /// The epoch that begins by it, if one does.
    next: u32,
}

impl<'a> Registering<'a> {
    /// A REGISTER with its place among those of its user agent, at a time in seconds. No two begin the same epoch.
    pub(super) fn of(request: Message<'_>, order: Order<'a>, now: u32) -> Self {
        let which = u64::from(order.branch) << 32 | u64::from(order.cseq);
        let hash = fold(fold(which, order.call_id), &now.to_le_bytes());
        Self {
            order,
            knows_gruu: knows_gruu(request),
            next: (hash ^ hash >> 32) as u32,
        }
    }
}

/// Decides for a contact with these parameters that is to be bound beside the live `bindings` (RFC 5627 §5.1): those of the
/// same instance, and if it registers a `flow` those of that flow, show which Call-ID the phone has had. GRUUs are made for
/// phones that know of them, so the records of others have nothing of it.
pub(super) fn turn<'a>(
    params: Params<'_>,
    flow: Option<InstanceFlow<'_>>,
    bindings: impl Iterator<Item = Binding<'a>>,
    register: Registering<'_>,
) -> Turn {
    let none = Turn {
        epoch: None,
        renews: false,
    };
    let Some(instance) = instance_of(params) else {
        return none;
    };
    let (mut last, mut held) = (None::<Binding<'_>>, None);
    for binding in bindings {
        if !binding.is_of(instance) {
            continue;
        }
        held = held.or(binding.epoch);
        let is_replaced = flow.is_none() || flow == binding.instance_flow();
        if is_replaced && last.is_none_or(|last| last.updated_at <= binding.updated_at) {
            last = Some(binding);
        }
    }
    let Order { call_id, cseq, .. } = register.order;
    let first_cseq = match last {
        Some(last) if last.order.call_id != call_id => {
            held = None;
            cseq
        }
        last => last
            .and_then(|last| last.epoch)
            .map_or(cseq, |epoch| epoch.first_cseq),
    };
    match held {
        Some(Epoch { id, .. }) => Turn {
            epoch: Some(Epoch { id, first_cseq }),
            renews: false,
        },
        None => Turn {
            epoch: register.knows_gruu.then_some(Epoch {
                id: register.next,
                first_cseq: cseq,
            }),
            renews: true,
        },
    }
}

/// The epoch of another contact of the instance when a REGISTER has begun one: the GRUUs that its own Call-ID has had hold no
/// more.
pub(super) fn renewed(binding: &Binding<'_>, epoch: Option<Epoch>) -> Option<Epoch> {
    epoch.map(|Epoch { id, .. }| Epoch {
        id,
        first_cseq: binding.order.cseq.saturating_add(1),
    })
}

#[cfg(test)]
mod tests;
