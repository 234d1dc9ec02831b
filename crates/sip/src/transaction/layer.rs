//! The transaction layer: owns a shard's transactions and their timers, and finds the one that a message belongs to.

use std::net::SocketAddr;

use hashbrown::HashTable;
use strowger_syntax::{Message, Method, Name, Status, Transport};

use super::hop_request::write_hop_request;
use super::key::ServerKey;
use super::{
    Cx, Delivery, InviteClient, InviteServer, Misuse, Next, NonInviteClient, NonInviteServer, Timers,
};
use crate::memory::{Chunks, Id, Pool, Slab, TimerId, Wheel, is_sparse, table_bytes};
use crate::{Destination, Failure, Flow, Outbox};

/// Whose timer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    /// A server transaction's.
    Server(Id),
    /// A client transaction's.
    Client(Id),
    /// A response context's (timer C).
    Context(Id),
    /// A call record's.
    Call(Id),
    /// A registration's.
    Registration(Id),
    /// A subscription's.
    Subscription(Id),
    /// Of somebody who waits for a device to be woken.
    Waking(Id),
}

/// Whom a client transaction works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The response context.
    pub context: Id,
    /// The branch of that context.
    pub branch: u16,
}

/// How a request is sent in a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub to: Destination,
    /// For whom.
    pub user: User,
    /// How long a next hop that says nothing is waited for.
    pub patience: Patience,
}

/// How long a next hop is waited for that says nothing at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// As long as is usual, so that another one can be tried.
    #[default]
    Usual,
    /// An INVITE a little less, because there is another one: the caller need not wait for the whole of the usual time.
    Less,
    /// The whole of timer B or F.
    Whole,
}

/// What became of a request that was offered to the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// A retransmission or an ACK to a 300-699: dealt with.
    Absorbed,
    /// A CANCEL for the INVITE of this server transaction.
    Cancel(Id),
    /// No transaction knows it.
    New,
}

/// Something that time brought and that the layer's user must deal with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// A client transaction ended, in time or without an answer.
    Client {
        /// For whom it worked.
        user: User,
        /// Whether no final response came.
        timed_out: bool,
        /// Where its request went, if nothing at all came back from there.
        silent: Option<Destination>,
    },
    /// The next hop of an INVITE has been ringing for a while: time to drop what is not needed of one that rings.
    Ringing(User),
    /// A non-INVITE server transaction must send a 100 (RFC 4320 §4.1).
    TryingDue(Id),
    /// A response context's timer.
    Context(Id),
    /// A call record's timer.
    Call(Id),
    /// A registration's timer.
    Registration(Id),
    /// A subscription's timer.
    Subscription(Id),
    /// The timer of somebody who waits for a device to be woken.
    Waking(Id),
}

/// Whose message could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedSend {
    /// A client transaction's; it has ended (RFC 3261 §17.1.4).
    Client(User),
    /// A response, which went elsewhere or is lost; or a transaction's that is no more.
    Nobody,
}

#[derive(Clone, Debug)]
enum ServerMachine {
    Invite(InviteServer),
    NonInvite(NonInviteServer),
}

#[derive(Clone, Debug)]
struct Server {
    machine: ServerMachine,
    key: ServerKey,
    way: Way,
    timer: TimerId,
    context: Option<Id>,
}

/// Where responses go. What came by datagram has no other way, and what came by a connection leaves by that.
#[derive(Clone, Copy, Debug)]
enum Way {
    Only(Destination),
    /// The connection, and where they go when it is gone (RFC 3261 §18.2.2).
    Flow(Flow, Transport, SocketAddr),
}

impl Way {
    fn new(to: Destination, fallback: Option<Destination>) -> Self {
        match (to, fallback) {
            (Destination::Flow(flow), Some(Destination::Connect { transport, to })) => {
                Self::Flow(flow, transport, to)
            }
            _ => Self::Only(to),
        }
    }

    fn to(&self) -> Destination {
        match *self {
            Self::Only(to) => to,
            Self::Flow(flow, ..) => Destination::Flow(flow),
        }
    }

    /// Takes the other way, if there is one.
    fn turn(&mut self) -> bool {
        let Self::Flow(_, transport, to) = *self else {
            return false;
        };
        *self = Self::Only(Destination::Connect { transport, to });
        true
    }
}

