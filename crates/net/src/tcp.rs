//! Connections of one shard: accepted and opened, read, written and closed (RFC 3261 §18).

mod accept;
mod awaited;
mod connection;
mod output;
mod read;
mod watch;
mod write;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use strowger_sip::transaction::awaits_answer;
use strowger_sip::{Failure, Flow, Source};
use strowger_syntax::message::stream::Framer;
use strowger_syntax::{Limits, Transport};

use crate::change::Listening;
use crate::counters::Counters;
use crate::directory::{Directory, normalised};
use crate::epoll::{Epoll, GENERATION_BITS, Interest};
use crate::listener::Listen;
use crate::options::{ConnectionOptions, Options};
use crate::sources::Connected;
use accept::Acceptor;
use connection::{Connection, Party, State};
pub(crate) use read::Input;
use write::Staged;

/// A message that could not be sent, or a request that no more answer can come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsent {
    /// The shard that asked for it.
    pub(crate) origin: u16,
    /// Its token; never 0.
    pub(crate) token: u64,
    /// Why.
    pub(crate) failure: Failure,
}

/// Who wants to know what becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sender {
    /// The token of the message.
    token: u64,
    /// The shard that sends it.
    origin: u16,
}

/// What happened to connections and has not been told yet.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// Messages that could not be sent, and requests that no more answer can come to.
    pub(crate) unsent: Vec<Unsent>,
    /// Established connections that are gone.
    pub(crate) closed: Vec<Flow>,
}

impl Reports {
    /// Notes that a message could not be sent, if anybody wants to know.
    pub(crate) fn unsent(&mut self, origin: u16, token: u64, failure: Failure) {
        if token != 0 {
            self.unsent.push(Unsent {
                origin,
                token,
                failure,
            });
        }
    }

    /// Notes the same of several.
    fn all_unsent(&mut self, senders: impl IntoIterator<Item = Sender>, failure: Failure) {
        for Sender { token, origin } in senders {
            self.unsent(origin, token, failure);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unsent.is_empty() && self.closed.is_empty()
    }
}

/// What connections share with the rest of their shard and with other shards.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) shard: u16,
    pub(crate) epoll: Arc<Epoll>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) connected: Arc<Connected>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) listening: Arc<Listening>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

/// The connections of one shard.
pub(crate) struct Connections {
    around: Surroundings,
    options: ConnectionOptions,
    limits: Limits,
    slots: Vec<Slot>,
    free: Vec<u32>,
    open: usize,
    /// This shard's part of the directory.
    own: HashMap<(Transport, SocketAddr), u32>,
    /// Bytes that wait for all connections.
    waiting: usize,
    acceptors: Vec<Acceptor>,
    /// Where bytes land.
    landing: Vec<u8>,
    /// Spare buffers.
    buffers: Vec<Vec<u8>>,
    /// Messages to be written at the end of the turn.
    staged: Vec<Staged>,
    /// Connections that may end with the turn.
    ending: Vec<Flow>,
    watch: watch::Watch,
    /// What has to be told to the application and to other shards.
    pub(crate) reports: Reports,
}

/// Bytes that one read takes at most.
const LANDING: usize = 32 << 10;

/// Spare buffers that are kept, and how large each may be.
const SPARE_BUFFERS: usize = 64;
const SPARE_BUFFER_LEN: usize = 128 << 10;

impl Connections {
    pub(crate) fn new(around: Surroundings, options: &Options) -> Self {
        Self {
            around,
            options: options.connections.clone(),
            limits: options.limits,
            slots: Vec::new(),
            free: Vec::new(),
            open: 0,
            own: HashMap::new(),
            waiting: 0,
            acceptors: Vec::new(),
            landing: vec![0; LANDING],
            buffers: Vec::new(),
            staged: Vec::new(),
            ending: Vec::new(),
            watch: watch::Watch::default(),
            reports: Reports::default(),
        }
    }

    /// Goes on with other settings; the limits of messages hold for connections that are new.
    pub(crate) fn set_options(&mut self, options: &Options) {
        self.options = options.connections.clone();
        self.limits = options.limits;
    }

    /// Goes on with other listeners.
    pub(crate) fn set_listening(&mut self, listening: Arc<Listening>) {
        self.around.listening = listening;
    }

    /// A connection of this shard to this peer.
    pub(crate) fn find(&self, transport: Transport, remote: SocketAddr) -> Option<Flow> {
        let index = *self.own.get(&(transport, normalised(remote)))?;
        Some(self.slots.get(index as usize)?.connection.as_ref()?.flow)
    }

    /// Whether this connection is still there and takes a message with this token: one that has ended on its peer's side takes
    /// answers, but no request, since no answer to that could come.
    pub(crate) fn takes(&self, flow: Flow, token: u64) -> bool {
        let takes = |connection: &Connection| {
            connection.takes_messages() && (connection.hears() || !awaits_answer(token))
        };
        flow.shard == self.around.shard && self.get(flow).is_some_and(takes)
    }

    /// Whether anything waits to be written.
    pub(crate) fn has_output(&self) -> bool {
        self.slots
            .iter()
            .filter_map(|slot| slot.connection.as_ref())
            .any(|c| !c.output.is_empty())
    }

    /// Begins to open a connection. Messages may be staged for it at once.
    ///
    /// # Errors
    /// Why it cannot even begin.
    pub(crate) fn connect(
        &mut self,
        transport: Transport,
        remote: SocketAddr,
        now: u64,
    ) -> Result<Flow, Failure> {
        if transport != Transport::Tcp {
            return Err(Failure::Refused);
        }
        if self.open >= self.options.per_shard {
            return Err(Failure::Full);
        }
        let remote = normalised(remote);
        let begun = begin_connect(remote);
        let (socket, local) = begun.map_err(|error| {
            self.around.counters.connects_failed.add(1);
            failure_of(&error)
        })?;
        let source = Source {
            transport,
            listener: self.listener_for(transport, local),
            local,
            remote,
            flow: None,
        };
        let flow = self.insert(
            socket,
            source,
            State::Connecting { since: now },
            Party::Opened,
            now,
        );
        flow.map_err(|error| failure_of(&error))
    }

