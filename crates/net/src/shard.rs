//! The loop of one shard: take what the sockets and the other shards have, let the application work, send what it
//! wants sent, sleep until there is more or its next deadline comes.
//!
//! Here and below, what not every turn needs is kept out of line (`#[cold]`, `#[inline(never)]`): what every turn needs then stays
//! together, and its registers are not saved for the rest.

mod change;
mod crossing;
mod nap;
mod receive;
mod send;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;

use socket2::Socket;
use strowger_sip::{Now, Outbox};
use strowger_syntax::Transport;

use crate::application::Application;
use crate::change::{Change, Listening, Sockets, token_of};
use crate::clock::{self, NEVER};
use crate::counters::Counters;
use crate::epoll::{Events, Interest, Readiness, Token};
use crate::options::Options;
use crate::packet::{Packet, Pool};
use crate::ring::{Doorbell, Links};
use crate::shards::{Phase, Shared};
use crate::tcp::{Connections, Surroundings};
use crate::udp::{Batches, UdpSocket};
use crossing::Crossing;
use nap::Naps;

/// What a shard is made of, before its thread begins.
pub(crate) struct Seed {
    pub(crate) around: Surroundings,
    pub(crate) udp: Vec<Option<UdpSocket>>,
    pub(crate) groups: Vec<UdpSocket>,
    pub(crate) acceptors: Vec<(u16, Transport, Socket)>,
    pub(crate) links: Links,
    pub(crate) shared: Arc<Shared>,
}

/// What the control side sends to a shard.
pub(crate) struct Inbox<C> {
    pub(crate) control: Receiver<C>,
    /// A change of listeners and settings; one at a time.
    pub(crate) changes: Receiver<Box<Change<C>>>,
}

impl Seed {
    /// Gives a shard its sockets of a listener.
    pub(crate) fn take_sockets(&mut self, sockets: Sockets, options: &Options) {
        let Sockets {
            number,
            listen,
            socket,
            group,
        } = sockets;
        if listen.transport == Transport::Udp {
            let socket = UdpSocket::new(socket, number, listen.address, options.udp_backlog);
            self.udp.push(Some(socket));
        } else {
            self.udp.push(None);
            self.acceptors.push((number, listen.transport, socket));
        }
        self.groups.extend(group.map(|group| group.listen(number)));
    }
}

/// Has datagrams told of.
fn hear<'s>(
    around: &Surroundings,
    sockets: impl Iterator<Item = &'s UdpSocket>,
    token: fn(u16) -> Token,
) -> io::Result<()> {
    for socket in sockets {
        let token = token(socket.listener());
        around.epoll.add(socket.as_fd(), Interest::Read, token)?;
    }
    Ok(())
}

/// When an application wants to be woken, in monotonic nanoseconds.
fn wake_at(app: &impl Application) -> u64 {
    app.deadline().unwrap_or(NEVER)
}

/// Readiness events taken from the kernel in one turn.
const EVENTS: usize = 256;

/// Items taken from one ring in one turn: more than any shard puts into one, or rings would fill up.
const ITEMS_PER_TURN: usize = 1024;

/// And at least, whatever room there is for answers, so that no two shards wait for each other.
const ITEMS_PER_TURN_AT_LEAST: usize = 32;

/// Messages of connections after which no more connections are read in one turn, so that those who flood theirs cost
/// datagrams and other shards no more than a millisecond or two.
const STREAM_MESSAGES_PER_TURN: u64 = 128;

/// Messages of the control side taken in one turn.
const CONTROLS_PER_TURN: usize = 256;

/// How often what the application sends in answer to what happened while sending is sent in the same turn.
const FLUSH_ROUNDS: usize = 4;

/// How long something that waits for room in a ring waits; also how long at least passes between two calls of
/// `wake` by an application whose deadline does not move.
const RETRY_NS: u64 = 1_000_000;

