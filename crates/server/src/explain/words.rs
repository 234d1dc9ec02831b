//! The steps in words, for people.

use crate::node::trace::*;

/// How a line is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It goes on.
    Plain,
    /// It is in order.
    Good,
    /// It is where something was refused or found wrong.
    Bad,
}

/// A step as a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is about, in a word or two.
    pub topic: &'static str,
    /// How it is to be seen.
    pub mark: Mark,
    /// What there is to say.
    pub text: String,
    /// The clause that it obeys; may be empty.
    pub clause: &'static str,
}

fn plain(topic: &'static str, clause: &'static str, text: impl Into<String>) -> Line {
    Line {
        topic,
        mark: Mark::Plain,
        text: text.into(),
        clause,
    }
}

fn good(topic: &'static str, clause: &'static str, text: impl Into<String>) -> Line {
    Line {
        mark: Mark::Good,
        ..plain(topic, clause, text)
    }
}

fn bad(topic: &'static str, clause: &'static str, text: impl Into<String>) -> Line {
    Line {
        mark: Mark::Bad,
        ..plain(topic, clause, text)
    }
}

impl Step {
    /// The step in words.
    pub fn line(&self) -> Line {
        match self {
            Self::Unusable {
                fault,
                clause,
                answerable,
            } => unusable(fault, clause, *answerable),
            Self::KeepAlive { stun } => kept_alive(*stun),
            Self::Shard { owner, shards } => plain("shard", "", format!("shard {owner} of {shards}")),
            Self::Transaction { found } => transaction(*found),
            Self::Response { branch } => response(*branch),
            Self::RouteSet { .. } => self.route_set_line(),
            Self::Flow { found } => flow(*found),
            Self::Bound { to, uri } => bound(*to, uri),
            Self::Validated { max_forwards } => validated(*max_forwards),
            Self::Sender { sender, digest } => sender_line(*sender, *digest),
            Self::Asked { why } => asked(*why),
            Self::Credentials { .. } => self.credentials_line(),
            Self::AddressAsDomain { domain } => bad(
                "domain",
                "RFC 3261 §10.3",
                format!(
                    "its sender has the server's address as its domain, where nobody is a user; the domain is {domain}: give the phone \
                     {domain} as its domain (\"SIP server domain\"), and the address as its proxy"
                ),
            ),
            Self::UsersElsewhere { source } => plain(
                "users",
                "",
                format!("they come from {source}, and are changed there"),
            ),
            Self::UserLookUp { user, asked } => plain(
                "users",
                "",
                match asked {
                    true => format!("the server of users is asked for {user}"),
                    false => format!(
                        "the server of users would be asked for {user} first; an explanation asks nobody, so it ends here"
                    ),
                },
            ),
            Self::NonceCount { fresh: true } => good(
                "credentials",
                "RFC 7616 §3.4",
                "the nonce count is used for the first time",
            ),
            Self::NonceCount { fresh: false } => bad(
                "credentials",
                "RFC 7616 §3.4",
                "the nonce count was used before, or its nonce is too old",
            ),
            Self::Repeated { pending: true } => plain(
                "registrar",
                "RFC 3261 §10.3",
                "the same request is being carried out",
            ),
            Self::Repeated { pending: false } => plain(
                "registrar",
                "RFC 3261 §10.3",
                "a retransmission of what was carried out",
            ),
            Self::RelayDenied => bad(
                "relay",
                "RFC 3261 §16.3",
                "strangers may not have requests sent to somebody else's host",
            ),
            Self::Dialled { dialled, becomes } => {
                plain("dial plan", "RFC 3966", format!("{dialled} comes to {becomes}"))
            }
            Self::Route {
                name,
                place,
                mismatch,
                action,
            } => route(name, place, mismatch.as_deref(), *action),
            Self::NoRoute { routes } => plain(
                "route",
                "",
                format!("none of {routes} matches: the built-in routing applies"),
            ),
            Self::Translated { becomes } => plain("number", "", format!("the route makes it {becomes}")),
            Self::GroupTarget {
                group,
                target,
                health,
                calls,
                usable,
            } => group_target(group, target, health, *calls, *usable),
            Self::Trunk {
                name,
                inbound,
                registered,
            } => trunk(name, *inbound, *registered),
            Self::HeaderChanged => plain("header", "", "the route changes the header of what is forwarded"),
            Self::Address { asked, aor, known } => address(asked, aor, *known),
            Self::Gruu { kind, instance } => gruu(*kind, instance.as_deref()),
            Self::Binding { binding, used } => binding_line(binding, *used),
            Self::LookUp { name, wanted } => plain(
                "next hop",
                "RFC 3263 §4",
                format!("{name}: {wanted} have to be looked up"),
            ),
            Self::Dns {
                question,
                answers,
                ttl,
                failed,
                from,
            } => dns(question, answers, *ttl, *failed, from),
            Self::Servers {
                name,
                servers,
                cached,
            } => servers_line(name, servers, *cached),
            Self::Insecure { uri, why } => insecure(uri, *why),
            Self::Target {
                uri,
                routes,
                group,
                ring_ms,
                hops,
            } => target(uri, routes.as_deref(), (*group, *ring_ms), hops),
            Self::Role { role, why } => role_line(*role, *why),
            Self::RecordRoute { why } => record_route(*why),
            Self::Challenged { status, stale, told } => challenged(*status, *stale, *told),
            Self::Refused { status, reason, told } => refused(*status, reason, *told),
            Self::Answered { status } => good("answer", "RFC 3261 §8.2", format!("answered here: {status}")),
            Self::Dropped { why } => dropped(*why),
            Self::Registered { .. } => self.registered_line(),
        }
    }

