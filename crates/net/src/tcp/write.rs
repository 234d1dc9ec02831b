//! Writing: one system call per connection and turn, and what to do when the peer does not take it all.

use std::io::{self, IoSlice};
use std::ops::Range;

use strowger_sip::{Failure, Flow};

use super::connection::{Connection, Ending, State, later};
use super::{Connections, Sender, failure_of};
use crate::options::ConnectionOptions;

/// A message for a connection of this shard, among the bytes of this turn.
#[derive(Clone, Debug)]
pub(super) struct Staged {
    flow: Flow,
    /// The order in which they were staged.
    sequence: u32,
    span: Range<u32>,
    sender: Sender,
}

impl Staged {
    fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.span.start as usize..self.span.end as usize]
    }
}

/// Messages that one system call writes at most.
const SLICES: usize = 64;

/// How far a group of messages got.
enum Written {
    /// This many bytes were taken; the connection takes no more for the time being if it is not all.
    Bytes(usize),
    Failed(Failure),
}

impl Connections {
    /// Notes a message to be written by [`flush`](Self::flush), which gets the bytes that the span means.
    #[inline(never)]
    pub(crate) fn stage(&mut self, flow: Flow, span: Range<u32>, token: u64, origin: u16) {
        if span.is_empty() {
            return;
        }
        if self.takes(flow, token) {
            let sequence = self.staged.len() as u32;
            self.staged.push(Staged {
                flow,
                sequence,
                span,
                sender: Sender { token, origin },
            });
        } else {
            self.reports.unsent(origin, token, Failure::Closed);
        }
    }

    /// Whether [`flush`](Self::flush) has anything to do.
    pub(crate) fn has_work(&self) -> bool {
        !self.staged.is_empty() || !self.ending.is_empty()
    }

    /// Writes what was staged, then ends the connections that end with this turn.
    #[inline(never)]
    pub(crate) fn flush(&mut self, bytes: &[u8], now: u64) {
        let mut staged = std::mem::take(&mut self.staged);
        if staged.len() > 1 {
            staged.sort_unstable_by_key(|s| (s.flow.index, s.flow.generation, s.sequence));
        }
        let mut rest = staged.as_slice();
        while let Some(first) = rest.first() {
            let len = rest.iter().take_while(|s| s.flow == first.flow).count();
            let (group, later) = rest.split_at(len);
            self.write_group(first.flow, group, bytes, now);
            rest = later;
        }
        staged.clear();
        self.staged = staged;
        while let Some(flow) = self.ending.pop() {
            self.end(flow, now);
        }
    }

    /// Writes the messages for one connection.
    fn write_group(&mut self, flow: Flow, group: &[Staged], bytes: &[u8], now: u64) {
        let mut rest = group;
        while !rest.is_empty() {
            let Some(connection) = self.get_mut(flow).filter(|c| c.takes_messages()) else {
                return self.fail(rest, Failure::Closed);
            };
            if !connection.can_write() {
                return self.queue(flow, rest, 0, bytes, now);
            }
            let (chunk, after) = rest.split_at(rest.len().min(SLICES));
            let total: usize = chunk.iter().map(|s| s.span.len()).sum();
            match write_chunk(connection, chunk, bytes) {
                Written::Bytes(count) => {
                    connection.traffic_at = now;
                    if count == total {
                        await_answers(connection, chunk, now);
                    }
                    self.around.counters.stream_bytes_sent.add(count as u64);
                    if count < total {
                        return self.queue(flow, rest, count, bytes, now);
                    }
                    self.around.counters.stream_messages_sent.add(chunk.len() as u64);
                    rest = after;
                }
                Written::Failed(failure) => {
                    self.fail(rest, failure);
                    return self.close(flow.index, failure, now);
                }
            }
        }
    }

    /// Queues messages of which the first `written` bytes have gone already.
    fn queue(&mut self, flow: Flow, group: &[Staged], written: usize, bytes: &[u8], now: u64) {
        let mut gone = written;
        let mut buffers = std::mem::take(&mut self.buffers);
        for staged in group {
            let message = staged.of(bytes);
            let sender = staged.sender;
            let backlog = self.backlog();
            let Some(connection) = self.get_mut(flow) else {
                break;
            };
            if gone >= message.len() {
                gone -= message.len();
                connection.awaited.note(sender, now);
                self.around.counters.stream_messages_sent.add(1);
                continue;
            }
            // A message that has begun must be finished, or the stream breaks.
            if gone > 0 || connection.output.len() + message.len() <= backlog {
                connection
                    .output
                    .append(&message[gone..], sender, now, &mut buffers);
                self.waiting += message.len() - gone;
                self.around.counters.stream_messages_sent.add(1);
            } else {
                self.around.counters.stream_messages_refused.add(1);
                self.reports.all_unsent([sender], Failure::Full);
            }
            gone = 0;
        }
        self.buffers = buffers;
        self.look_after(flow.index);
        self.update_interest(flow);
    }