/// One shard.
pub(super) struct Shard<A: Application> {
    id: u16,
    app: A,
    now: Now,
    /// What the application wants sent.
    out: Outbox,
    udp: Vec<Option<UdpSocket>>,
    /// Of multicast groups. Nothing is sent from them.
    groups: Vec<UdpSocket>,
    batches: Batches,
    datagrams_per_turn: usize,
    connections: Connections,
    crossing: Crossing,
    /// The index of a stream's message is made here, and its bytes are copied here if it has to travel.
    scratch: Box<Packet>,
    control: Receiver<A::Control>,
    changes: Receiver<Box<Change<A::Control>>>,
    listening: Arc<Listening>,
    doorbell: Arc<Doorbell>,
    counters: Arc<Counters>,
    around: Surroundings,
    shared: Arc<Shared>,
    /// Work is left over for the next turn, which is to follow at once.
    more: bool,
    /// Something waits for room in a ring.
    waits: bool,
    /// When the application wanted to be woken next, at the end of the last turn.
    wake_at: u64,
    woken: bool,
    draining: bool,
    naps: Naps,
}

impl<A: Application> Shard<A> {
    pub(crate) fn new(seed: Seed, app: A, inbox: Inbox<A::Control>, options: &Options) -> io::Result<Self> {
        let Seed {
            around,
            udp,
            groups,
            acceptors,
            links,
            shared,
        } = seed;
        let id = around.shard;
        let doorbell = Arc::clone(&shared.doorbells[usize::from(id)]);
        around
            .epoll
            .add(doorbell.as_fd(), Interest::Ringing, Token::Bell)?;
        hear(&around, udp.iter().flatten(), Token::Udp)?;
        hear(&around, groups.iter(), Token::Group)?;
        let mut connections = Connections::new(around.clone(), options);
        for (listener, transport, socket) in acceptors {
            around
                .epoll
                .add(socket.as_fd(), Interest::Read, token_of(listener, transport))?;
            connections.listen(socket, listener, transport);
        }
        let mut pool = Pool::new(id, options.ring);
        Ok(Self {
            id,
            wake_at: wake_at(&app),
            app,
            now: Now::default(),
            out: Outbox::default(),
            udp,
            groups,
            batches: Batches::new(&mut pool),
            datagrams_per_turn: options.datagrams_per_turn.max(1),
            connections,
            scratch: pool.take(),
            crossing: Crossing {
                links,
                pool,
                counters: Arc::clone(&around.counters),
            },
            control: inbox.control,
            changes: inbox.changes,
            listening: Arc::clone(&around.listening),
            doorbell,
            counters: Arc::clone(&around.counters),
            around,
            shared,
            more: true,
            waits: false,
            woken: false,
            draining: false,
            naps: Naps::new(options.longest_nap),
        })
    }

    /// Turns until the shards are stopped, or have been drained.
    pub(crate) fn run(mut self) {
        clock::nap_exactly();
        let mut events = Events::new(EVENTS);
        loop {
            self.rest(&mut events);
            self.counters.turns.add(1);
            self.now = clock::now();
            let counters = &self.counters;
            self.naps
                .measure(self.now.mono_ns, || counters.messages_received());
            self.turn(&events);
            if self.is_over() {
                return;
            }
        }
    }

    fn turn(&mut self, events: &Events) {
        self.more = false;
        self.take_events(events);
        self.take_items();
        self.take_controls();
        if self.connections.deadline() <= self.now.mono_ns {
            self.connections.sweep(self.now.mono_ns);
        }
        // What has come up only in this turn makes the next one follow at once.
        self.woken = self.wake_at <= self.now.mono_ns;
        if self.woken {
            self.app.wake(self.now, &mut self.out);
        }
        self.flush();
        self.app.turn_ended(self.now);
        self.wake_at = wake_at(&self.app);
    }

