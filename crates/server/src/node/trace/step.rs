//! The steps, as values that are told as text or as JSON.

use serde::{Deserialize, Serialize};

/// One thing that was found or decided on the way of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// It cannot be used as a message.
    Unusable {
        /// What is wrong, as an answer would say it.
        fault: String,
        /// The clause that it breaks.
        clause: String,
        /// Whether there is enough of a request to answer it.
        answerable: bool,
    },
    /// It is no message, and keeps its flow open.
    KeepAlive {
        /// Whether it was answered, if it is a STUN message (RFC 5626 §8); `None` when it says nothing.
        stun: Option<bool>,
    },
    /// Whose it is of the shards: by its Call-ID, or by its branch if it is a response.
    Shard {
        /// Whose.
        owner: u16,
        /// How many there are.
        shards: u16,
    },
    /// Whether a transaction knows it (RFC 3261 §17.2.3).
    Transaction {
        /// What was found.
        found: TransactionFound,
    },
    /// Whose response it is (RFC 3261 §16.7 step 1).
    Response {
        /// What its branch says.
        branch: ResponseBranch,
    },
    /// Its route set (RFC 3261 §16.4).
    RouteSet {
        /// How many elements it has.
        elements: usize,
        /// How many at its top are ours.
        ours: usize,
        /// Whether a strict router had put our entry into the Request-URI.
        strict: bool,
        /// What our entries prove.
        token: Token,
        /// The URI of the next element, which decides where it goes.
        next: Option<String>,
        /// The Request-URI to route by.
        request_uri: String,
    },
    /// The flow that its Route names (RFC 5626 §5.3).
    Flow {
        /// What is known of it.
        found: FlowFound,
    },
    /// Whom it is for.
    Bound {
        /// Whom.
        to: BoundTo,
        /// The URI that says so.
        uri: String,
    },
    /// What is checked of a request that is to be forwarded is in order (RFC 3261 §16.3).
    Validated {
        /// Its Max-Forwards; without one it gets 70.
        max_forwards: Option<u64>,
    },
    /// Who sent it, from where it comes from alone.
    Sender {
        /// Who.
        sender: SenderKind,
        /// Whether digest is on at all.
        digest: bool,
    },
    /// Whether it has to show credentials.
    Asked {
        /// Why it has to, or need not.
        why: AskedWhy,
    },
    /// What its credentials are worth (RFC 3261 §22).
    Credentials {
        /// The realm that counts.
        realm: String,
        /// The user that they name.
        user: Option<String>,
        /// Their algorithm, if it is offered.
        algorithm: Option<String>,
        /// The nonce count that they carry.
        count: Option<u32>,
        /// What they are worth.
        outcome: CredentialsOutcome,
    },
    /// The realm is an address of the node, where nobody is a user.
    AddressAsDomain {
        /// The domain that its sender should have.
        domain: String,
    },
    /// The node does not keep the users itself.
    UsersElsewhere {
        /// Who does: a file or a server.
        source: String,
    },
    /// The server of users has to be asked for somebody first.
    UserLookUp {
        /// For whom, as `alice@example.test`.
        user: String,
        /// Whether it was; an explanation asks nobody.
        asked: bool,
    },
    /// Their nonce count is used up.
    NonceCount {
        /// Whether it could be: it had not been used before.
        fresh: bool,
    },
    /// It repeats a REGISTER that was carried out, or is being carried out.
    Repeated {
        /// Whether it is still being carried out.
        pending: bool,
    },
    /// It is not relayed to somebody else's host.
    RelayDenied,
    /// A number was looked up in the dial plan.
    Dialled {
        /// The Request-URI as it came.
        dialled: String,
        /// What it comes to.
        becomes: String,
    },
    /// A route that was tried, in the order of the file.
    Route {
        /// Its name.
        name: String,
        /// Where it is: the file and the line.
        place: String,
        /// Why it is not for this request; `None` for the one that decides.
        mismatch: Option<String>,
        /// What becomes of its requests.
        action: RouteAction,
    },
    /// No route is for it: the built-in routing applies.
    NoRoute {
        /// How many there are.
        routes: usize,
    },
    /// The route makes another number of the called one.
    Translated {
        /// The Request-URI then.
        becomes: String,
    },
    /// A target of a group, in the order in which they are tried.
    GroupTarget {
        /// The group.
        group: String,
        /// The target as it is written.
        target: String,
        /// `up`, `down` or `draining`.
        health: String,
        /// Calls that it has.
        calls: u32,
        /// Whether it may be used: it is up, and has room.
        usable: bool,
    },
    /// It goes out by a trunk, or comes in by one.
    Trunk {
        /// The trunk.
        name: String,
        /// Whether it comes in by it.
        inbound: bool,
        /// Whether the node is registered there.
        registered: bool,
    },
    /// The route changes the header of what is forwarded.
    HeaderChanged,
    /// Whose address the location service is asked for (RFC 3261 §16.5).
    Address {
        /// As it was asked for.
        asked: String,
        /// The address-of-record.
        aor: String,
        /// What the list of users says of it.
        known: Known,
    },
    /// Which phone of it is meant (RFC 5627 §6.1).
    Gruu {
        /// What says so.
        kind: GruuKind,
        /// The instance ID; `None` if it is not registered.
        instance: Option<String>,
    },
    /// A binding of it.
    Binding {
        /// The binding.
        binding: BindingSeen,
        /// What becomes of it.
        used: BindingUse,
    },
    /// The next hop's name has to be looked up.
    LookUp {
        /// The name.
        name: String,
        /// What of it.
        wanted: String,
    },
    /// A question to DNS, and the answer.
    Dns {
        /// As `SRV _sip._udp.example.test`.
        question: String,
        /// The records.
        answers: Vec<String>,
        /// For how many seconds that holds.
        ttl: u32,
        /// Whether nobody could tell.
        failed: bool,
        /// Who was asked: DNS or the file.
        from: String,
    },
    /// The servers of a name (RFC 3263 §4).
    Servers {
        /// The name.
        name: String,
        /// The servers, by rank.
        servers: Vec<ServerSeen>,
        /// Whether that was known from an answer before.
        cached: bool,
    },
    /// What a request for a SIPS URI may not be sent to (RFC 5630 §5.3).
    Insecure {
        /// Its URI.
        uri: String,
        /// Why not.
        why: InsecureWhy,
    },
    /// A target, and the ways to it (RFC 3261 §16.6 step 7).
    Target {
        /// Its Request-URI.
        uri: String,
        /// What is put on top of its route set.
        routes: Option<String>,
        /// When it is tried: the group with the smallest number first, all of a group at once.
        group: u16,
        /// How long it may ring, in milliseconds.
        ring_ms: Option<u32>,
        /// The ways, the first first.
        hops: Vec<HopSeen>,
    },
    /// The role that is taken for it.
    Role {
        /// Which.
        role: RoleTaken,
        /// Why.
        why: RoleWhy,
    },
    /// Whether to stay on the path of its dialog (RFC 3261 §16.6 step 4).
    RecordRoute {
        /// Why, or why not.
        why: RecordRouteWhy,
    },
    /// Asked for credentials.
    Challenged {
        /// 401 or 407.
        status: u16,
        /// Whether its credentials were right but for an old nonce.
        stale: bool,
        /// Whether it is told so: not when its source was refused too much.
        told: bool,
    },
    /// Refused by us.
    Refused {
        /// The Status-Code.
        status: u16,
        /// The Reason-Phrase.
        reason: String,
        /// Whether it is told so: not an ACK, nor when its source was refused too much.
        told: bool,
    },
    /// Answered by us.
    Answered {
        /// The Status-Code.
        status: u16,
    },
    /// Let fall without an answer.
    Dropped {
        /// Why.
        why: DroppedWhy,
    },
    /// What the registrar made of it (RFC 3261 §10.3).
    Registered {
        /// The address-of-record.
        aor: String,
        /// What.
        outcome: RegisterOutcome,
        /// Bindings that are new.
        added: u16,
        /// Bindings that were there before.
        refreshed: u16,
        /// Bindings that are gone.
        removed: u16,
    },
}

