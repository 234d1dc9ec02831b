//! Which scenarios there are, and why some of them are not for a registrar, proxy and redirect server.

use std::io;
use std::path::Path;

const ANOTHER_BRANCH: &str =
    "its ACK to a 488 has another branch than the INVITE: only a B2BUA keeps it from the other side";

/// The reason for each scenario whose name begins like this; the longest beginning counts.
const WHY_NOT: &[(&str, &str)] = &[
    ("pjsua/", "plays a peer against a user agent"),
    ("sipp-docs/", "SIPp's examples: they say nothing about a server"),
    ("sipp-srtp/", "media between user agents"),
    ("sipssert/accounting/", "call records in a database of OpenSIPS"),
    ("sipssert/b2b/", "needs a B2BUA"),
    ("sipssert/presence/", "needs a presence server"),
    (
        "sipssert/startup/",
        "starts OpenSIPS with its own configurations; no message is sent",
    ),
    ("sipssert/stir-shaken/", "needs a signer or verifier of STIR"),
    ("sipssert/topology-hiding/", "rewrites dialogs: needs a B2BUA"),
    (
        "sipssert/uac-auth/",
        "the server answers challenges as a user agent client",
    ),
    (
        "sipssert/dialog/",
        "the server speaks within the dialog itself (OPTIONS, PRACK or UPDATE of its own, other CSeq): needs a B2BUA",
    ),
    (
        "siphon/b2bua_auth_",
        "expects that the second INVITE reaches the phone with another Call-ID: needs a B2BUA",
    ),
    ("siphon/b2bua_reinvite_reject", ANOTHER_BRANCH),
    ("siphon/b2bua_reinvite_breject", ANOTHER_BRANCH),
    (
        "siphon/b2bua_bye_glare",
        "expects that the server answers a BYE itself: needs a B2BUA",
    ),
    (
        "siphon/b2bua_refer_",
        "the server takes part in the transfer: needs a B2BUA",
    ),
    (
        "siphon/b2bua_session_timer",
        "the server refreshes the session itself: needs a B2BUA",
    ),
    ("siphon/charging_", "needs online charging (Diameter)"),
    ("siphon/publish", "needs a presence server"),
    ("siphon/refer_single_leg", "the server is the called user agent"),
    (
        "siphon/reject_",
        "a script refuses a call when its 183 comes: needs a B2BUA",
    ),
    ("siphon/voice_ai_", "the server is the called user agent"),
    (
        "sipp-regress/github-0234",
        "the contact is no address of this machine; it is about how SIPp reads it",
    ),
    (
        "sipp-regress/github-0769",
        "SIPp 3.6.1 cannot read it: response codes as patterns",
    ),
    (
        "sipp-regress/github-0850",
        "about what SIPp sends when it is stopped",
    ),
];

/// All scenarios, as they are called in the table: a folder of sipssert and sipp-regress, a file elsewhere.
pub(crate) fn scenarios(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for suite in children(folder)? {
        let path = folder.join(&suite);
        for child in children(&path)? {
            match suite.as_str() {
                "sipssert" if path.join(&child).is_dir() => {
                    let of_group = children(&path.join(&child))?;
                    names.extend(of_group.into_iter().map(|case| format!("{suite}/{child}/{case}")));
                }
                "sipp-regress" => names.push(format!("{suite}/{child}")),
                _ => names.extend(child.strip_suffix(".xml").map(|name| format!("{suite}/{name}"))),
            }
        }
    }
    if names.is_empty() {
        return Err(io::Error::other("no scenarios"));
    }
    Ok(names)
}

fn children(folder: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

/// Why a scenario is not applicable.
pub(crate) fn why_not(name: &str) -> Option<&'static str> {
    let beginnings = WHY_NOT
        .iter()
        .filter(|(beginning, _)| name.starts_with(beginning));
    beginnings
        .max_by_key(|(beginning, _)| beginning.len())
        .map(|(_, why)| *why)
}
