//! The written forms of what routes are made of.

use strowger_syntax::{Name, Status};

use super::super::diagnostic::Complaint;
use super::Reply;
use crate::routing::Pattern;

/// Reads a regular expression.
pub(super) fn pattern(text: &str) -> Result<String, Complaint> {
    match Pattern::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(why) => {
            let what = format!("`{text}` is no regular expression that can be used: {why}");
            let mend = "correct it; in single quotes a backslash is written once, as in '^sip:\\+49'";
            Err(Complaint::new(what, mend))
        }
    }
}

/// Reads a Status-Code with an optional Reason-Phrase.
pub(super) fn reply(text: &str) -> Result<Reply, Complaint> {
    const MEND: &str = "write a code from 400 to 699 and what it says, as in \"603 Decline\"";
    let (code, reason) = text.split_once(' ').unwrap_or((text, ""));
    let code = match code.parse::<u16>() {
        Ok(code) if code_has_three_digits(text) => code,
        _ => return Err(Complaint::new(format!("`{text}` is no answer"), MEND)),
    };
    let refuse = |why: &str, mend: &str| {
        Err(Complaint::new(
            format!("`{text}` cannot be answered: {why}"),
            mend,
        ))
    };
    match code {
        401 | 407 => refuse(
            "it needs a challenge (RFC 3261 §22)",
            "challenge with [auth] methods, and use `authenticated` in `when`",
        ),
        300..=399 => refuse(
            "a redirection needs contacts (RFC 3261 §8.3)",
            "write redirect = { status = 302, contacts = [...] }",
        ),
        100..=299 => refuse("nobody here takes up what is asked for", MEND),
        400..=699 if is_reason(reason) => Ok(Reply {
            status: Status::new(code),
            reason: reason.trim().to_owned(),
        }),
        400..=699 => refuse("its text has control characters (RFC 3261 §25.1)", MEND),
        _ => refuse("there is no such code", MEND),
    }
}

fn code_has_three_digits(text: &str) -> bool {
    text.bytes().take_while(u8::is_ascii_digit).count() == 3
}

fn is_reason(text: &str) -> bool {
    text.len() <= 200 && !text.chars().any(char::is_control)
}

/// Reads a user, a number or the beginning of one.
pub(super) fn user(text: &str) -> Result<String, Complaint> {
    let fits =
        !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'@');
    if fits {
        return Ok(text.to_owned());
    }
    let mend = "write a user or a number, as in \"alice\" or \"+4930\"";
    Err(Complaint::new(format!("`{text}` is no user"), mend))
}

/// Reads what is put before or behind a number.
pub(super) fn piece(text: &str) -> Result<String, Complaint> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"+-_.!~*'()&=$,#".contains(&b);
    if text.len() <= 64 && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    let mend = "write digits, as in \"+49\"";
    Err(Complaint::new(
        format!("`{text}` can be no part of a number"),
        mend,
    ))
}

/// Reads how long a number is: `7` or `7-15`.
pub(in super::super) fn length(text: &str) -> Result<(u16, u16), Complaint> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    match (least.trim().parse(), most.trim().parse()) {
        (Ok(least), Ok(most)) if 1 <= least && least <= most && most <= 255 => Ok((least, most)),
        _ => {
            let mend = "write a number of characters from 1 to 255, or a range as in \"7-15\"";
            Err(Complaint::new(format!("`{text}` is no length"), mend))
        }
    }
}

