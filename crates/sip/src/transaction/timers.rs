//! The values of the timers (RFC 3261 §17.1.1.2 and its table 4).

/// T1, T2 and T4; all others follow from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// The round-trip estimate, in milliseconds.
    pub t1_ms: u64,
    /// The longest interval between retransmissions of what is not an INVITE.
    pub t2_ms: u64,
    /// How long a message stays in the network.
    pub t4_ms: u64,
    /// After how long a next hop that said nothing at all is given up, for failover. Never longer than timers B and F.
    pub next_hop_timeout_ms: u64,
}

impl Timers {
    /// How long a silent next hop of an INVITE has when there is another one: five sixths of the usual time, so that the call
    /// gets through within that.
    pub fn failover_ms(&self) -> u64 {
        self.invite_patience_ms() * 5 / 6
    }

    /// The RFC's values.
    pub const DEFAULT: Self = Self {
        t1_ms: 500,
        t2_ms: 4000,
        t4_ms: 5000,
        next_hop_timeout_ms: 3000,
    };

    /// 64*T1: timers B, F, H, J (unreliable), L and M.
    pub const fn lifetime_ms(&self) -> u64 {
        64 * self.t1_ms
    }

    /// Timer D: at least 32 s on an unreliable transport (RFC 3261 §17.1.1.2).
    pub const fn d_ms(&self) -> u64 {
        if self.lifetime_ms() > 32_000 {
            self.lifetime_ms()
        } else {
            32_000
        }
    }

    /// When a client's timer E would be reset to T2: a 100 to a non-INVITE request is sent no earlier
    /// (RFC 4320 §4.1).
    pub const fn trying_after_ms(&self) -> u64 {
        let mut interval = self.t1_ms;
        let mut at = 0;
        while interval < self.t2_ms {
            at += interval;
            interval *= 2;
        }
        at
    }

    /// After how long a next hop that says nothing to an INVITE is given up.
    pub fn invite_patience_ms(&self) -> u64 {
        self.lifetime_ms().min(self.next_hop_timeout_ms)
    }

    /// After how long a next hop that says nothing to a non-INVITE request is given up: it may not send a 100 any
    /// earlier than [`trying_after_ms`](Self::trying_after_ms), and that takes a round trip.
    pub const fn non_invite_patience_ms(&self) -> u64 {
        let earliest = self.trying_after_ms() + self.t1_ms;
        if self.next_hop_timeout_ms > earliest {
            self.next_hop_timeout_ms
        } else {
            earliest
        }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self::DEFAULT
    }
}
