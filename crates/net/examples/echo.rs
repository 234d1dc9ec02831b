//! The smallest application of a shard: it sends every message back to where it came from.
//!
//! `echo ADDRESS [COUNT]` answers datagrams and TCP messages at an address, and ends after so many. What the loop
//! itself costs is what a profiler says about two runs with different counts, their difference divided by the
//! difference of the counts.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};

use strowger_net::{Application, Handled, Listen, Listener, Options, start};
use strowger_sip::{Destination, Failure, Flow, Now, Outbox, Source};
use strowger_syntax::{Index, Transport};

/// Counts down what it has yet to answer.
struct Echo {
    left: u64,
    /// Told when the last one was answered.
    end: Sender<()>,
}

impl Application for Echo {
    type Control = ();

    fn receive(
        &mut self,
        bytes: &[u8],
        _index: &mut Index,
        source: &Source,
        _now: Now,
        out: &mut Outbox,
    ) -> Handled {
        let to = match source.flow {
            Some(flow) => Destination::Flow(flow),
            None => Destination::Datagram {
                listener: source.listener,
                from: Some(source.local.ip()),
                to: source.remote,
            },
        };
        out.send(bytes, to, 0);
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            // The end does not need to be told twice.
            let _ = self.end.send(());
        }
        Handled::Done
    }

    fn receive_hop(&mut self, _bytes: &[u8], _index: &Index, _source: &Source, _now: Now, _out: &mut Outbox) {
    }

    fn send_failed(&mut self, _token: u64, _failure: Failure, _now: Now, _out: &mut Outbox) {}

    fn unreachable(
        &mut self,
        _remote: SocketAddr,
        _failure: Failure,
        _quoted: &[u8],
        _now: Now,
        _out: &mut Outbox,
    ) -> Handled {
        Handled::Done
    }

    fn flow_closed(&mut self, _flow: Flow, _now: Now, _out: &mut Outbox) {}

    fn control(&mut self, _control: (), _now: Now, _out: &mut Outbox) {}

    fn deadline(&self) -> Option<u64> {
        None
    }

    fn wake(&mut self, _now: Now, _out: &mut Outbox) {}

    fn turn_ended(&mut self, _now: Now) {}

    fn is_idle(&self) -> bool {
        true
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address: SocketAddr = args.next().ok_or("usage: echo ADDRESS [COUNT]")?.parse()?;
    let count = args.next().map_or(Ok(u64::MAX), |count| count.parse())?;
    let options = Options::default();
    let listeners = [Transport::Udp, Transport::Tcp]
        .map(|transport| Listener::bind(Listen { transport, address }, &options))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let (end, ended) = channel();
    let shards = start(listeners, &options, |_| Echo {
        left: count,
        end: end.clone(),
    })?;
    ended.recv()?;
    shards.stop();
    shards.join().map_err(|_| "a shard has panicked")?;
    Ok(())
}