#[derive(Clone, Debug)]
enum ClientMachine {
    /// The CANCEL shares the INVITE's branch (RFC 3261 §9.1), and so its record.
    Invite {
        invite: InviteClient,
        cancel: Cancel,
    },
    NonInvite(NonInviteClient),
}

#[derive(Clone, Debug)]
enum Cancel {
    /// None was sent.
    Not,
    /// It was sent and has its own transaction: its place among them.
    Sent(u32),
    /// Its transaction has ended.
    Done,
}

#[derive(Clone, Debug)]
struct Client {
    machine: ClientMachine,
    method: Method,
    to: Destination,
    timer: TimerId,
    user: User,
    /// What stands behind its name in its branch.
    check: u32,
}

const SERVER_TOKEN: u64 = 1 << 62;
const CLIENT_TOKEN: u64 = 2 << 62;

fn token(kind: u64, id: Id) -> u64 {
    kind | u64::from(id.index & 0x3fff_ffff) << 32 | u64::from(id.counter)
}

/// Whether a transmit with this token is a request that an answer is awaited to.
pub fn awaits_answer(token: u64) -> bool {
    token & (3 << 62) == CLIENT_TOKEN
}

/// Whom a token names.
fn named(token: u64) -> Id {
    Id {
        index: (token >> 32) as u32 & 0x3fff_ffff,
        counter: token as u32,
    }
}

/// Where the server transaction of a key is. Enough of the key, which is a hash, is beside it that a table can grow without
/// reading every transaction.
#[derive(Clone, Copy, Debug)]
struct KeyPlace {
    hash: u32,
    index: u32,
}

impl KeyPlace {
    fn new(key: ServerKey, index: u32) -> Self {
        let hash = key.0 as u32;
        Self { hash, index }
    }

    /// For a table, which takes the place from one end of it and tells neighbours apart by the other.
    fn hash(&self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

/// A shard's transactions.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The timers' values.
    pub timers: Timers,
    /// Buffers for everything that is kept.
    pub pool: Pool,
    /// All timers of the shard.
    pub wheel: Wheel<Timed>,
    servers: Slab<Server>,
    clients: Slab<Client>,
    /// Those of the CANCELs of `clients`.
    cancels: Chunks<NonInviteClient>,
    by_key: HashTable<KeyPlace>,
}

/// Splits the layer into a transaction's context and the rest.
macro_rules! cx {
    ($layer:ident, $to:expr, $token:expr, $now:expr, $out:expr) => {
        Cx {
            now_ms: $now,
            timers: &$layer.timers,
            reliable: is_reliable($to),
            to: $to,
            token: $token,
            out: $out,
            pool: &mut $layer.pool,
        }
    };
}

fn is_reliable(to: Destination) -> bool {
    !matches!(to, Destination::Datagram { .. })
}

impl Layer {
    /// A layer without transactions.
    pub fn new(timers: Timers) -> Self {
        Self {
            timers,
            pool: Pool::default(),
            wheel: Wheel::default(),
            servers: Slab::default(),
            clients: Slab::default(),
            cancels: Chunks::default(),
            by_key: HashTable::new(),
        }
    }

    /// How many server and client transactions there are. A key without its transaction counts as one.
    pub fn counts(&self) -> (usize, usize) {
        (self.by_key.len(), self.clients.len())
    }

    /// Bytes of the transactions and of the table that finds them.
    pub fn bytes(&self) -> usize {
        let records = self.servers.bytes() + self.clients.bytes() + self.cancels.bytes();
        records + table_bytes(self.by_key.capacity(), size_of::<KeyPlace>())
    }

    /// Offers a request to the transactions (RFC 3261 §17.2.3, §9.2).
    pub fn on_request(
        &mut self,
        request: Message<'_>,
        key: ServerKey,
        now_ms: u64,
        out: &mut Outbox,
    ) -> Matched {
        let Some(id) = self.find(key) else {
            return Matched::New;
        };
        let Some(server) = self.servers.get_mut(id) else {
            return Matched::New;
        };
        let mut cx = cx!(self, server.way.to(), token(SERVER_TOKEN, id), now_ms, out);
        match (&mut server.machine, request.method()) {
            (ServerMachine::Invite(_), Method::Cancel) => return Matched::Cancel(id),
            (ServerMachine::Invite(invite), Method::Ack) if invite.is_accepted() => return Matched::New,
            (ServerMachine::Invite(invite), Method::Ack) => invite.on_ack(&mut cx),
            (ServerMachine::Invite(invite), _) => invite.on_request(&mut cx),
            (ServerMachine::NonInvite(other), _) => other.on_request(&mut cx),
        }
        let deadline = server.machine.deadline();
        self.wheel.set(server.timer, deadline);
        Matched::Absorbed
    }

