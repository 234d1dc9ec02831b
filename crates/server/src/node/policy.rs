//! Who may do what: digest authentication (RFC 3261 §22) and the rules that keep this node from being an open relay.

use std::borrow::Cow;

use strowger_sip::auth::{
    Challenger, Claim, Facts, Proof, ProtectionSpace, Qop, Rejection, Selected, Staleness, check_response,
    select,
};
use strowger_sip::endpoint::{Identity, Ingress};
use strowger_sip::{Keys, Now, Outbox, Reject};
use strowger_syntax::message::Span;
use strowger_syntax::scan::find_near;
use strowger_syntax::uri::{SipUri, Uri, escape};
use strowger_syntax::{Message, Method, Name, Status};

use super::Node;
use super::refused::Why;
use super::shared::Shared;
use super::trace::{CredentialsOutcome, DroppedWhy, Step};
use super::user_lookup::Progress;
use crate::config::{UserSource, effective};
use crate::subscriber::Resolved;

/// What is known of whoever sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// Showed credentials that own the address they speak for.
    Authenticated,
    /// A source that need not authenticate.
    Trusted,
    /// A provider that we are registered with, which may call the contact that it knows, and nobody else.
    Trunk,
    /// On this machine, and digest is off.
    Local,
    /// Nobody we know.
    Stranger,
}

impl Sender {
    /// Who sent a request, from what needs no credentials.
    pub(super) fn by_source(shared: &Shared, keys: &Keys, ingress: &Ingress) -> Self {
        let remote = ingress.source.remote.ip();
        if shared.is_trusted(remote) {
            Self::Trusted
        } else if effective::is_local(shared.auth_on(), remote) {
            Self::Local
        } else if shared.is_trusted_trunk(remote, keys) {
            Self::Trunk
        } else {
            Self::Stranger
        }
    }

    /// Whether it may have requests sent to targets that are not ours.
    pub(super) fn may_relay(self) -> bool {
        !matches!(self, Self::Stranger | Self::Trunk)
    }

    /// Whether it need not show credentials because of where it sends from.
    pub(super) fn is_known_source(self) -> bool {
        matches!(self, Self::Trusted | Self::Trunk)
    }

    /// Whether where it sends from is all that has to be known of it.
    pub(super) fn is_exempt(self) -> bool {
        matches!(self, Self::Trusted | Self::Trunk | Self::Local)
    }
}

/// Right credentials of somebody who owns the address that the request speaks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Right {
    proof: Proof,
    /// Whether that address is the user's own name or an alias.
    pub(super) address: Resolved,
}

impl Right {
    /// A number for the use of a nonce that they are.
    pub(super) fn number(&self) -> u64 {
        self.proof.number()
    }
}

/// How the check of a request's credentials ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Checked {
    /// They are right; the nonce count is still to be used up.
    Right(Right),
    /// There are none for us.
    Absent,
    /// They do not do.
    Rejected(Rejection),
    /// They are right, but not the owner's of the address that the request speaks for.
    NotOwner,
    /// They do not do, and neither did the ones before.
    Insists,
    /// They were not looked at: whoever sent them is banned.
    ShutOut,
    /// The server of users is asked first; the request will be taken up again.
    Waits,
    /// The server of users would have to be asked, and that cannot be.
    Unknown(Reject),
}

impl Checked {
    /// The refusal that is no challenge.
    pub(super) fn refusal(&self) -> Option<Reject> {
        match self {
            Self::Unknown(reject) => Some(*reject),
            Self::NotOwner | Self::Insists | Self::ShutOut => Some(Reject::new(Status::FORBIDDEN)),
            Self::Right(_) | Self::Absent | Self::Rejected(_) | Self::Waits => None,
        }
    }
}

impl Node {
    /// Who sent a request, from what needs no credentials.
    pub(super) fn sender_by_source(&self, ingress: &Ingress) -> Sender {
        Sender::by_source(&self.shared, &self.endpoint.identity.keys, ingress)
    }