    fn route_set_line(&self) -> Line {
        let Self::RouteSet {
            elements,
            ours,
            strict,
            token,
            next,
            request_uri,
        } = self
        else {
            return plain("route set", "", "");
        };
        let clause = "RFC 3261 §16.4";
        if *elements == 0 {
            return plain("route set", clause, "none");
        }
        let mut text = format!("{ours} of {elements} Route elements are ours");
        if *strict {
            text.push_str(&format!(
                "; a strict router had put our entry into the Request-URI, the last element is it: {request_uri}"
            ));
        }
        text.push_str(match token {
            Token::Absent => "; no token",
            Token::Valid => "; the token is right: the dialog was set up through us",
            Token::Forged => {
                "; a token that does not fit this dialog (Call-ID and tags), so it counts for nothing"
            }
        });
        if let Some(next) = next {
            text.push_str(&format!("; next: {next}"));
        }
        match token {
            Token::Valid => good("route set", clause, text),
            Token::Forged => bad("route set", clause, text),
            Token::Absent => plain("route set", clause, text),
        }
    }

    fn credentials_line(&self) -> Line {
        let Self::Credentials {
            realm,
            user,
            algorithm,
            count,
            outcome,
        } = self
        else {
            return plain("credentials", "", "");
        };
        let clause = "RFC 3261 §22.4";
        let mut of = String::new();
        if let Some(user) = user {
            of.push_str(&format!(" of `{user}`"));
        }
        of.push_str(&format!(" for realm \"{realm}\""));
        if let Some(algorithm) = algorithm {
            of.push_str(&format!(", {algorithm}"));
        }
        if let Some(count) = count {
            of.push_str(&format!(", nonce count {count}"));
        }
        let why = match outcome {
            CredentialsOutcome::Right => {
                return good("credentials", clause, format!("right{of}"));
            }
            CredentialsOutcome::RightForAlias => {
                let text = format!(
                    "right{of}; the address spoken for is an alias of that user, or one that the user may register"
                );
                return good("credentials", clause, text);
            }
            CredentialsOutcome::Absent => return plain("credentials", clause, format!("none{of}")),
            CredentialsOutcome::Malformed(what) => format!("malformed{of}: {what}"),
            CredentialsOutcome::Unasked => format!(
                "they answer no challenge{of}: nonce or response is empty, or the algorithm is not offered"
            ),
            CredentialsOutcome::Wrong => format!("wrong password{of}"),
            CredentialsOutcome::UnknownUser => format!("there is no such user{of}"),
            CredentialsOutcome::Stale => format!(
                "stale{of}: the nonce was not made by this start of the node for this source, or is too old"
            ),
            CredentialsOutcome::NotOwner => {
                format!("right{of}, but the address that the request speaks for is not theirs")
            }
            CredentialsOutcome::Banned => format!("not looked at{of}: banned for wrong passwords"),
        };
        bad("credentials", clause, why)
    }