    /// Makes a server transaction for a request that no other knows. What came by a connection may have a `fallback`: a new
    /// one.
    pub fn accept(
        &mut self,
        key: ServerKey,
        method: Method,
        to: Destination,
        fallback: Option<Destination>,
        now_ms: u64,
        out: &mut Outbox,
    ) -> Id {
        let (wheel, timers, pool) = (&mut self.wheel, &self.timers, &mut self.pool);
        let id = self.servers.insert_with(|id| {
            let machine = if method == Method::Invite {
                ServerMachine::Invite(InviteServer::new())
            } else {
                let cx = Cx {
                    now_ms,
                    timers,
                    reliable: is_reliable(to),
                    to,
                    token: 0,
                    out,
                    pool,
                };
                ServerMachine::NonInvite(NonInviteServer::new(&cx))
            };
            let timer = wheel.add(Timed::Server(id), machine.deadline());
            Server {
                machine,
                key,
                way: Way::new(to, fallback),
                timer,
                context: None,
            }
        });
        let place = KeyPlace::new(key, id.index);
        self.by_key.insert_unique(place.hash(), place, KeyPlace::hash);
        id
    }

    fn find(&self, key: ServerKey) -> Option<Id> {
        let server = |place: &KeyPlace| {
            self.servers
                .at(place.index)
                .filter(|(_, server)| server.key == key)
        };
        let wanted = KeyPlace::new(key, 0);
        let is_it = |place: &KeyPlace| place.hash == wanted.hash && server(place).is_some();
        let (id, _) = server(self.by_key.find(wanted.hash(), is_it)?)?;
        Some(id)
    }

    /// Joins a server transaction to the context that answers it.
    pub fn set_context(&mut self, server: Id, context: Option<Id>) {
        if let Some(server) = self.servers.get_mut(server) {
            server.context = context;
        }
    }

    /// The context that answers a server transaction.
    pub fn context_of(&self, server: Id) -> Option<Id> {
        self.servers.get(server)?.context
    }

    /// Whether a server transaction has sent its final response (or is no more).
    pub fn is_final(&self, server: Id) -> bool {
        self.servers.get(server).is_none_or(|s| match &s.machine {
            ServerMachine::Invite(invite) => invite.is_final(),
            ServerMachine::NonInvite(other) => other.is_final(),
        })
    }

    /// Sends the response that was written to the outbox since `start`.
    pub fn respond(
        &mut self,
        server: Id,
        status: Status,
        start: usize,
        now_ms: u64,
        out: &mut Outbox,
    ) -> Result<(), Misuse> {
        let Some(record) = self.servers.get_mut(server) else {
            out.bytes.truncate(start);
            return Err(Misuse);
        };
        let mut cx = cx!(self, record.way.to(), token(SERVER_TOKEN, server), now_ms, out);
        let sent = match &mut record.machine {
            ServerMachine::Invite(invite) => invite.respond(status, start, &mut cx),
            ServerMachine::NonInvite(other) => other.respond(status, start, &mut cx),
        };
        let deadline = record.machine.deadline();
        self.wheel.set(record.timer, deadline);
        sent
    }

    /// Ends a server transaction without an answer: what RFC 4320 §4.2 leaves when a 408 must not be sent.
    pub fn drop_server(&mut self, server: Id) {
        if let Some(record) = self.servers.remove(server) {
            self.wheel.remove(record.timer);
            self.forget_key(KeyPlace::new(record.key, server.index));
            match record.machine {
                ServerMachine::Invite(invite) => invite.dispose(&mut self.pool),
                ServerMachine::NonInvite(other) => other.dispose(&mut self.pool),
            }
        }
    }

    /// A table that has become far too large gets smaller.
    fn forget_key(&mut self, gone: KeyPlace) {
        let is_it = |place: &KeyPlace| place.index == gone.index;
        if let Ok(entry) = self.by_key.find_entry(gone.hash(), is_it) {
            entry.remove();
        }
        if is_sparse(self.by_key.len(), self.by_key.capacity()) {
            self.by_key.shrink_to(4 * self.by_key.len(), KeyPlace::hash);
        }
    }