    /// Checks the credentials of a request without using up their nonce count. The realm is left in the work buffers.
    pub(super) fn check_credentials(&mut self, request: Message<'_>, ingress: &Ingress, now: Now) -> Checked {
        let spoken_for = self.find_realm(request);
        let selected = {
            let space = space(&self.shared, &self.endpoint.identity, &self.work.realm, ingress);
            select(request, self.challenger(request), &space)
        };
        let selected = match &selected {
            None => {
                self.note_credentials(None, || CredentialsOutcome::Absent);
                return Checked::Absent;
            }
            Some(Err(rejection)) => {
                let rejection = *rejection;
                self.note_credentials(None, || rejection.into());
                return Checked::Rejected(rejection);
            }
            Some(Ok(selected)) => selected,
        };
        let name = selected.given.username.map(|name| name.text());
        let user = local_part(name.as_deref().unwrap_or(&[]));
        if self.is_shut_out(ingress, user, now) {
            self.note_credentials(Some(selected), || CredentialsOutcome::Banned);
            self.tell_refused(request, ingress, Why::Banned, now);
            return Checked::ShutOut;
        }
        let facts = Facts {
            method: request.method_text(),
            body: request.body(),
            now_secs: now.wall_secs(),
        };
        let (realm, hashes) = (&self.work.realm, &mut self.work.request_hashes);
        let space = space(&self.shared, &self.endpoint.identity, realm, ingress);
        let ha1 = |algorithm| self.shared.subscribers.ha1(user, realm, algorithm);
        let checked = check_response(selected, &facts, &space, hashes, ha1);
        let spoken = spoken_for.as_deref();
        match self.is_enough_known(request, ingress, (user, spoken), &checked, now) {
            Ok(Progress::On) => {}
            Ok(Progress::Waits) => return Checked::Waits,
            Err(reject) => return Checked::Unknown(reject),
        }
        match checked {
            Err(rejection) => {
                self.note_credentials(Some(selected), || rejection.into());
                self.tell_rejection(request, ingress, rejection, now);
                self.note_rejection(ingress, user, rejection, now)
            }
            Ok(proof) => {
                let address = self.whose(request, spoken, user);
                if address == Resolved::Unknown {
                    self.note_credentials(Some(selected), || CredentialsOutcome::NotOwner);
                    self.tell_refused(request, ingress, Why::NotOwner, now);
                    return Checked::NotOwner;
                }
                self.note_credentials(Some(selected), || CredentialsOutcome::right_for(address));
                Checked::Right(Right { proof, address })
            }
        }
    }

    /// Whether enough is known of the user of credentials, and if they are right, of the other name that the request speaks for.
    #[inline]
    fn is_enough_known(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        (user, spoken_for): (&[u8], Option<&[u8]>),
        checked: &Result<Proof, Rejection>,
        now: Now,
    ) -> Result<Progress, Reject> {
        let progress = self.may_count(request, ingress, user, checked, now)?;
        match spoken_for.filter(|&spoken_for| spoken_for != user) {
            Some(other) if progress == Progress::On && checked.is_ok() => {
                self.is_speaker_known(request, ingress, other, now)
            }
            _ => Ok(progress),
        }
    }

    /// Whether the address of a user whom a request speaks for is the user's own ([`Resolved::User`]), an alias of it or of
    /// somebody whom the user may register ([`Resolved::Alias`]), or neither. The realm is in the work buffers.
    fn whose(&mut self, request: Message<'_>, spoken_for: Option<&[u8]>, user: &[u8]) -> Resolved {
        let Some(spoken_for) = spoken_for else {
            return Resolved::Unknown;
        };
        if spoken_for == user {
            return Resolved::User;
        }
        let (realm, name) = (&self.work.realm, &mut self.work.name);
        let resolved = self.shared.subscribers.resolve(spoken_for, realm, name);
        let other = match resolved {
            Resolved::Alias => name,
            Resolved::User | Resolved::Unknown => spoken_for,
        };
        let is_alias = resolved == Resolved::Alias && other == user;
        // Who may register others (RFC 3261 §10.3 step 4).
        let mut parties = self.shared.policy.third_parties.iter();
        let is_register = request.method() == Method::Register;
        if is_alias || (is_register && parties.any(|party| party.may(user, realm, other))) {
            return Resolved::Alias;
        }
        Resolved::Unknown
    }

