//! One connection: its state, and when its patience ends.
//!
//! ```text
//!  connect ──> Connecting ──> Open ──EOF or unframeable──> Closing ──> gone
//!  accept  ───────────────────^│                               ^
//!                 failure, timeout, reset ─────────────────────┴─────> gone
//! ```

use std::net::IpAddr;

use socket2::Socket;
use strowger_sip::{Flow, Source};
use strowger_syntax::message::stream::Framer;

use super::awaited::Awaited;
use super::output::Output;
use crate::epoll::{Interest, Token};
use crate::options::ConnectionOptions;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Being established since then (monotonic nanoseconds); messages wait in the output.
    Connecting { since: u64 },
    /// In use.
    Open,
    /// Nothing is read any more; what was accepted for it is still written.
    Closing { until: u64, ending: Ending },
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The peer has closed its side: ours is closed when all is written and the time is over.
    PeerDone,
    /// We end it: our side is shut down as soon as all is written.
    Ours,
    /// Our side is shut down: what the peer still sends is discarded until it closes its side, because closing with
    /// unread bytes would reset the connection and could destroy our last message on its way.
    Shut,
}

/// Whose idea a connection was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    /// Ours.
    Opened,
    /// The peer's, and the source it is counted under; `None` when that is exempt.
    Accepted { counted: Option<IpAddr> },
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) flow: Flow,
    /// What its messages come from.
    pub(super) source: Source,
    pub(super) state: State,
    pub(super) party: Party,
    pub(super) since: u64,
    pub(super) framer: Framer,
    /// The beginning of a message that is not complete. It owns no memory while there is none.
    pub(super) input: Vec<u8>,
    /// When that message began.
    pub(super) input_since: u64,
    pub(super) output: Output,
    /// What was written and waits for its answer.
    pub(super) awaited: Awaited,
    /// When anything last came or went.
    pub(super) traffic_at: u64,
    /// When a message last came.
    pub(super) message_at: u64,
    pub(super) interest: Interest,
    /// Whether it is in the list of those that are looked after closely.
    pub(super) watched: bool,
}

impl Connection {
    pub(super) fn new(
        socket: Socket,
        source: Source,
        flow: Flow,
        state: State,
        party: Party,
        framer: Framer,
        now: u64,
    ) -> Self {
        let interest = match state {
            State::Connecting { .. } => Interest::Write,
            _ => Interest::Read,
        };
        Self {
            socket,
            flow,
            source,
            state,
            party,
            since: now,
            framer,
            input: Vec::new(),
            input_since: now,
            output: Output::default(),
            awaited: Awaited::default(),
            traffic_at: now,
            message_at: 0,
            interest,
            watched: false,
        }
    }

    pub(super) fn token(&self) -> Token {
        let Flow {
            index, generation, ..
        } = self.flow;
        Token::Connection {
            index,
            generation: generation & crate::epoll::GENERATION_BITS,
        }
    }

    /// Whether messages are still accepted for it.
    pub(super) fn takes_messages(&self) -> bool {
        !matches!(
            self.state,
            State::Closing {
                ending: Ending::Shut,
                ..
            }
        )
    }

    /// Whether answers would be heard.
    pub(super) fn hears(&self) -> bool {
        !matches!(self.state, State::Closing { .. })
    }

    /// Whether a message can be written at once: it is established and nothing waits before it.
    pub(super) fn can_write(&self) -> bool {
        !matches!(self.state, State::Connecting { .. }) && self.output.is_empty()
    }

    /// What to hear about its socket, if so many bytes may wait for it.
    ///
    /// A peer that does not read what it asked for is not asked for more. One that we connected to, or trust, is read
    /// nevertheless, and what finds no room is refused: if it waits in the same way for us to read, nothing would ever go on.
    pub(super) fn wanted_interest(&self, backlog: usize) -> Interest {
        let waits = !self.output.is_empty();
        match (self.state, waits) {
            (State::Connecting { .. }, _) => Interest::Write,
            (State::Open, false)
            | (
                State::Closing {
                    ending: Ending::Shut, ..
                },
                _,
            ) => Interest::Read,
            (State::Open, true) if self.output.len() > self.read_up_to(backlog) => Interest::Write,
            (State::Open, true) => Interest::ReadWrite,
            (State::Closing { .. }, true) => Interest::Write,
            (State::Closing { .. }, false) => Interest::Nothing,
        }
    }

    /// How many bytes may wait for it while it is read.
    fn read_up_to(&self, backlog: usize) -> usize {
        match self.party {
            Party::Opened | Party::Accepted { counted: None } => backlog,
            Party::Accepted { counted: Some(_) } => backlog / 4,
        }
    }

    /// When it has to be closed for what it is busy with, if it is busy; monotonic nanoseconds.
    pub(super) fn busy_deadline(&self, options: &ConnectionOptions) -> Option<u64> {
        let stalled = (!self.output.is_empty()).then(|| later(self.output.progress_at(), options.stall));
        match self.state {
            State::Connecting { since } => Some(later(since, options.connect)),
            State::Closing { until, .. } => Some(stalled.unwrap_or(until)),
            State::Open => {
                let is_read = self.interest != Interest::Write;
                let begun = is_read && !self.input.is_empty();
                let partial = begun.then(|| later(self.input_since, options.partial));
                let is_silent = self.message_at == 0 && self.party != Party::Opened;
                let silent = is_silent.then(|| later(self.since, options.silent));
                [stalled, partial, silent].into_iter().flatten().min()
            }
        }
    }

    /// When it has to be closed because nothing came or went, and no answer can be on its way; monotonic nanoseconds.
    pub(super) fn idle_deadline(&self, options: &ConnectionOptions) -> u64 {
        later(self.traffic_at, options.idle).max(self.awaited.until())
    }
}

/// A point in time, so much later.
pub(super) fn later(time: u64, by: std::time::Duration) -> u64 {
    time.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX))
}