    /// Sends a request in a client transaction of its own. `write` appends it, given the transaction's name for the
    /// branch, and says what it has written behind that name.
    pub fn send(
        &mut self,
        sending: Sending,
        now_ms: u64,
        out: &mut Outbox,
        write: impl FnOnce(Id, &mut Vec<u8>) -> u32,
    ) -> Id {
        let Sending {
            method,
            to,
            user,
            patience,
        } = sending;
        let (wheel, timers, pool) = (&mut self.wheel, &self.timers, &mut self.pool);
        let cancels = &self.cancels;
        self.clients.insert_with(|id| {
            let start = out.bytes.len();
            let check = write(id, &mut out.bytes);
            let mut cx = Cx {
                now_ms,
                timers,
                reliable: is_reliable(to),
                to,
                token: token(CLIENT_TOKEN, id),
                out,
                pool,
            };
            let machine = if method == Method::Invite {
                let patience_ms = match patience {
                    Patience::Usual => timers.invite_patience_ms(),
                    Patience::Less => timers.failover_ms(),
                    Patience::Whole => timers.lifetime_ms(),
                };
                ClientMachine::Invite {
                    invite: InviteClient::start(start, patience_ms, &mut cx),
                    cancel: Cancel::Not,
                }
            } else {
                let patience_ms = match patience {
                    Patience::Usual | Patience::Less => timers.non_invite_patience_ms(),
                    Patience::Whole => timers.lifetime_ms(),
                };
                ClientMachine::NonInvite(NonInviteClient::start(start, patience_ms, &mut cx))
            };
            let timer = wheel.add(Timed::Client(id), machine.deadline(cancels));
            Client {
                machine,
                method,
                to,
                timer,
                user,
                check,
            }
        })
    }

    /// Whether a name of a client transaction that came back is one that was given out.
    pub fn is_named(&self, client: Id, check: u32) -> bool {
        self.clients
            .get(client)
            .is_some_and(|record| record.check == check)
    }

    /// Where the request of a client transaction went.
    pub fn peer_of(&self, client: Id) -> Option<Destination> {
        self.clients.get(client).map(|record| record.to)
    }

    /// Where the request of the client transaction went whose transmit has this token.
    pub fn peer_of_token(&self, sent: u64) -> Option<Destination> {
        awaits_answer(sent).then(|| self.peer_of(named(sent))).flatten()
    }

    /// A response came whose branch names this client transaction. `Some` when it is for the user.
    pub fn on_response(
        &mut self,
        client: Id,
        response: Message<'_>,
        now_ms: u64,
        out: &mut Outbox,
    ) -> Option<User> {
        let status = response.status()?;
        let record = self.clients.get_mut(client)?;
        // What is sent now is an ACK: nobody waits for an answer to it, or need hear that it could not be sent.
        let mut cx = cx!(self, record.to, 0, now_ms, out);
        let delivery = match (&mut record.machine, response.method()) {
            (ClientMachine::Invite { cancel, .. }, Method::Cancel) => {
                if let Cancel::Sent(cancel) = *cancel
                    && let Some(cancel) = self.cancels.get_mut(cancel)
                {
                    cancel.on_response(status, &mut cx);
                }
                Delivery::Absorbed
            }
            (ClientMachine::Invite { invite, .. }, Method::Invite) => {
                let to = response.first(Name::To).unwrap_or(&[]);
                let ack = |request: &[u8], out: &mut Vec<u8>| write_hop_request(request, "ACK", to, out);
                invite.on_response(status, ack, &mut cx)
            }
            (ClientMachine::NonInvite(other), method) if method == record.method => {
                other.on_response(status, &mut cx)
            }
            // The method of CSeq is half of the match (§17.1.3).
            (ClientMachine::NonInvite(_) | ClientMachine::Invite { .. }, _) => Delivery::Absorbed,
        };
        let deadline = record.machine.deadline(&self.cancels);
        self.wheel.set(record.timer, deadline);
        (delivery == Delivery::Pass).then_some(record.user)
    }

    /// Whether a client transaction still waits for a final response.
    pub fn is_pending(&self, client: Id) -> bool {
        self.clients.get(client).is_some_and(|c| match &c.machine {
            ClientMachine::Invite { invite, .. } => invite.is_pending(),
            ClientMachine::NonInvite(other) => other.is_pending(),
        })
    }