/// What the transactions know of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransactionFound {
    /// Nothing: it is new.
    New,
    /// It is a retransmission, or the ACK to a refusal: its transaction deals with it.
    Absorbed,
    /// It cancels an INVITE that was forwarded.
    CancelsForwarded,
    /// It cancels an INVITE whose next hop is still looked up.
    CancelsLookUp,
    /// The transactions were not looked at, for there are too many of them.
    NotLookedAt,
}

/// What the branch of a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseBranch {
    /// It answers what a client transaction sent, and goes to the response context.
    Passed,
    /// It answers what a client transaction sent, and that keeps it to itself: it has had such an answer.
    Absorbed,
    /// It is written like one of ours, but there is no such client transaction.
    Ended,
    /// It answers what was forwarded without state, and goes back to where that came from.
    Stateless,
    /// It answers nothing that was sent from here.
    Stray,
}

/// What our entries in a route set prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Token {
    /// There is none.
    Absent,
    /// The dialog was set up through us.
    Valid,
    /// There is one that does not fit this dialog.
    Forged,
}

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoundTo {
    /// The registrar.
    Registrar,
    /// One of our addresses-of-record.
    User,
    /// This node itself.
    Node,
    /// Somebody else's host.
    Foreign,
}

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SenderKind {
    /// Showed credentials that own the address they speak for.
    Authenticated,
    /// A source that need not authenticate.
    Trusted,
    /// The provider of a trunk whose calls need not authenticate.
    Trunk,
    /// On this machine, and digest is off.
    Local,
    /// Nobody we know.
    Stranger,
}