    fn registered_line(&self) -> Line {
        let Self::Registered {
            aor,
            outcome,
            added,
            refreshed,
            removed,
        } = self
        else {
            return plain("registrar", "", "");
        };
        let text = match outcome {
            RegisterOutcome::Fetch => format!("{aor}: asks for the bindings, changes none"),
            RegisterOutcome::Unchanged => format!("{aor}: removes what is not there"),
            RegisterOutcome::Retransmission => format!("{aor}: this very request was carried out before"),
            RegisterOutcome::Changed => {
                format!("{aor}: {added} added, {refreshed} refreshed, {removed} removed")
            }
        };
        good("registrar", "RFC 3261 §10.3", text)
    }
}

fn kept_alive(stun: Option<bool>) -> Line {
    match stun {
        None => good(
            "keep-alive",
            "RFC 3261 §7.5",
            "it says nothing, and wants no answer",
        ),
        Some(true) => good(
            "keep-alive",
            "RFC 5626 §8",
            "a STUN Binding request: it is told where it came from",
        ),
        Some(false) => bad(
            "keep-alive",
            "RFC 8489 §6.3",
            "it begins as a STUN message, and is no Binding request that can be answered",
        ),
    }
}

fn unusable(fault: &str, clause: &str, answerable: bool) -> Line {
    let end = if answerable {
        "it is told so"
    } else {
        "it can't be answered"
    };
    bad(
        "parsing",
        "RFC 3261 §16.3 step 1",
        format!("{fault} ({clause}); {end}"),
    )
}

fn transaction(found: TransactionFound) -> Line {
    let text = match found {
        TransactionFound::New => "none knows it: it is new",
        TransactionFound::Absorbed => {
            "one has it: a retransmission (answered with what was answered last), or the ACK to a refusal"
        }
        TransactionFound::CancelsForwarded => {
            "it cancels an INVITE under way: 200 for the CANCEL itself, then its branches are cancelled"
        }
        TransactionFound::CancelsLookUp => "it cancels an INVITE whose next hop is still looked up",
        TransactionFound::NotLookedAt => "not looked at: the shard has too many to copy them",
    };
    plain("transaction", "RFC 3261 §17.2.3", text)
}

fn response(branch: ResponseBranch) -> Line {
    let clause = "RFC 3261 §16.7 step 1";
    match branch {
        ResponseBranch::Passed => good(
            "transaction",
            clause,
            "it answers a request that was forwarded from here",
        ),
        ResponseBranch::Absorbed => plain(
            "transaction",
            clause,
            "its client transaction has had such an answer, and keeps this one",
        ),
        ResponseBranch::Ended => bad(
            "transaction",
            clause,
            "its branch is written like ours, but there is no such client transaction (any more)",
        ),
        ResponseBranch::Stateless => good(
            "transaction",
            clause,
            "it answers what was forwarded without state, and goes back there",
        ),
        ResponseBranch::Stray => bad("transaction", clause, "its branch is none of ours"),
    }
}

fn bound(to: BoundTo, uri: &str) -> Line {
    let what = match to {
        BoundTo::Registrar => "the registrar",
        BoundTo::User => "an address of ours",
        BoundTo::Node => "this node itself",
        BoundTo::Foreign => "somebody else's host",
    };
    plain("bound for", "RFC 3261 §16.5", format!("{what}: {uri}"))
}

fn validated(max_forwards: Option<u64>) -> Line {
    let hops = match max_forwards {
        Some(hops) => format!("Max-Forwards {hops}"),
        None => "no Max-Forwards".to_owned(),
    };
    let text = format!("in order: {hops}, no loop, nothing required of proxies");
    good("validation", "RFC 3261 §16.3", text)
}

fn sender_line(sender: SenderKind, digest: bool) -> Line {
    let text = match (sender, digest) {
        (SenderKind::Authenticated, _) => "showed right credentials",
        (SenderKind::Trusted, _) => "trusted: its address is in `trusted`",
        (SenderKind::Trunk, _) => "the provider of a trunk with trusted = true, which may call us",
        (SenderKind::Local, _) => "on this machine, and digest is off",
        (SenderKind::Stranger, true) => "a stranger, by its address",
        (SenderKind::Stranger, false) => "a stranger (digest is off, and it is not on this machine)",
    };
    plain("sender", "RFC 3261 §16.3 step 6", text)
}

