//! What each shard counts: plain numbers that one thread writes and anyone may read.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only its shard's thread changes.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Its value.
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    // One writer: a load and a store do, a locked instruction is not needed.
    pub(crate) fn add(&self, amount: u64) {
        self.0.store(self.read().wrapping_add(amount), Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// How a count is to be read (the Prometheus types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

macro_rules! counters {
    ($($kind:ident $field:ident $name:literal $help:literal;)*) => {
        /// The counts of one shard.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Counters {
            $(#[doc = $help] pub $field: Count,)*
        }

        impl Counters {
            /// Name, meaning, kind and value of every count, for a metrics page.
            pub fn each(&self, mut visit: impl FnMut(&'static str, &'static str, CountKind, u64)) {
                $(visit($name, $help, CountKind::$kind, self.$field.read());)*
            }
        }
    };
}

counters! {
    Counter turns "strowger_shard_turns_total" "Turns of the shard loop.";
    Counter datagrams_received "strowger_datagrams_received_total" "Datagrams received.";
    Counter datagram_bytes_received "strowger_datagram_bytes_received_total" "Bytes of datagrams received.";
    Counter receive_batches "strowger_receive_batches_total" "System calls that received datagrams.";
    Counter datagrams_sent "strowger_datagrams_sent_total" "Datagrams sent.";
    Counter datagram_bytes_sent "strowger_datagram_bytes_sent_total" "Bytes of datagrams sent.";
    Counter send_batches "strowger_send_batches_total" "System calls that sent datagrams.";
    Counter datagrams_dropped_by_kernel "strowger_datagrams_dropped_by_kernel_total"
        "Datagrams that the kernel dropped because a receive buffer was full.";
    Counter datagrams_truncated "strowger_datagrams_truncated_total" "Datagrams dropped because they were cut off.";
    Counter datagrams_not_sent "strowger_datagrams_not_sent_total"
        "Datagrams dropped because the send backlog was full or the kernel refused them.";
    Counter icmp_errors "strowger_icmp_errors_total" "ICMP errors that came back for datagrams.";
    Counter hops_out "strowger_hops_out_total"
        "Messages, ICMP errors and stream sends handed to other shards.";
    Counter hops_in "strowger_hops_in_total"
        "Messages, ICMP errors and stream sends taken from other shards.";
    Counter ring_drops "strowger_ring_drops_total"
        "Messages, ICMP errors and reports of failed sends dropped because a ring between shards was full.";
    Counter ring_refusals "strowger_ring_refusals_total"
        "Stream sends that failed because a ring between shards was full.";
    Counter bells "strowger_shard_bells_total" "Wake-ups of other shards.";
    Gauge connections_open "strowger_connections_open" "Connections open or being opened.";
    Counter connections_accepted "strowger_connections_accepted_total" "Connections accepted.";
    Counter connections_refused "strowger_connections_refused_total"
        "Connections closed at once because a limit was reached.";
    Counter connections_opened "strowger_connections_opened_total" "Connections established to others.";
    Counter connects_failed "strowger_connects_failed_total" "Connections to others that were not established.";
    Counter connections_timed_out "strowger_connections_timed_out_total"
        "Connections closed because the peer was idle or too slow.";
    Counter connections_unframeable "strowger_connections_unframeable_total"
        "Connections closed because the end of a message could not be told.";
    Counter stream_messages_received "strowger_stream_messages_received_total" "Messages received over connections.";
    Counter stream_bytes_received "strowger_stream_bytes_received_total" "Bytes received over connections.";
    Counter stream_messages_sent "strowger_stream_messages_sent_total"
        "Messages written to or queued for connections.";
    Counter stream_bytes_sent "strowger_stream_bytes_sent_total" "Bytes written to connections.";
    Counter stream_messages_refused "strowger_stream_messages_refused_total"
        "Messages not queued because a connection's backlog was full.";
    Counter pings_answered "strowger_pings_answered_total" "Keep-alive pings answered (RFC 5626 §4.4.1).";
}

impl Counters {
    /// Messages that came over the network and from other shards.
    pub(crate) fn messages_received(&self) -> u64 {
        let came = self.datagrams_received.read() + self.stream_messages_received.read();
        came + self.hops_in.read()
    }

    /// Adds another shard's counts into sums of the same order as [`Counters::each`] visits.
    pub fn add_to(&self, sums: &mut Vec<u64>) {
        let mut position = 0;
        self.each(|_, _, _, value| {
            match sums.get_mut(position) {
                Some(sum) => *sum = sum.wrapping_add(value),
                None => sums.push(value),
            }
            position += 1;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sums_add_up() {
        let counters = Counters::default();
        counters.turns.add(3);
        let mut names = Vec::new();
        counters.each(|name, _, _, _| names.push(name));
        let mut sums = Vec::new();
        counters.add_to(&mut sums);
        counters.add_to(&mut sums);
        assert_eq!(sums.len(), names.len());
        assert_eq!(sums[0], 6);
        names.sort_unstable();
        names.dedup();
        assert_eq!(sums.len(), names.len());
    }
}
