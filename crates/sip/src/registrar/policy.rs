//! What the registrar allows.

use strowger_syntax::Transport;

/// What to do with a Path that the phone has not said it supports: a proxy on the way has put it in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathPolicy {
    /// 420, which RFC 3327 §5.3 recommends.
    #[default]
    RefuseUnsupported,
    /// Keep it, for edge proxies that serve phones without the extension.
    Keep,
}

/// What to do with a contact that is one more than an address-of-record may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// 503, until a binding ends.
    #[default]
    Refuse,
    /// It takes the place of the one that has been bound for longest.
    Replace,
}

/// What the registrar allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The shortest expiration granted, in seconds; of no effect above one hour (§10.3 step 7).
    pub min_expires: u32,
    /// The longest, in seconds: longer ones are cut to it.
    pub max_expires: u32,
    /// What is granted when nothing was asked for, in seconds.
    pub default_expires: u32,
    /// How many bindings an address-of-record may have.
    pub max_contacts: usize,
    /// What to do with one more.
    pub when_full: WhenFull,
    /// What to do with an unsupported Path.
    pub path: PathPolicy,
    /// Whether user agents are known by their instance and flow if they want to be (RFC 5626).
    pub outbound: bool,
    /// How often user agents that keep their flows are to show that they are there, in seconds (RFC 5626 §4.4); 0 leaves it to
    /// them.
    pub flow_timer: u32,
}

impl Default for Policy {
    fn default() -> Self {
        let path = PathPolicy::default();
        Self {
            min_expires: 60,
            max_expires: 7200,
            default_expires: 3600,
            max_contacts: 10,
            when_full: WhenFull::default(),
            path,
            outbound: true,
            flow_timer: 120,
        }
    }
}

/// What is asked for over UDP at most, in seconds: many NATs forget a flow after 30 (RFC 5626 §4.4.2).
const DATAGRAM_FLOW_TIMER: u32 = 29;

impl Policy {
    /// The Flow-Timer of a registration that came by this transport, in seconds; 0 for none.
    pub fn flow_timer(&self, transport: Transport) -> u32 {
        if transport.is_reliable() {
            self.flow_timer
        } else {
            self.flow_timer.min(DATAGRAM_FLOW_TIMER)
        }
    }

    /// The seconds granted to who asks for so many (§10.3 step 7); `None` when that is too brief.
    pub(super) fn grant(&self, asked: u32) -> Option<u32> {
        let is_brief = asked > 0 && asked < 3600 && asked < self.min_expires;
        (!is_brief).then(|| asked.min(self.max_expires))
    }
}