fn flow(found: FlowFound) -> Line {
    let clause = "RFC 5626 §5.3";
    let text = match found {
        FlowFound::Kept => "it goes over the flow that its Route names",
        FlowFound::Outgoing => "it has come over the flow that its Route names, and goes out",
        FlowFound::Anew => "its peer has registered over another flow than its Route names",
        FlowFound::Without => "the flow that its Route names is gone: it goes where its contact says",
        FlowFound::Gone => return bad("flow", clause, "the flow that its Route names is gone"),
        FlowFound::Forged => return bad("flow", clause, "nobody here has made the flow token of its Route"),
    };
    plain("flow", clause, text)
}

fn asked(why: AskedWhy) -> Line {
    let text = match why {
        AskedWhy::Method => "credentials are wanted: its method is challenged",
        AskedWhy::Closed => {
            "credentials are wanted: it is for a user, strangers reach none, and it is not from where its user is registered"
        }
        AskedWhy::Shown => "no credentials are wanted, but there are some, which count if they are for us",
        AskedWhy::DigestOff => "no credentials are wanted: digest is off",
        AskedWhy::Trusted => "no credentials are wanted of a trusted source",
        AskedWhy::Dialog => "no credentials are wanted: the route token proves its dialog",
        AskedWhy::Path => {
            "no credentials are wanted: it came by the Path of a phone that has registered through us"
        }
        AskedWhy::AckOrCancel => "no credentials are wanted: ACK and CANCEL can't be challenged",
        AskedWhy::Visitor => "no credentials are wanted: visitors may register from there",
        AskedWhy::Open => "no credentials are wanted: its route is open to strangers",
        AskedWhy::NotChallenged => "no credentials are wanted for this method",
    };
    plain("policy", "RFC 3261 §22.1", text)
}

fn route(name: &str, place: &str, mismatch: Option<&str>, action: RouteAction) -> Line {
    if let Some(mismatch) = mismatch {
        return plain("route", "", format!("{place} `{name}` is not for it: {mismatch}"));
    }
    let action = match action {
        RouteAction::BuiltIn => "the built-in routing applies",
        RouteAction::Targets => "it goes to the route's targets",
        RouteAction::Group => "it goes to the route's target group",
        RouteAction::Trunk => "it goes out by the route's trunk",
        RouteAction::FromTrunk => "it goes where the trunk's calls go",
        RouteAction::Reply => "it is refused",
        RouteAction::Redirect => "it is told where else to ask",
    };
    good("route", "", format!("{place} `{name}` matches: {action}"))
}

fn trunk(name: &str, inbound: bool, registered: bool) -> Line {
    match (inbound, registered) {
        (true, _) => plain(
            "trunk",
            "RFC 3261 §10.2",
            format!("it is for the contact of trunk `{name}`, and comes from its provider"),
        ),
        (false, true) => good(
            "trunk",
            "RFC 3261 §22.3",
            format!("it goes out by `{name}`, whose challenges are answered; the node is registered there"),
        ),
        (false, false) => bad(
            "trunk",
            "RFC 3261 §22.3",
            format!(
                "it goes out by `{name}`, whose challenges are answered, but the node is not registered there (`strowger ctl trunks`)"
            ),
        ),
    }
}

fn group_target(group: &str, target: &str, health: &str, calls: u32, usable: bool) -> Line {
    let text = format!("{target} of `{group}` is {health} and has {calls} calls");
    if usable {
        good("group", "", text)
    } else {
        bad("group", "", format!("{text}; left out"))
    }
}

fn address(asked: &str, aor: &str, known: Known) -> Line {
    let text = match known {
        Known::User => format!("{asked} is the user {aor}"),
        Known::Alias => format!("{asked} is an alias of {aor}"),
        Known::Unlisted => format!("{asked} is {aor}, which is no user or alias that is listed"),
    };
    plain("address", "RFC 3261 §16.5", text)
}

fn gruu(kind: GruuKind, instance: Option<&str>) -> Line {
    let text = match (kind, instance) {
        (GruuKind::Public, Some(instance)) => format!("the public one of {instance}"),
        (GruuKind::Temporary, Some(instance)) => format!("a temporary one of {instance}"),
        (GruuKind::Public, None) => "a public one, whose instance is not registered".to_owned(),
        (GruuKind::Temporary, None) => "a temporary one, which does not hold any more".to_owned(),
        (GruuKind::None, _) => "it has `gr`, but is none that was given out here".to_owned(),
    };
    match instance {
        Some(_) => good("GRUU", "RFC 5627 §6.1", text),
        None => bad("GRUU", "RFC 5627 §6.1", text),
    }
}