    /// The listener that stands for us on a connection that we opened: the one of its transport that listens at its
    /// local address, else one of its transport.
    fn listener_for(&self, transport: Transport, local: SocketAddr) -> u16 {
        let ours = || {
            let live = self.around.listening.live.iter();
            live.filter(|(_, listen)| listen.transport == transport)
        };
        let same_family = |listen: &Listen| listen.address.is_ipv4() == local.is_ipv4();
        let at_address = |listen: &Listen| {
            listen.address.ip() == local.ip() || (listen.address.ip().is_unspecified() && same_family(listen))
        };
        let found = ours()
            .find(|(_, listen)| at_address(listen))
            .or_else(|| ours().find(|(_, listen)| same_family(listen)))
            .or_else(|| ours().next());
        found.map_or(0, |&(number, _)| number)
    }

    /// Gives a connection its place, and tells epoll and the directories of it.
    fn insert(
        &mut self,
        socket: Socket,
        source: Source,
        state: State,
        party: Party,
        now: u64,
    ) -> io::Result<Flow> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        let flow = Flow {
            shard: self.around.shard,
            index,
            generation: slot.generation,
        };
        let source = Source {
            flow: Some(flow),
            ..source
        };
        let framer = Framer::new(self.limits);
        let connection = Connection::new(socket, source, flow, state, party, framer, now);
        let registered =
            self.around
                .epoll
                .add(connection.socket.as_fd(), connection.interest, connection.token());
        if let Err(error) = registered {
            self.free.push(index);
            return Err(error);
        }
        slot.connection = Some(connection);
        self.open += 1;
        self.around.counters.connections_open.set(self.open as u64);
        self.own.insert((source.transport, source.remote), index);
        self.around.directory.enter(source.transport, source.remote, flow);
        self.look_after(index);
        self.expect_idle_sweep(now);
        Ok(flow)
    }

    /// Takes a connection out: its place is free, what waited for it has failed, and whoever knew it is told.
    fn close(&mut self, index: u32, failure: Failure, now: u64) {
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return;
        };
        let Some(mut connection) = slot.connection.take() else {
            return;
        };
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        self.open -= 1;
        self.around.counters.connections_open.set(self.open as u64);
        self.waiting -= connection.output.len();
        self.reports.all_unsent(connection.output.unwritten(), failure);
        self.reports
            .all_unsent(connection.awaited.take(now), Failure::Lost);
        if matches!(connection.state, State::Connecting { .. }) {
            self.around.counters.connects_failed.add(1);
        } else {
            self.reports.closed.push(connection.flow);
        }
        if let Party::Accepted { counted: Some(key) } = connection.party {
            self.around.connected.leave(key);
        }
        self.forget_address(&connection.source, connection.flow);
    }

    /// No further message shall find this connection by its peer's address.
    fn forget_address(&mut self, source: &Source, flow: Flow) {
        let key = (source.transport, source.remote);
        if self.own.get(&key) == Some(&flow.index) {
            self.own.remove(&key);
        }
        self.around.directory.leave(key.0, key.1, flow);
    }

    fn get(&self, flow: Flow) -> Option<&Connection> {
        let slot = self.slots.get(flow.index as usize)?;
        slot.connection
            .as_ref()
            .filter(|_| slot.generation == flow.generation)
    }

    fn get_mut(&mut self, flow: Flow) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(flow.index as usize)?;
        let generation = slot.generation;
        slot.connection.as_mut().filter(|_| generation == flow.generation)
    }

    /// The connection that an epoll token means; `None` when it is gone.
    fn resolve(&self, index: u32, generation: u32) -> Option<Flow> {
        let flow = self.slots.get(index as usize)?.connection.as_ref()?.flow;
        (flow.generation & GENERATION_BITS == generation).then_some(flow)
    }

    /// Tells epoll what the connection's state makes it want to hear.
    fn update_interest(&mut self, flow: Flow) {
        let epoll = Arc::clone(&self.around.epoll);
        let backlog = self.backlog();
        let Some(slot) = self.slots.get_mut(flow.index as usize) else {
            return;
        };
        let generation = slot.generation;
        let Some(connection) = slot.connection.as_mut().filter(|_| generation == flow.generation) else {
            return;
        };
        let wanted = connection.wanted_interest(backlog);
        if wanted != connection.interest {
            if connection.interest == Interest::Write {
                // What a message lacks can only come from now on.
                connection.input_since = connection.traffic_at;
            }
            connection.interest = wanted;
            // The descriptor is open and registered, so this cannot fail.
            let _: io::Result<()> = epoll.modify(connection.socket.as_fd(), wanted, connection.token());
        }
    }

    fn spare_buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity > 0 && capacity <= SPARE_BUFFER_LEN && self.buffers.len() < SPARE_BUFFERS {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}

/// What a system call's error means for who wanted to send.
fn failure_of(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => Failure::Refused,
        Some(libc::ETIMEDOUT) => Failure::TimedOut,
        Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED) => Failure::Closed,
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Failure::Full,
        _ => Failure::Unreachable,
    }
}

fn begin_connect(remote: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(remote), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&remote.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    let local = socket.local_addr()?.as_socket().map_or(remote, normalised);
    Ok((socket, local))
}