    /// Notes what credentials are worth. The realm is in the work buffers.
    fn note_credentials(
        &self,
        selected: Option<&Selected<'_>>,
        outcome: impl FnOnce() -> CredentialsOutcome,
    ) {
        let realm = &self.work.realm;
        self.trace.note(|| Step::credentials(realm, selected, outcome()));
        if self.trace.is_listening()
            && let Some(domain) = self.domain_meant()
        {
            self.trace.note(|| Step::AddressAsDomain {
                domain: domain.to_owned(),
            });
        }
        if selected.is_some() && *self.shared.subscribers.origin() != UserSource::Kept {
            let source = self.shared.subscribers.origin();
            self.trace.note(|| Step::UsersElsewhere {
                source: source.to_string(),
            });
        }
    }

    /// Puts the realm of a request into the work buffers. The user that it speaks for, if that is an address of ours.
    fn find_realm<'a>(&mut self, request: Message<'a>) -> Option<Cow<'a, [u8]>> {
        let realm = &mut self.work.realm;
        if let Some((user, domain)) = self.work.own.registered.split(uri_spoken_for(request)) {
            realm.clear();
            realm.extend_from_slice(domain);
            return Some(user.into());
        }
        let address = spoken_for(request);
        write_realm(&self.shared, request, address.as_ref(), realm);
        let address = address.filter(|sip| self.shared.is_ours(sip))?;
        // A temporary GRUU speaks for the user that it hides.
        if address.params.has(b"gr") {
            self.write_aor_of(&address);
            let at = self.work.aor.iter().rposition(|&b| b == b'@')?;
            return Some(self.work.aor[..at].to_vec().into());
        }
        let written = address.user.unwrap_or(&[]);
        if !written.contains(&b'%') {
            return Some(written.into());
        }
        let mut plain = Vec::new();
        escape::unescape_into(written, &mut plain);
        Some(plain.into())
    }

    /// Uses up the nonce count of right credentials; false when it was used before or is too old.
    pub(super) fn claim(&self, right: &Right, ingress: &Ingress, now: Now) -> bool {
        let claimed = right.proof.claim(&self.shared.nonces) == Claim::Ok;
        self.trace.note(|| Step::NonceCount { fresh: claimed });
        if claimed && right.proof.is_first_use() {
            self.shared.defence.challenge_met(ingress.source.remote.ip(), now);
        }
        claimed
    }

    /// Asks for credentials, without state (RFC 3261 §22.2, §22.3).
    pub(super) fn challenge(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        staleness: Staleness,
        now: Now,
        out: &mut Outbox,
    ) {
        self.find_realm(request);
        self.challenge_again(request, ingress, staleness, now, out);
    }

    /// [`challenge`](Self::challenge) after [`check_credentials`](Self::check_credentials) of the same request, which has
    /// found the realm.
    pub(super) fn challenge_again(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        staleness: Staleness,
        now: Now,
        out: &mut Outbox,
    ) {
        let told = self.may_challenge(request, ingress, now);
        let challenger = self.challenger(request);
        let status = match challenger {
            Challenger::Server => Status::UNAUTHORIZED,
            Challenger::Proxy => Status::PROXY_AUTHENTICATION_REQUIRED,
        };
        self.trace.note(|| Step::challenged(status, staleness, told));
        if !told {
            return;
        }
        let space = space(&self.shared, &self.endpoint.identity, &self.work.realm, ingress);
        let lines = self
            .work
            .challenges
            .write(&space, challenger, staleness, now.wall_secs());
        self.tally.challenged();
        self.endpoint.identity.reply(request, ingress, status, lines, out);
    }

    /// A registrar and a notifier challenge as the servers that they are (RFC 6665 §4.2.1.3), everything else is on its way to
    /// somebody else.
    #[inline]
    fn challenger(&self, request: Message<'_>) -> Challenger {
        match request.method() {
            Method::Register => Challenger::Server,
            Method::Subscribe => self.challenger_of_subscriber(request),
            _ => Challenger::Proxy,
        }
    }

    #[inline(never)]
    fn challenger_of_subscriber(&self, request: Message<'_>) -> Challenger {
        if self.is_served(request) {
            Challenger::Server
        } else {
            Challenger::Proxy
        }
    }

    /// Answers credentials that do not do, after [`check_credentials`](Self::check_credentials).
    pub(super) fn refuse_credentials(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        rejection: Rejection,
        now: Now,
        out: &mut Outbox,
    ) {
        // Of those who hear a group, the one answers whose challenge was met.
        if rejection == Rejection::ForeignNonce && ingress.source.is_multicast() {
            let why = DroppedWhy::Multicast;
            return self.trace.note(|| Step::Dropped { why });
        }
        match (rejection, rejection.staleness()) {
            (_, Some(staleness)) => self.challenge_again(request, ingress, staleness, now, out),
            (Rejection::Malformed(what), None) => {
                let (sender, reject) = (
                    self.sender_by_source(ingress),
                    Reject::because(Status::BAD_REQUEST, what),
                );
                self.reject(request, ingress, sender, &reject, now, out);
            }
            (_, None) => self.challenge_again(request, ingress, Staleness::Fresh, now, out),
        }
    }
}

