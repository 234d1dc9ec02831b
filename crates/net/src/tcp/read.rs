//! Reading: bytes into messages (RFC 3261 §18.3), pings into pongs (RFC 5626 §4.4.1).

use std::io;

use socket2::Socket;
use strowger_sip::{Failure, Flow, Source};
use strowger_syntax::message::stream::{Frame, FrameError};

use super::connection::{Connection, Ending, State, later};
use super::{Connections, LANDING};
use crate::counters::Counters;
use crate::epoll::Readiness;

/// What was read from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input<'a> {
    /// One message; or the head of one whose end cannot be told, after which the connection closes.
    Message(&'a [u8]),
    /// So many keep-alive pings, each to be answered.
    Pings(usize),
}

/// So long a beginning of a message is moved before what follows it.
const SHORT: usize = 4 << 10;

/// What the bytes read so far leave.
enum Leftover {
    /// So many bytes at the end belong to a message that is not complete.
    Bytes(usize),
    /// The end of the message cannot be told, so nothing behind it can be read.
    Unframeable,
    /// The message is too large.
    TooLarge,
}

/// What a read made of a connection.
enum Outcome {
    Bytes(usize),
    Nothing,
    EndOfStream,
    Failed(Failure),
}

impl Outcome {
    /// Bytes read.
    fn count(&self) -> usize {
        match *self {
            Self::Bytes(count) => count,
            _ => 0,
        }
    }
}