/// Why a request has to show credentials, or need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskedWhy {
    /// Its method is challenged.
    Method,
    /// It is for a user, and strangers reach none.
    Closed,
    /// Nobody asked, but it has some.
    Shown,
    /// Digest is off.
    DigestOff,
    /// Its source is trusted.
    Trusted,
    /// It belongs to a dialog that was set up through us.
    Dialog,
    /// It came by the Path of a phone that has registered through us (RFC 5626 §3.4).
    Path,
    /// ACK and CANCEL can't be challenged (RFC 3261 §22.1).
    AckOrCancel,
    /// It is a visitor's REGISTER, from where visitors may register.
    Visitor,
    /// Its route is open to strangers.
    Open,
    /// Its method is not challenged.
    NotChallenged,
}

impl AskedWhy {
    /// Whether it has to.
    pub fn is_asked(self) -> bool {
        matches!(self, Self::Method | Self::Closed)
    }
}

/// What credentials are worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialsOutcome {
    /// Right, and the user's own address is spoken for.
    Right,
    /// Right, and an alias of the user is spoken for, or somebody whom the user may register.
    RightForAlias,
    /// There are none for this realm.
    Absent,
    /// They break their grammar or lack something.
    Malformed(String),
    /// They answer no challenge: an empty nonce or response, or an algorithm that is not offered.
    Unasked,
    /// The response is not the one for this user's password.
    Wrong,
    /// Nobody has that name.
    UnknownUser,
    /// The nonce is not one of ours, for this source and since the start, or too old.
    Stale,
    /// Right, but not the owner's of the address that the request speaks for.
    NotOwner,
    /// Not looked at: whoever sent them is banned.
    Banned,
}

/// What the list of users says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// A user.
    User,
    /// An alias of one.
    Alias,
    /// Nobody; whoever registers it may be there all the same.
    Unlisted,
}

/// A binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingSeen {
    /// The contact's URI.
    pub contact: String,
    /// Its preference in thousandths.
    pub q: u16,
    /// Seconds since it was made or last refreshed.
    pub age: u64,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// Where it was registered from, as `udp:192.0.2.7:5060`.
    pub source: String,
    /// Its Path.
    pub path: Option<String>,
    /// The beginning of its User-Agent.
    pub user_agent: Option<String>,
    /// Its Call-ID.
    pub call_id: String,
    /// Its CSeq number.
    pub cseq: u32,
}

/// What becomes of the requests of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteAction {
    /// What would without it.
    BuiltIn,
    /// They go to its targets.
    Targets,
    /// They go to a target group.
    Group,
    /// They go out by a trunk.
    Trunk,
    /// They came in by a trunk, and go where that says.
    FromTrunk,
    /// They are refused.
    Reply,
    /// They are told where else to ask.
    Redirect,
}

/// Why a request for a SIPS URI may not go somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InsecureWhy {
    /// That is no SIPS URI.
    Uri,
    /// The way there is not secure.
    Way,
}

