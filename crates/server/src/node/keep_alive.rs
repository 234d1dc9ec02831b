//! What comes to keep a flow open: empty datagrams, and STUN Binding requests (RFC 5626 §8). Connections answer their own
//! pings (RFC 5626 §4.4.1), below the node.

use strowger_sip::transport::stun::{self, Binding};
use strowger_sip::transport::{KeepAlive, keep_alive};
use strowger_sip::{Destination, Outbox, Source};

use super::Node;
use super::trace::Step;

impl Node {
    /// Deals with a datagram if it only keeps its flow open; false when it is to be read as a message.
    pub(super) fn is_keep_alive(&self, datagram: &[u8], source: &Source, out: &mut Outbox) -> bool {
        match keep_alive(datagram) {
            None => false,
            Some(KeepAlive::Empty) => {
                self.tally.empty_datagram();
                self.trace.note(|| Step::KeepAlive { stun: None });
                true
            }
            // One question to a group would get as many answers as there are servers in it.
            Some(KeepAlive::Stun) if source.is_multicast() => {
                self.tally.stun_dropped();
                true
            }
            Some(KeepAlive::Stun) => {
                self.answer_stun(datagram, source, out);
                true
            }
        }
    }

    /// RFC 5626 §8: whoever sends a Binding request is told where it came from, from where it was sent to
    /// (RFC 8489 §6.3.1.2).
    fn answer_stun(&self, datagram: &[u8], source: &Source, out: &mut Outbox) {
        let start = out.bytes.len();
        let binding = stun::answer(datagram, source.remote, &mut out.bytes);
        match binding {
            Binding::Answered => self.tally.stun_answered(),
            Binding::Refused => self.tally.stun_refused(),
            Binding::Indication => self.tally.empty_datagram(),
            Binding::Dropped => self.tally.stun_dropped(),
        }
        if out.bytes.len() > start {
            let to = Destination::Datagram {
                listener: source.listener,
                from: Some(source.local.ip()),
                to: source.remote,
            };
            out.send_from(start, to, 0);
        }
        self.trace.note(|| Step::KeepAlive {
            stun: Some(binding == Binding::Answered),
        });
    }
}