    /// Sends the CANCEL of an INVITE, once; false when it must wait for a provisional response (RFC 3261 §9.1).
    pub fn cancel(&mut self, client: Id, now_ms: u64, out: &mut Outbox) -> bool {
        let Some(record) = self.clients.get_mut(client) else {
            return true;
        };
        let mut cx = cx!(self, record.to, token(CLIENT_TOKEN, client), now_ms, out);
        if let ClientMachine::Invite {
            invite,
            cancel: cancel @ Cancel::Not,
        } = &mut record.machine
        {
            let (true, Some(request)) = (invite.may_cancel(), invite.request()) else {
                return !invite.is_pending();
            };
            let start = cx.out.bytes.len();
            let request = cx.pool.bytes(request);
            write_hop_request(request, "CANCEL", &[], &mut cx.out.bytes);
            // The next hop has spoken already: if it is silent now, that is a loss.
            let machine = NonInviteClient::start(start, u64::MAX, &mut cx);
            *cancel = Cancel::Sent(self.cancels.insert_with(|_| machine));
            let deadline = record.machine.deadline(&self.cancels);
            self.wheel.set(record.timer, deadline);
        }
        true
    }

    /// Ends a client transaction at once.
    pub fn drop_client(&mut self, client: Id) {
        if let Some(record) = self.clients.remove(client) {
            self.wheel.remove(record.timer);
            match record.machine {
                ClientMachine::Invite { invite, cancel } => {
                    invite.dispose(&mut self.pool);
                    if let Cancel::Sent(cancel) = cancel
                        && let Some(cancel) = self.cancels.remove(cancel)
                    {
                        cancel.dispose(&mut self.pool);
                    }
                }
                ClientMachine::NonInvite(other) => other.dispose(&mut self.pool),
            }
        }
    }