fn space<'s>(
    shared: &'s Shared,
    identity: &'s Identity,
    realm: &'s [u8],
    ingress: &Ingress,
) -> ProtectionSpace<'s> {
    ProtectionSpace {
        realm,
        source: ingress.source.remote.ip(),
        algorithms: &shared.policy.algorithms,
        qop: Qop::Auth,
        nonces: &shared.nonces,
        key: &identity.keys.nonce,
    }
}

/// The line of the credentials of a request whose sender has authenticated itself to this proxy, where there is no other.
pub(super) fn only_proxy_credentials(request: Message<'_>) -> Option<Span> {
    let mut lines = request
        .fields_of(Name::ProxyAuthorization)
        .map(|field| field.line);
    let first = lines.next().filter(|_| request.method() != Method::Register);
    first.filter(|_| lines.next().is_none())
}

/// The address that a request speaks for: the To of a REGISTER, else the From. `None` if it is no SIP address.
pub(super) fn spoken_for(request: Message<'_>) -> Option<SipUri<'_>> {
    sip_uri(Uri::parse(uri_spoken_for(request)).ok()?)
}

fn uri_spoken_for(request: Message<'_>) -> &[u8] {
    if request.method() == Method::Register {
        request.to_uri()
    } else {
        request.from_uri()
    }
}

fn sip_uri(uri: Uri<'_>) -> Option<SipUri<'_>> {
    match uri {
        Uri::Sip(sip) => Some(sip),
        _ => None,
    }
}

/// The realm of a request: the domain it speaks for if that is ours, else that of the Request-URI, else our first.
fn write_realm(shared: &Shared, request: Message<'_>, spoken_for: Option<&SipUri<'_>>, realm: &mut Vec<u8>) {
    realm.clear();
    if let Some(sip) = spoken_for.filter(|sip| shared.is_ours(sip)) {
        return shared.ours.write_host(&sip.host, realm);
    }
    let target = Uri::parse(request.request_uri()).ok().and_then(sip_uri);
    if let Some(sip) = target.filter(|sip| shared.is_ours(sip)) {
        return shared.ours.write_host(&sip.host, realm);
    }
    match (shared.ours.names().first(), shared.ours.addresses().first()) {
        (Some(name), _) => realm.extend_from_slice(name.as_bytes()),
        (None, Some(address)) => realm.extend_from_slice(address.to_string().as_bytes()),
        (None, None) => realm.extend_from_slice(b"localhost"),
    }
}

/// The user part of a digest username, which some clients give with its domain.
fn local_part(name: &[u8]) -> &[u8] {
    find_near(name, b'@').map_or(name, |at| &name[..at])
}
