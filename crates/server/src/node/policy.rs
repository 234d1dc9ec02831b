//! Who may do what: digest authentication (RFC 3261 §22) and the rules that keep this node from being an open relay.

use std::borrow::Cow;

use strowger_sip::auth::{
    Challenger, Claim, Proof, ProtectionSpace, Qop, Rejection, Staleness, check_response, select, write_challenges,
};
use strowger_sip::endpoint::Ingress;
use strowger_sip::{Now, Outbox, Reject};
use strowger_syntax::header::NameAddr;
use strowger_syntax::uri::{Uri, escape};
use strowger_syntax::{Message, Method, Name, Status};

use super::Node;
use super::shared::Shared;
use crate::subscriber::Resolved;

/// What is known of whoever sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// Showed credentials that own the address they speak for.
    Authenticated,
    /// A source that need not authenticate.
    Trusted,
    /// On this machine, and digest is off.
    Local,
    /// Nobody we know.
    Stranger,
}

impl Sender {
    /// Whether it may have requests sent to targets that are not ours.
    pub(super) fn may_relay(self) -> bool {
        self != Self::Stranger
    }
}

/// How the check of a request's credentials ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Checked {
    /// They are right; the nonce count is still to be used up.
    Right(Proof),
    /// There are none for us.
    Absent,
    /// They do not do.
    Rejected(Rejection),
    /// They are right, but not the owner's of the address that the request speaks for.
    NotOwner,
}

impl Node {
    /// Who sent a request, from what needs no credentials.
    pub(super) fn sender_by_source(&self, ingress: &Ingress) -> Sender {
        let remote = ingress.source.remote.ip();
        if self.shared.is_trusted(remote) {
            Sender::Trusted
        } else if !self.shared.auth_on() && remote.to_canonical().is_loopback() {
            Sender::Local
        } else {
            Sender::Stranger
        }
    }

    /// Checks the credentials of a request without using up their nonce count. `realm` is left in the work buffers.
    pub(super) fn check_credentials(&mut self, request: Message<'_>, now: Now) -> Checked {
        let challenger = challenger(request.method());
        let mut realm = std::mem::take(&mut self.work.realm);
        write_realm(&self.shared, request, &mut realm);
        let space = self.space(&realm);
        let checked = match select(request, challenger, &space) {
            None => Checked::Absent,
            Some(Err(rejection)) => Checked::Rejected(rejection),
            Some(Ok(given)) => {
                let facts = strowger_sip::auth::Facts {
                    method: request.method_text(),
                    body: request.body(),
                    now_secs: now.wall_secs(),
                };
                let name = given.username.map(|name| name.text());
                let user = local_part(name.as_deref().unwrap_or(&[]));
                let subscribers = &self.shared.subscribers;
                match check_response(&given, &facts, &space, |_, algorithm| subscribers.ha1(user, &realm, algorithm)) {
                    Err(rejection) => Checked::Rejected(rejection),
                    Ok(_) if !owns(&self.shared, request, user, &realm, &mut self.work.name) => Checked::NotOwner,
                    Ok(proof) => Checked::Right(proof),
                }
            }
        };
        self.work.realm = realm;
        checked
    }

    /// Uses up the nonce count of right credentials; false when it was used before or is too old.
    pub(super) fn claim(&self, proof: &Proof) -> bool {
        proof.claim(&self.shared.nonces) == Claim::Ok
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
        let challenger = challenger(request.method());
        let (mut realm, mut lines) = (std::mem::take(&mut self.work.realm), std::mem::take(&mut self.work.lines));
        write_realm(&self.shared, request, &mut realm);
        lines.clear();
        write_challenges(&mut lines, &self.space(&realm), challenger, staleness, now.wall_secs());
        let status = match challenger {
            Challenger::Server => Status::UNAUTHORIZED,
            Challenger::Proxy => Status::PROXY_AUTHENTICATION_REQUIRED,
        };
        self.tally.challenged();
        self.endpoint.identity.reply(request, ingress, status, &lines, out);
        (self.work.realm, self.work.lines) = (realm, lines);
    }

    /// Answers credentials that do not do.
    pub(super) fn refuse_credentials(
        &mut self,
        request: Message<'_>,
        ingress: &Ingress,
        rejection: Rejection,
        now: Now,
        out: &mut Outbox,
    ) {
        match (rejection, rejection.staleness()) {
            (_, Some(staleness)) => self.challenge(request, ingress, staleness, now, out),
            (Rejection::Malformed(what), None) => {
                self.reject(request, ingress, &Reject::because(Status::BAD_REQUEST, what), out);
            }
            (_, None) => self.challenge(request, ingress, Staleness::Fresh, now, out),
        }
    }

    fn space<'s>(&'s self, realm: &'s [u8]) -> ProtectionSpace<'s> {
        ProtectionSpace {
            realm,
            algorithms: &self.shared.policy.algorithms,
            qop: Qop::Auth,
            nonces: &self.shared.nonces,
            key: &self.endpoint.identity.keys.nonce,
        }
    }
}

/// A registrar challenges as the server that it is, everything else is on its way to somebody else.
fn challenger(method: Method) -> Challenger {
    if method == Method::Register { Challenger::Server } else { Challenger::Proxy }
}

/// The address that a request speaks for: the To of a REGISTER, else the From.
fn spoken_for<'a>(request: Message<'a>) -> Option<NameAddr<'a>> {
    let name = if request.method() == Method::Register { Name::To } else { Name::From };
    NameAddr::parse(request.first(name)?).ok()
}

/// The realm of a request: the domain it speaks for if that is ours, else that of the Request-URI, else our first.
fn write_realm(shared: &Shared, request: Message<'_>, realm: &mut Vec<u8>) {
    realm.clear();
    let spoken_for = spoken_for(request).map(|address| address.uri);
    let target = Uri::parse(request.request_uri()).ok();
    for uri in [spoken_for, target].into_iter().flatten() {
        if let Uri::Sip(sip) = uri
            && shared.is_ours(&sip)
        {
            sip.host.encode(realm);
            realm.make_ascii_lowercase();
            return;
        }
    }
    match (shared.ours.names().first(), shared.ours.addresses().first()) {
        (Some(name), _) => realm.extend_from_slice(name.as_bytes()),
        (None, Some(address)) => realm.extend_from_slice(address.to_string().as_bytes()),
        (None, None) => realm.extend_from_slice(b"localhost"),
    }
}

/// The user part of a digest username, which some clients give with its domain.
fn local_part(name: &[u8]) -> &[u8] {
    name.iter().position(|&b| b == b'@').map_or(name, |at| &name[..at])
}

/// Whether a user owns the address that a request speaks for: it is the user's own, or an alias.
fn owns(shared: &Shared, request: Message<'_>, user: &[u8], realm: &[u8], name: &mut Vec<u8>) -> bool {
    let Some(Uri::Sip(sip)) = spoken_for(request).map(|address| address.uri) else { return false };
    if !shared.is_ours(&sip) {
        return false;
    }
    let written = sip.user.unwrap_or(&[]);
    let spoken: Cow<'_, [u8]> = if written.contains(&b'%') {
        let mut plain = Vec::new();
        escape::unescape_into(written, &mut plain);
        plain.into()
    } else {
        written.into()
    };
    if *spoken == *user {
        return true;
    }
    shared.subscribers.resolve(&spoken, realm, name) == Resolved::Alias && *name == user
}