/// What becomes of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindingUse {
    /// It is a target.
    Target,
    /// It is another flow to the user agent of a target (RFC 5626 §7).
    StandIn,
    /// It is told in the redirection.
    Told,
    /// It names this node: it would come back.
    NamesUs,
    /// There is no way to it from here.
    NoWay,
    /// Its device sleeps: it is pushed, and is a target once it has registered (RFC 8599 §5.6.2).
    Pushed,
    /// Its device sleeps, and the caller does not want to wait (RFC 3841 §9.1).
    NotQueued,
    /// Its device has registered from elsewhere since.
    Replaced,
    /// It is not what the caller wants (RFC 3841).
    Unsuited,
    /// It is of another instance than the GRUU that is asked for (RFC 5627).
    OtherInstance,
}

/// What a URI with `gr` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GruuKind {
    /// A public GRUU.
    Public,
    /// A temporary one.
    Temporary,
    /// None of ours.
    None,
}

/// A server of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSeen {
    /// Those of a lower rank come first.
    pub rank: u32,
    /// Its share among those of its rank.
    pub weight: u16,
    /// By which transport it is reached; `None` leaves that to the URI.
    pub transport: Option<String>,
    /// At which port; `None` leaves that to the URI.
    pub port: Option<u16>,
    /// Its addresses, best first.
    pub addresses: Vec<String>,
}

/// A way to a next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopSeen {
    /// `udp` and so on.
    pub transport: String,
    /// An address with its port, or the connection.
    pub to: String,
    /// The listener whose address is written into Via, as `udp:192.0.2.1:5060`.
    pub listener: String,
}

/// The roles that the node takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleTaken {
    /// Registrar (RFC 3261 §10).
    Registrar,
    /// Notifier (RFC 6665 §4.2).
    Notifier,
    /// A user agent server of its own (RFC 3261 §8.2, §11).
    Server,
    /// Redirect server (RFC 3261 §8.3).
    Redirect,
    /// Stateless proxy (RFC 3261 §16.11).
    Stateless,
    /// Stateful proxy (RFC 3261 §16.2).
    TransactionStateful,
    /// Stateful proxy that stays on the path of the dialog.
    CallStateful,
}

/// Why a role is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleWhy {
    /// It is the node's for what it forwards (`proxy.mode`).
    Mode,
    /// The matching route says so.
    Route,
    /// The caller wants it so (RFC 3841 §9.1).
    Caller,
    /// What is asked for is the node's own matter.
    Own,
    /// ACK and CANCEL that no transaction knows are forwarded without state (RFC 3261 §16.10, §16.11).
    AckOrCancel,
    /// The dialog was set up through us, whatever the mode.
    Dialog,
    /// It comes by datagrams and leaves by a connection, or the other way round (RFC 3261 §16.1).
    Transports,
}

/// Why the node stays on the path of a dialog, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordRouteWhy {
    /// It sets up a dialog and may be sent through us.
    SetsUp,
    /// The configuration says not to, but what follows comes here whatever it says (RFC 5627 §6.2).
    Gruu,
    /// The configuration says not to (`proxy.record_route`).
    Off,
    /// Its method sets up no dialog.
    NoDialog,
    /// It belongs to a dialog that has its route set.
    Dialog,
    /// Its sender may not send through us, and would with our token.
    Stranger,
    /// It has no From tag to make a token for.
    NoTag,
    /// It registers a phone elsewhere, and we are its first hop: we stay on its Path (RFC 5626 §5.1).
    Registers,
    /// It registers a phone elsewhere, which is not ours to reach or knows no Path.
    NoPath,
}

/// What is known of the flow that a Route of ours names (RFC 5626 §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowFound {
    /// It goes over it.
    Kept,
    /// It has come over it, and goes out.
    Outgoing,
    /// Its peer has registered over another one since.
    Anew,
    /// It is gone, and the peer is where its contact says.
    Without,
    /// It is gone.
    Gone,
    /// Nobody here has made its token.
    Forged,
}

/// Why a message is let fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DroppedWhy {
    /// An ACK to an answer that was made here without state.
    AckToOurs,
    /// An ACK is never answered.
    Ack,
    /// It came by multicast, and this is not the node that answers it.
    Multicast,
}

/// What the registrar made of a REGISTER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegisterOutcome {
    /// It asks for the current bindings.
    Fetch,
    /// It removes what is not there.
    Unchanged,
    /// This very request was processed before.
    Retransmission,
    /// It changes bindings.
    Changed,
}