impl Connections {
    /// Does what a connection is ready for; `deliver` gets what it sent.
    pub(crate) fn ready(
        &mut self,
        readiness: Readiness,
        index: u32,
        generation: u32,
        now: u64,
        deliver: &mut impl FnMut(Input<'_>, &Source),
    ) {
        let Some(flow) = self.resolve(index, generation) else {
            return;
        };
        let Some(connection) = self.get(flow) else {
            return;
        };
        match connection.state {
            State::Connecting { .. } => self.finish_connect(flow, now),
            State::Closing { .. } if readiness.is_error() => self.close(index, Failure::Closed, now),
            _ => {
                if readiness.is_writable() {
                    self.write_waiting(flow, now);
                }
                if readiness.is_readable() || readiness.is_error() {
                    self.read(flow, now, deliver);
                }
                let is_open = |connection: &Connection| connection.state == State::Open;
                if readiness.is_ended() && self.get(flow).is_some_and(is_open) {
                    // The end is read in the same turn, if no more than one read takes is before it, so that what answers a peer's
                    // last words does not go by it.
                    self.read(flow, now, deliver);
                }
            }
        }
    }

    fn read(&mut self, flow: Flow, now: u64, deliver: &mut impl FnMut(Input<'_>, &Source)) {
        let mut landing = std::mem::take(&mut self.landing);
        self.read_with(flow, &mut landing, now, deliver);
        self.landing = landing;
    }

    fn read_with(
        &mut self,
        flow: Flow,
        landing: &mut [u8],
        now: u64,
        deliver: &mut impl FnMut(Input<'_>, &Source),
    ) {
        let Some(connection) = self.get_mut(flow) else {
            return;
        };
        if matches!(connection.state, State::Closing { .. }) {
            return self.discard(flow, landing, now);
        }
        // The beginning of a message is short nearly always. It goes before what is read now, in the shard's landing zone;
        // behind a long one the connection's own memory is read into.
        let mut input = std::mem::take(&mut connection.input);
        let kept = input.len();
        let is_short = kept <= SHORT;
        let outcome = if is_short {
            landing[..kept].copy_from_slice(&input);
            receive(&connection.socket, &mut landing[kept..])
        } else {
            input.resize(kept + kept.min(LANDING), 0);
            let outcome = receive(&connection.socket, &mut input[kept..]);
            input.truncate(kept + outcome.count());
            outcome
        };
        match outcome {
            Outcome::Bytes(count) => {
                connection.traffic_at = now;
                let counters = &self.around.counters;
                counters.stream_bytes_received.add(count as u64);
                let Some(connection) = self.slots[flow.index as usize].connection.as_mut() else {
                    return;
                };
                let all: &[u8] = if is_short {
                    &landing[..kept + count]
                } else {
                    &input
                };
                let left = take_frames(connection, kept, all, now, counters, deliver);
                let landed = is_short.then(|| &landing[..kept + count]);
                self.keep_leftover(flow, left, input, landed, now);
            }
            Outcome::Nothing => connection.input = input,
            Outcome::EndOfStream => {
                self.keep_buffer(input);
                self.end_by_peer(flow, now);
            }
            Outcome::Failed(failure) => {
                self.keep_buffer(input);
                self.close(flow.index, failure, now);
            }
        }
    }

    /// Keeps the beginning of an incomplete message for the next read, or begins to end the connection. What was read is what
    /// landed, else the connection's input.
    fn keep_leftover(
        &mut self,
        flow: Flow,
        left: Leftover,
        mut input: Vec<u8>,
        landed: Option<&[u8]>,
        now: u64,
    ) {
        match left {
            Leftover::Bytes(0) => self.keep_buffer(input),
            Leftover::Bytes(rest) => {
                match landed {
                    Some(landed) => {
                        if input.capacity() == 0 {
                            input = self.spare_buffer();
                        }
                        input.clear();
                        input.extend_from_slice(&landed[landed.len() - rest..]);
                    }
                    None => _ = input.drain(..input.len() - rest),
                }
                if let Some(connection) = self.get_mut(flow) {
                    connection.input = input;
                }
                self.look_after(flow.index);
            }
            Leftover::Unframeable => {
                self.keep_buffer(input);
                self.around.counters.connections_unframeable.add(1);
                self.begin_ending(flow, Ending::Ours, later(now, self.options.linger), now);
            }
            Leftover::TooLarge => {
                self.keep_buffer(input);
                self.around.counters.connections_unframeable.add(1);
                self.close(flow.index, Failure::Closed, now);
            }
        }
    }

    /// The peer has closed its side. If it has just sent a message it may wait for the answer, so ours stays open
    /// for a moment.
    fn end_by_peer(&mut self, flow: Flow, now: u64) {
        let linger = self.options.linger;
        let Some(connection) = self.get(flow) else {
            return;
        };
        let until = if connection.message_at == 0 {
            now
        } else {
            later(connection.message_at, linger)
        };
        self.begin_ending(flow, Ending::PeerDone, until, now);
    }

    /// Ends a connection that is in use, after what waits to be written.
    pub(super) fn end_ours(&mut self, flow: Flow, now: u64) {
        let is_open = self.get(flow).is_some_and(|c| c.state == State::Open);
        if is_open {
            self.begin_ending(flow, Ending::Ours, later(now, self.options.linger), now);
        }
    }

    fn begin_ending(&mut self, flow: Flow, ending: Ending, until: u64, now: u64) {
        let Some(connection) = self.get_mut(flow) else {
            return;
        };
        connection.state = State::Closing { until, ending };
        let source = connection.source;
        let written = connection.awaited.take(now);
        let unwritten = connection.output.give_up_requests();
        self.reports.all_unsent(written.chain(unwritten), Failure::Lost);
        self.forget_address(&source, flow);
        self.ending.push(flow);
        self.look_after(flow.index);
        self.update_interest(flow);
    }

    fn discard(&mut self, flow: Flow, landing: &mut [u8], now: u64) {
        let Some(connection) = self.get(flow) else {
            return;
        };
        match receive(&connection.socket, landing) {
            Outcome::Bytes(_) | Outcome::Nothing => {}
            Outcome::EndOfStream | Outcome::Failed(_) => self.close(flow.index, Failure::Closed, now),
        }
    }
}

fn receive(mut socket: &Socket, into: &mut [u8]) -> Outcome {
    match io::Read::read(&mut socket, into) {
        Ok(0) => Outcome::EndOfStream,
        Ok(count) => Outcome::Bytes(count),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Outcome::Nothing,
            _ => Outcome::Failed(Failure::Closed),
        },
    }
}

/// A message without the empty lines before it (RFC 3261 §7.5).
fn without_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    bytes
}

/// Delivers every complete frame of the bytes, of which the first `kept` were there before this read.
fn take_frames(
    connection: &mut Connection,
    kept: usize,
    all: &[u8],
    now: u64,
    counters: &Counters,
    deliver: &mut impl FnMut(Input<'_>, &Source),
) -> Leftover {
    let mut rest = all;
    let source = connection.source;
    while !rest.is_empty() {
        match connection.framer.next(rest) {
            Ok(Frame::Incomplete) => break,
            Ok(Frame::KeepAlive { len, pings }) => {
                if pings > 0 {
                    counters.pings_answered.add(pings as u64);
                    deliver(Input::Pings(pings), &source);
                }
                rest = &rest[len.min(rest.len())..];
            }
            Ok(Frame::Message { skip, len }) => {
                counters.stream_messages_received.add(1);
                connection.message_at = now;
                deliver(Input::Message(&rest[skip..skip + len]), &source);
                rest = &rest[skip + len..];
            }
            Err(FrameError::Unframeable { head_len }) => {
                counters.stream_messages_received.add(1);
                connection.message_at = now;
                let head = &rest[..head_len.min(rest.len())];
                deliver(Input::Message(without_empty_lines(head)), &source);
                return Leftover::Unframeable;
            }
            Err(_) => return Leftover::TooLarge,
        }
    }
    if kept == 0 || rest.len() < all.len() {
        // What is left is the beginning of another message than before.
        connection.input_since = now;
    }
    Leftover::Bytes(rest.len())
}