    /// Bytes that may wait for one connection now.
    pub(super) fn backlog(&self) -> usize {
        let ConnectionOptions {
            backlog,
            backlog_of_all,
            ..
        } = self.options;
        if self.waiting < backlog_of_all {
            backlog
        } else {
            backlog / 16
        }
    }

    fn fail(&mut self, group: &[Staged], failure: Failure) {
        let senders = group.iter().map(|staged| staged.sender);
        self.reports.all_unsent(senders, failure);
    }

    /// Writes what waits, now that there is room.
    pub(super) fn write_waiting(&mut self, flow: Flow, now: u64) {
        let Some(connection) = self.get_mut(flow) else {
            return;
        };
        let before = connection.output.len();
        let result = {
            let Connection {
                output,
                awaited,
                socket,
                ..
            } = connection;
            output.write(socket, awaited, now)
        };
        let gone = before - connection.output.len();
        match result {
            Ok(count) => {
                connection.traffic_at = now;
                let emptied = connection.output.take_memory();
                let is_closing = matches!(connection.state, State::Closing { .. });
                self.around.counters.stream_bytes_sent.add(count as u64);
                if let Some(memory) = emptied {
                    self.keep_buffer(memory);
                    if is_closing {
                        self.ending.push(flow);
                    }
                }
                self.waiting -= gone;
                self.update_interest(flow);
            }
            Err(error) => {
                self.waiting -= gone;
                self.close(flow.index, failure_of(&error), now);
            }
        }
    }

    /// The socket of a connection that is being established has something to say.
    pub(super) fn finish_connect(&mut self, flow: Flow, now: u64) {
        let Some(connection) = self.get_mut(flow) else {
            return;
        };
        let failure = match connection.socket.take_error() {
            // The loop may hear of a socket before its handshake is over; only a peer's address proves it.
            Ok(None) if connection.socket.peer_addr().is_err() => return,
            Ok(None) => None,
            Ok(Some(error)) | Err(error) => Some(failure_of(&error)),
        };
        if let Some(failure) = failure {
            return self.close(flow.index, failure, now);
        }
        connection.state = State::Open;
        connection.traffic_at = now;
        self.around.counters.connections_opened.add(1);
        self.write_waiting(flow, now);
        self.look_after(flow.index);
    }

    /// Ends a connection as far as it can be: what waits to be written keeps it.
    fn end(&mut self, flow: Flow, now: u64) {
        let linger = self.options.linger;
        let Some(connection) = self.get_mut(flow) else {
            return;
        };
        let State::Closing { until, ending } = connection.state else {
            return;
        };
        if !connection.output.is_empty() {
            return;
        }
        match ending {
            Ending::PeerDone if until <= now => self.close(flow.index, Failure::Closed, now),
            Ending::PeerDone | Ending::Shut => {}
            Ending::Ours => {
                if connection.socket.shutdown(std::net::Shutdown::Write).is_err() {
                    return self.close(flow.index, Failure::Closed, now);
                }
                connection.state = State::Closing {
                    until: later(now, linger),
                    ending: Ending::Shut,
                };
                self.look_after(flow.index);
                self.update_interest(flow);
            }
        }
    }
}

fn write_chunk(connection: &Connection, chunk: &[Staged], bytes: &[u8]) -> Written {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let slices = gather(chunk, bytes, &mut slices);
    loop {
        let sent = match slices {
            // Where nothing has to be gathered this is the cheaper system call.
            [one] => connection.socket.send_with_flags(one, libc::MSG_NOSIGNAL),
            many => connection
                .socket
                .send_vectored_with_flags(many, libc::MSG_NOSIGNAL),
        };
        match sent {
            Ok(count) => return Written::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Written::Bytes(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Written::Failed(failure_of(&error)),
        }
    }
}

/// Notes which of the messages that were written are requests.
fn await_answers(connection: &mut Connection, chunk: &[Staged], now: u64) {
    for staged in chunk {
        connection.awaited.note(staged.sender, now);
    }
}

/// Where the messages are, those that stand one behind the other taken together.
fn gather<'a, 'b>(
    chunk: &[Staged],
    bytes: &'a [u8],
    slices: &'b mut [IoSlice<'a>; SLICES],
) -> &'b [IoSlice<'a>] {
    let mut used = 0;
    let groups = chunk.chunk_by(|one, next| one.span.end == next.span.start);
    for (slice, group) in slices.iter_mut().zip(groups) {
        if let [first, ..] = group
            && let [.., last] = group
        {
            *slice = IoSlice::new(&bytes[first.span.start as usize..last.span.end as usize]);
            used += 1;
        }
    }
    &slices[..used]
}