/// Reads a q (RFC 3261 §25.1), in thousandths.
pub(super) fn q(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// The names that no route may change, with why.
const KEPT: &[(Name, &str)] = &[
    (Name::Via, "it is the way back of answers (RFC 3261 §16.6 step 8)"),
    (
        Name::Route,
        "it is the way that the caller has chosen (RFC 3261 §16.6 step 6)",
    ),
    (
        Name::RecordRoute,
        "it is the way of the dialog (RFC 3261 §16.6 step 4); use `record_route`",
    ),
    (Name::Path, "it is the way to a registered phone (RFC 3327)"),
    (Name::ServiceRoute, "it is the registrar's (RFC 3608)"),
    (Name::From, "it identifies the dialog (RFC 3261 §12)"),
    (Name::To, "it identifies the dialog (RFC 3261 §12)"),
    (Name::CallId, "it identifies the dialog (RFC 3261 §12)"),
    (Name::CSeq, "it identifies the transaction (RFC 3261 §8.1.1.5)"),
    (
        Name::Contact,
        "it is where the other side is reached (RFC 3261 §12.1)",
    ),
    (Name::MaxForwards, "it ends loops (RFC 3261 §16.6 step 3)"),
    (Name::MaxBreadth, "it bounds forking (RFC 5393 §5.3)"),
    (
        Name::ContentLength,
        "it says where the message ends (RFC 3261 §18.3)",
    ),
    (
        Name::ContentType,
        "it describes a body that no proxy may change (RFC 3261 §16.6)",
    ),
    (
        Name::ContentEncoding,
        "it describes a body that no proxy may change (RFC 3261 §16.6)",
    ),
    (
        Name::ContentDisposition,
        "it describes a body that no proxy may change (RFC 3261 §16.6)",
    ),
    (
        Name::MimeVersion,
        "it describes a body that no proxy may change (RFC 3261 §16.6)",
    ),
    (
        Name::Authorization,
        "it is for whoever challenged (RFC 3261 §22.2)",
    ),
    (
        Name::ProxyAuthorization,
        "it is for whoever challenged (RFC 3261 §22.3)",
    ),
    (Name::ProxyAuthenticate, "it is a challenge (RFC 3261 §22.3)"),
    (Name::WwwAuthenticate, "it is a challenge (RFC 3261 §22.2)"),
    (Name::Require, "it is between the two ends (RFC 3261 §20.32)"),
    (
        Name::ProxyRequire,
        "what it asks for must not be passed by (RFC 3261 §20.29)",
    ),
    (
        Name::Supported,
        "it says what the caller can do (RFC 3261 §20.37)",
    ),
    (Name::RAck, "it is between the two ends (RFC 3262)"),
    (Name::RSeq, "it is between the two ends (RFC 3262)"),
    (Name::Event, "it identifies the subscription (RFC 6665)"),
    (Name::SubscriptionState, "it is between the two ends (RFC 6665)"),
    (Name::Replaces, "it is between the two ends (RFC 3891)"),
    (Name::ReferTo, "it is between the two ends (RFC 3515)"),
    (Name::Expires, "it is between the two ends (RFC 3261 §20.19)"),
    (Name::SessionExpires, "it is negotiated on the way (RFC 4028 §8)"),
    (Name::MinSe, "it is negotiated on the way (RFC 4028 §8)"),
];

/// Checks the name of a header field that is to be changed.
pub(super) fn header_name(text: &str) -> Result<String, Complaint> {
    if !is_token(text) {
        let mend = "write a name such as \"X-Account\"";
        return Err(Complaint::new(
            format!("`{text}` is no name of a header field"),
            mend,
        ));
    }
    let name = Name::from_bytes(text.as_bytes());
    match KEPT.iter().find(|(kept, _)| *kept == name) {
        Some((name, why)) => {
            let what = format!("a proxy must leave {} alone: {why}", name.as_str());
            Err(Complaint::new(what, "remove the rule"))
        }
        None => Ok(text.to_owned()),
    }
}

/// Checks the name of a header field that is looked at.
pub(super) fn is_token(text: &str) -> bool {
    let is_token_char = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(is_token_char)
}

/// Checks the value of a header field that is added.
pub(super) fn header_value(text: &str) -> Result<String, Complaint> {
    if text.len() <= 1024 && !text.chars().any(char::is_control) {
        return Ok(text.trim().to_owned());
    }
    let what = "the value of a header field is one line of at most 1024 bytes (RFC 3261 §7.3.1)";
    Err(Complaint::new(
        what,
        "write it without line ends and control characters",
    ))
}