    /// The next thing that time has brought. Call until it says `None`.
    pub fn expired(&mut self, now_ms: u64, out: &mut Outbox) -> Option<Expired> {
        while let Some(timed) = self.wheel.expired(now_ms) {
            let event = match timed {
                Timed::Server(id) => self.server_deadline(id, now_ms, out),
                Timed::Client(id) => self.client_deadline(id, now_ms, out),
                Timed::Context(id) => Some(Expired::Context(id)),
                Timed::Call(id) => Some(Expired::Call(id)),
                Timed::Registration(id) => Some(Expired::Registration(id)),
                Timed::Subscription(id) => Some(Expired::Subscription(id)),
                Timed::Waking(id) => Some(Expired::Waking(id)),
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }

    fn server_deadline(&mut self, id: Id, now_ms: u64, out: &mut Outbox) -> Option<Expired> {
        let server = self.servers.get_mut(id)?;
        let mut cx = cx!(self, server.way.to(), token(SERVER_TOKEN, id), now_ms, out);
        let next = match &mut server.machine {
            ServerMachine::Invite(invite) => invite.on_deadline(&mut cx),
            ServerMachine::NonInvite(other) if other.wants_trying(now_ms) => {
                return Some(Expired::TryingDue(id));
            }
            ServerMachine::NonInvite(other) => other.on_deadline(),
        };
        match next {
            Next::Live => {
                let deadline = server.machine.deadline();
                self.wheel.set(server.timer, deadline);
            }
            Next::Ended => self.drop_server(id),
        }
        None
    }

    fn client_deadline(&mut self, id: Id, now_ms: u64, out: &mut Outbox) -> Option<Expired> {
        let client = self.clients.get_mut(id)?;
        let mut cx = cx!(self, client.to, token(CLIENT_TOKEN, id), now_ms, out);
        let user = client.user;
        let mut ringing = false;
        let silent = client.machine.is_unanswered().then_some(client.to);
        let (next, timed_out) = match &mut client.machine {
            ClientMachine::Invite { invite, cancel } => {
                if let Cancel::Sent(place) = *cancel
                    && let Some(machine) = self.cancels.get_mut(place)
                    && machine.deadline().is_some_and(|d| d <= now_ms)
                    && machine.on_deadline(&mut cx) == Next::Ended
                    && let Some(ended) = self.cancels.remove(place)
                {
                    *cancel = Cancel::Done;
                    ended.dispose(cx.pool);
                }
                let write = |request: &[u8], out: &mut Vec<u8>| {
                    write_hop_request(request, "INVITE", &[], out);
                };
                ringing = invite.shorten(write, &mut cx);
                let due = invite.deadline().is_some_and(|d| d <= now_ms);
                let next = if due {
                    invite.on_deadline(&mut cx)
                } else {
                    Next::Live
                };
                (next, invite.is_pending())
            }
            ClientMachine::NonInvite(other) => (other.on_deadline(&mut cx), other.is_pending()),
        };
        if next == Next::Ended {
            self.drop_client(id);
            let silent = silent.filter(|_| timed_out);
            return Some(Expired::Client {
                user,
                timed_out,
                silent,
            });
        }
        let deadline = client.machine.deadline(&self.cancels).map(|d| d.max(now_ms + 1));
        self.wheel.set(client.timer, deadline);
        ringing.then_some(Expired::Ringing(user))
    }

    /// A transmit with this token could not be sent, or was sent in vain (RFC 3261 §17.1.4). A response takes its other way, if
    /// it has one.
    pub fn on_send_failed(
        &mut self,
        failed: u64,
        failure: Failure,
        now_ms: u64,
        out: &mut Outbox,
    ) -> FailedSend {
        let id = named(failed);
        match failed & (3 << 62) {
            SERVER_TOKEN => {
                self.take_fallback(id, now_ms, out);
                FailedSend::Nobody
            }
            CLIENT_TOKEN if failure == Failure::Lost => self.on_unreachable(id),
            CLIENT_TOKEN => self.fail_client(id),
            _ => FailedSend::Nobody,
        }
    }

    /// An ICMP error came for a message of this client transaction, or the connection ended that it went by. It ends what is Calling,
    /// Trying or Proceeding (RFC 3261 figures 5 and 6), but for an INVITE that was answered with a provisional response: whether the
    /// final one comes is timer C's business.
    pub fn on_unreachable(&mut self, client: Id) -> FailedSend {
        let answered = self.clients.get(client).is_some_and(|c| match &c.machine {
            ClientMachine::Invite { invite, .. } => invite.may_cancel(),
            ClientMachine::NonInvite(_) => false,
        });
        if answered {
            return FailedSend::Nobody;
        }
        self.fail_client(client)
    }

    fn fail_client(&mut self, client: Id) -> FailedSend {
        match self.clients.get(client) {
            Some(record) if self.is_pending(client) => {
                let user = record.user;
                self.drop_client(client);
                FailedSend::Client(user)
            }
            _ => FailedSend::Nobody,
        }
    }

    fn take_fallback(&mut self, server: Id, now_ms: u64, out: &mut Outbox) {
        let Some(record) = self.servers.get_mut(server) else {
            return;
        };
        if !record.way.turn() {
            return;
        }
        let mut cx = cx!(self, record.way.to(), 0, now_ms, out);
        match &mut record.machine {
            ServerMachine::Invite(invite) => invite.on_request(&mut cx),
            ServerMachine::NonInvite(other) => other.on_request(&mut cx),
        }
    }
}

impl ServerMachine {
    fn deadline(&self) -> Option<u64> {
        match self {
            Self::Invite(invite) => invite.deadline(),
            Self::NonInvite(other) => other.deadline(),
        }
    }
}

impl ClientMachine {
    /// Whether nothing has come back.
    fn is_unanswered(&self) -> bool {
        match self {
            Self::Invite { invite, .. } => invite.is_pending() && !invite.may_cancel(),
            Self::NonInvite(other) => other.is_unanswered(),
        }
    }

    fn deadline(&self, cancels: &Chunks<NonInviteClient>) -> Option<u64> {
        match self {
            Self::Invite { invite, cancel } => {
                let cancel = match cancel {
                    Cancel::Sent(place) => cancels.get(*place).and_then(NonInviteClient::deadline),
                    Cancel::Not | Cancel::Done => None,
                };
                [invite.deadline(), cancel].into_iter().flatten().min()
            }
            Self::NonInvite(other) => other.deadline(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_takes_at_most_136_bytes() {
        assert!(
            size_of::<(u32, Server)>() <= 136,
            "{}",
            size_of::<(u32, Server)>()
        );
        assert!(
            size_of::<(u32, Client)>() <= 136,
            "{}",
            size_of::<(u32, Client)>()
        );
    }
}