/// Thousandths as they are written in `q`.
fn q(thousandths: u16) -> String {
    match thousandths % 1000 {
        0 => format!("{}", thousandths / 1000),
        rest => format!("{}.{rest:03}", thousandths / 1000)
            .trim_end_matches('0')
            .to_owned(),
    }
}

impl BindingSeen {
    /// It in a line.
    pub fn words(&self) -> String {
        let mut text = format!(
            "{}  q={}, registered {} ago from {}, {} left",
            self.contact,
            q(self.q),
            span(self.age),
            self.source,
            span(self.expires_in)
        );
        if let Some(agent) = &self.user_agent {
            text.push_str(&format!(", {agent}"));
        }
        if let Some(path) = &self.path {
            text.push_str(&format!(", by way of {path}"));
        }
        text
    }
}

/// Seconds as people say them.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

fn insecure(uri: &str, why: InsecureWhy) -> Line {
    let why = match why {
        InsecureWhy::Uri => "it is no SIPS URI, as the request is for one",
        InsecureWhy::Way => "the way to it is not secure, as it has to be for a SIPS URI",
    };
    bad("target", "RFC 5630 §5.3", format!("{uri}; left out: {why}"))
}

fn binding_line(binding: &BindingSeen, used: BindingUse) -> Line {
    let words = binding.words();
    match used {
        BindingUse::Target | BindingUse::Told => good("binding", "RFC 3261 §16.5", words),
        BindingUse::Pushed => {
            let text =
                format!("{words}; its device sleeps: it is pushed, and is a target once it has registered");
            good("binding", "RFC 8599 §5.6.2", text)
        }
        BindingUse::NotQueued => {
            let text = format!("{words}; left out: its device sleeps, and the caller does not want to wait");
            bad("binding", "RFC 3841 §9.1", text)
        }
        BindingUse::Replaced => {
            let text = format!("{words}; left out: its device has registered from elsewhere since");
            plain("binding", "RFC 8599 §5.3", text)
        }
        BindingUse::StandIn => plain(
            "binding",
            "RFC 5626 §7",
            format!("{words}: another flow to the same user agent, tried if the one before fails"),
        ),
        BindingUse::NamesUs => {
            let text = format!("{words}; left out: it names this node and would come back");
            bad("binding", "RFC 3261 §16.5", text)
        }
        BindingUse::Unsuited => {
            let text = format!("{words}; left out: it is not what the caller wants");
            bad("binding", "RFC 3841 §7.2", text)
        }
        BindingUse::OtherInstance => {
            let text = format!("{words}; left out: it is of another instance");
            plain("binding", "RFC 5627 §6.1", text)
        }
        BindingUse::NoWay => {
            let text = format!("{words}; left out: there is no way to it from here");
            bad("binding", "RFC 3261 §16.5", text)
        }
    }
}

fn dns(question: &str, answers: &[String], ttl: u32, failed: bool, from: &str) -> Line {
    let text = match answers {
        _ if failed => format!("{question}: {from} did not answer"),
        [] => format!("{question}: none ({from}, for {ttl} s)"),
        answers => format!("{question}: {} ({from}, for {ttl} s)", answers.join(", ")),
    };
    plain("DNS", "", text)
}

fn servers_line(name: &str, servers: &[ServerSeen], cached: bool) -> Line {
    let clause = "RFC 3263 §4.2";
    let known = if cached { ", as is known from before" } else { "" };
    if servers.is_empty() {
        return bad("servers", clause, format!("{name} has none{known}"));
    }
    let told = |server: &ServerSeen| {
        let mut text = server.addresses.join(" ");
        if let Some(port) = server.port {
            text.push_str(&format!(" port {port}"));
        }
        if let Some(transport) = &server.transport {
            text.push_str(&format!(" by {transport}"));
        }
        if servers.len() > 1 {
            text.push_str(&format!(" (rank {}, weight {})", server.rank, server.weight));
        }
        text
    };
    let all: Vec<_> = servers.iter().map(told).collect();
    plain("servers", clause, format!("{name}: {}{known}", all.join("; ")))
}

