//! The URIs that routes and target groups lead to.

use strowger_syntax::Transport;
use strowger_syntax::uri::{Host, SipUri, TransportParam, Uri};

use super::super::diagnostic::{Complaint, Report};
use super::super::read::{Given, Item, Key};
use super::super::{Mode, schema::MODES};

/// The URI of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUri {
    /// As it was written.
    pub text: String,
    /// What of the request goes with it.
    pub takes: Takes,
    /// The role that it asks for.
    pub mode: Option<Mode>,
}

/// What of a request's URI a target keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: the URI has a user and is the whole target.
    Nothing,
    /// The user or number: the URI has none.
    User,
    /// All of it: the URI is that of a proxy to go through, with `lr` (RFC 3261 §16.6 step 6).
    Whole,
}

impl TargetUri {
    /// Reads one.
    ///
    /// # Errors
    /// What is no SIP URI, or has what no target may have.
    pub(in super::super) fn read(text: &str) -> Result<Self, Complaint> {
        const MEND: &str =
            "write it as \"sip:gw.example.test\", or \"sip:edge.example.test;lr\" for a proxy to go through";
        let wrong = |why: String| Err(Complaint::new(format!("`{text}` is no target: {why}"), MEND));
        let sip = match Uri::parse(text.as_bytes()) {
            Ok(Uri::Sip(sip)) => sip,
            Ok(_) => return wrong("requests are sent to sip: and sips: URIs".to_owned()),
            Err(error) => return wrong(error.to_string()),
        };
        if !sip.headers.is_empty() || sip.params.has(b"method") {
            return wrong("a Request-URI has no headers and no method (RFC 3261 §19.1.1)".to_owned());
        }
        if is_multicast(&sip) {
            let what = format!("`{text}` is multicast, which reaches more than one element at once");
            let mend = "name each target by itself; this build sends to no multicast address";
            return Err(Complaint::new(what, mend));
        }
        let takes = match (sip.user, sip.is_loose_router()) {
            (None, true) => Takes::Whole,
            (None, false) => Takes::User,
            (Some(_), false) => Takes::Nothing,
            (Some(_), true) => return wrong("a proxy to go through (`lr`) has no user here".to_owned()),
        };
        Ok(Self {
            text: text.to_owned(),
            takes,
            mode: None,
        })
    }

    /// Reads one that names a group instead if it is no URI.
    pub(super) fn is_group(text: &str) -> bool {
        !text.contains(':')
    }

    /// Whether it asks for a connection.
    pub(super) fn asks_for_stream(&self) -> bool {
        match Uri::parse(self.text.as_bytes()) {
            Ok(Uri::Sip(sip)) => {
                sip.secure
                    || matches!(sip.transport(), Some(TransportParam::Known(transport)) if transport != Transport::Udp)
            }
            _ => false,
        }
    }
}

fn is_multicast(sip: &SipUri<'_>) -> bool {
    let is = |host: Host<'_>| host.ip().is_some_and(|ip| ip.is_multicast());
    is(sip.host) || sip.maddr().is_some_and(is)
}

/// What `to` and `targets` list.
#[derive(Default)]
struct Listed {
    uri: Option<TargetUri>,
    mode: Option<Mode>,
}

const TARGET: &[Key<Listed>] = &[
    Key {
        name: "uri",
        example: r#""sip:gw1.example.test""#,
        given: Given::Required,
        doc: "Where.",
        read: |listed, item, report| listed.uri = item.parsed(TargetUri::read, report),
    },
    Key {
        name: "mode",
        example: r#""transaction""#,
        given: Given::Example,
        doc: "The role that this target asks for; of several the strictest is taken.",
        read: |listed, item, report| listed.mode = item.word(&MODES, report),
    },
];

/// Reads one target or a list of them, each a URI or a table.
pub(super) fn listed_targets(item: Item<'_, '_>, report: &mut Report<'_>) -> Option<Vec<TargetUri>> {
    if item.value.get_ref().is_array() {
        return item.list(report, one_target);
    }
    one_target(item, report).map(|target| vec![target])
}

fn one_target(item: Item<'_, '_>, report: &mut Report<'_>) -> Option<TargetUri> {
    if item.value.get_ref().is_str() {
        return item.parsed(TargetUri::read, report);
    }
    if !item.value.get_ref().is_table() {
        item.wrong_type(
            "a URI, a list of them or the name of a target group",
            "\"sip:gw.example.test\"",
            report,
        );
        return None;
    }
    let mut listed = Listed::default();
    item.table(TARGET, &mut listed, report);
    listed.uri.map(|uri| TargetUri {
        mode: listed.mode,
        ..uri
    })
}