    /// Takes what epoll tells. What is left out is told again, for it is level-triggered; another one begins each time, or
    /// the last ones might never have their turn.
    fn take_events(&mut self, events: &Events) {
        let first = match events.len() {
            0 | 1 => 0,
            several => self.counters.turns.read() as usize % several,
        };
        let before = self.counters.stream_messages_received.read();
        let (mut left_out, mut is_held) = (false, None);
        for position in first..first + events.len() {
            let position = position.checked_sub(events.len()).unwrap_or(position);
            let readiness = events.get(position);
            // While another shard does not keep up, nothing is read that might have to wait for it.
            let is_late = matches!(readiness.token, Token::Connection { .. })
                && (self.counters.stream_messages_received.read() - before >= STREAM_MESSAGES_PER_TURN
                    || *is_held.get_or_insert_with(|| self.waits || self.crossing.links.is_crowded()));
            if is_late {
                left_out = true;
            } else {
                self.take_event(readiness);
            }
        }
        if left_out {
            // Among so many connections that are ready epoll tells of a datagram rarely.
            for listener in 0..self.udp.len() {
                self.receive_datagrams(Token::Udp(listener as u16));
            }
        }
    }

    fn take_event(&mut self, readiness: Readiness) {
        match readiness.token {
            // What it was rung for is looked for in every turn.
            Token::Bell => {}
            Token::Udp(listener) => {
                if readiness.is_error() {
                    self.take_udp_errors(listener);
                }
                if readiness.is_readable() {
                    self.receive_datagrams(readiness.token);
                }
                if readiness.is_writable() {
                    self.send_udp_backlog(listener);
                }
            }
            Token::Group(_) => {
                self.receive_datagrams(readiness.token);
            }
            Token::Acceptor(listener) => {
                self.connections.accept(listener, self.now.mono_ns);
            }
            Token::Connection { index, generation } => self.read_connection(readiness, index, generation),
        }
    }

    /// Waits for something to do.
    fn rest(&mut self, events: &mut Events) {
        if self.shared.share_cpus {
            // While the others have their turn, more comes for the next one here, and nobody has to be woken.
            thread::yield_now();
        }
        let nap_ns = self.naps.length_ns();
        if nap_ns != 0 && !self.more {
            // Whoever has something to do does not nap.
            self.around.epoll.wait(events, 0);
            if !events.is_empty() {
                return;
            }
            // A deadline may pass meanwhile: a sleep by epoll's milliseconds would be later still.
            if self.crossing.links.is_empty() {
                clock::nap(nap_ns);
            }
        }
        let timeout = self.fall_asleep();
        self.around.epoll.wait(events, timeout);
        self.doorbell.rise();
    }

    /// How long to sleep, in the unit of epoll. From here on other threads ring the bell for what they bring.
    fn fall_asleep(&mut self) -> i32 {
        if self.more {
            return 0;
        }
        // The time at which the turn began: a wake-up that is late by the length of a turn is not worth another look at
        // the clock.
        let now = self.now.mono_ns;
        let mut wake_at = self.wake_at.min(self.connections.deadline());
        if self.woken {
            wake_at = wake_at.max(now + RETRY_NS);
        }
        if self.waits {
            wake_at = wake_at.min(now + RETRY_NS);
        }
        if self.draining {
            wake_at = wake_at.min(self.shared.drain_until());
        }
        self.doorbell.fall_asleep();
        let has_to_end = match self.shared.phase() {
            Phase::Running => false,
            Phase::Draining => !self.draining,
            Phase::Stopped => true,
        };
        if has_to_end || self.doorbell.has_control() || !self.crossing.links.is_empty() {
            self.doorbell.rise();
            return 0;
        }
        if wake_at == NEVER {
            return -1;
        }
        let ms = wake_at.saturating_sub(now).div_ceil(1_000_000);
        i32::try_from(ms).unwrap_or(i32::MAX)
    }

    /// Whether this was the last turn.
    fn is_over(&mut self) -> bool {
        match self.shared.phase() {
            Phase::Running => false,
            Phase::Stopped => true,
            Phase::Draining => {
                if !self.draining {
                    self.draining = true;
                    self.connections.stop_accepting();
                }
                let is_idle = !self.more
                    && !self.waits
                    && self.app.is_idle()
                    && !self.connections.has_output()
                    && self.udp.iter().flatten().all(|socket| !socket.has_backlog());
                self.doorbell.set_idle(is_idle);
                let is_over =
                    self.now.mono_ns >= self.shared.drain_until() || (is_idle && self.shared.are_all_idle());
                if is_over {
                    self.shared.stop();
                }
                is_over
            }
        }
    }
}