fn target(uri: &str, routes: Option<&str>, (group, ring_ms): (u16, Option<u32>), hops: &[HopSeen]) -> Line {
    let way = |hop: &HopSeen| format!("{}:{} from {}", hop.transport, hop.to, hop.listener);
    let mut text = uri.to_owned();
    if group > 0 {
        text.push_str(&format!(" in turn {}", group + 1));
    }
    if let Some(ring_ms) = ring_ms {
        text.push_str(&format!(" for {} s", f64::from(ring_ms) / 1000.0));
    }
    if let Some(routes) = routes {
        text.push_str(&format!(" by way of {routes}"));
    }
    for (number, hop) in hops.iter().enumerate() {
        text.push_str(if number == 0 { "  -> " } else { ", else " });
        text.push_str(&way(hop));
    }
    good("target", "RFC 3261 §16.6", text)
}

fn role_line(role: RoleTaken, why: RoleWhy) -> Line {
    let (what, clause) = match role {
        RoleTaken::Registrar => ("registrar", "RFC 3261 §10"),
        RoleTaken::Notifier => ("notifier", "RFC 6665 §4.2"),
        RoleTaken::Server => ("user agent server", "RFC 3261 §8.2"),
        RoleTaken::Redirect => ("redirect server", "RFC 3261 §8.3"),
        RoleTaken::Stateless => ("stateless proxy", "RFC 3261 §16.11"),
        RoleTaken::TransactionStateful => ("stateful proxy, for this transaction", "RFC 3261 §16.2"),
        RoleTaken::CallStateful => ("stateful proxy, on the path of the whole call", "RFC 3261 §16.2"),
    };
    let why = match why {
        RoleWhy::Mode => "`proxy.mode`",
        RoleWhy::Route => "the route says so",
        RoleWhy::Caller => "the caller wants it so",
        RoleWhy::Own => "it is the node's own matter",
        RoleWhy::AckOrCancel => "no transaction knows this ACK or CANCEL",
        RoleWhy::Dialog => "its dialog was set up through us",
        RoleWhy::Transports => "somebody has to retransmit between datagrams and a connection",
    };
    plain("role", clause, format!("{what} ({why})"))
}

fn record_route(why: RecordRouteWhy) -> Line {
    let text = match why {
        RecordRouteWhy::SetsUp => "yes: it sets up a dialog, and its sender may send through us",
        RecordRouteWhy::Gruu => "yes: what follows comes here, as a GRUU or a Path of ours says",
        RecordRouteWhy::Off => "no: neither `proxy.mode` and `proxy.record_route` nor the route ask for it",
        RecordRouteWhy::NoDialog => "no: its method sets up no dialog",
        RecordRouteWhy::Dialog => "no: its dialog has its route set",
        RecordRouteWhy::Stranger => "no: its sender may not send through us, and our token would let it",
        RecordRouteWhy::NoTag => "no: it has no From tag",
        RecordRouteWhy::Registers => "by Path: its phone registers elsewhere, through us",
        RecordRouteWhy::NoPath => "no Path: its phone knows none, or is behind another proxy",
    };
    plain("stay on path", "RFC 3261 §16.6 step 4", text)
}

fn challenged(status: u16, stale: bool, told: bool) -> Line {
    let stale = if stale { ", stale=true" } else { "" };
    let end = if told {
        ""
    } else {
        "; but its source was refused too much, so it is not answered"
    };
    bad("challenge", "RFC 3261 §22", format!("{status}{stale}{end}"))
}

fn refused(status: u16, reason: &str, told: bool) -> Line {
    let end = if told { "" } else { ", without an answer" };
    bad("refusal", "RFC 3261 §21", format!("{status} {reason}{end}"))
}

fn dropped(why: DroppedWhy) -> Line {
    let text = match why {
        DroppedWhy::AckToOurs => "it acknowledges an answer that was made here without state",
        DroppedWhy::Ack => "an ACK is never answered",
        DroppedWhy::Multicast => {
            "it came by multicast, where only the registrar of its domain whose challenge it meets answers"
        }
    };
    plain("dropped", "RFC 3261 §17", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_written_as_in_contacts() {
        let written: Vec<_> = [1000, 0, 500, 50, 7, 999].into_iter().map(q).collect();
        assert_eq!(written, ["1", "0", "0.5", "0.05", "0.007", "0.999"]);
    }
}
