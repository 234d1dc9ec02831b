//! A request as it would be if a user had answered its challenge (RFC 3261 §22.2, §22.3), by what is kept of the user's password.

use strowger_sip::auth::{Account, Algorithm, Answers};
use strowger_sip::keys::MacKey;
use strowger_syntax::{Draft, Edits, Index, Limits, Message, Name};

use super::{Sent, Unclear};
use crate::config::UserSource;
use crate::subscriber::Subscribers;

/// Makes the client's nonces, which nobody checks.
const KEY: [u8; 16] = [0; 16];

/// A request without credentials; as it is if it can't be read.
pub(super) fn without_credentials(request: &[u8], limits: &Limits) -> Vec<u8> {
    let (mut index, mut edits, mut out) = (Index::default(), Edits::default(), Vec::new());
    let Ok(message) = index.parse(request, limits) else {
        return request.to_owned();
    };
    let mut draft = Draft::of(message, &mut edits);
    draft.remove(Name::Authorization);
    draft.remove(Name::ProxyAuthorization);
    draft.finish(&mut out);
    out
}

/// The challenge among what would be sent.
pub(super) fn challenge(sent: &[Sent]) -> Option<&Sent> {
    let is_challenge = |sent: &&Sent| {
        ["SIP/2.0 401 ", "SIP/2.0 407 "]
            .iter()
            .any(|start| sent.start_line.starts_with(start))
    };
    sent.iter().find(is_challenge)
}

/// A request with the credentials of a user, `alice` or `alice@example.test`, that answer a challenge.
///
/// # Errors
/// [`Unclear`]: nothing is known of such a user.
pub(super) fn with_credentials(
    request: &[u8],
    challenge: &Sent,
    user: &str,
    subscribers: &Subscribers,
    limits: &Limits,
) -> Result<Vec<u8>, Unclear> {
    let (name, domain) = match user.rsplit_once('@') {
        Some((name, domain)) => (name, Some(domain.to_ascii_lowercase())),
        None => (user, None),
    };
    let account = Account {
        username: name.to_owned(),
        password: String::new(),
        realm: domain,
    };
    let (mut index, mut answers) = (Index::default(), Answers::default());
    let ha1 = |realm: &[u8], algorithm: Algorithm| subscribers.ha1(name.as_bytes(), realm, algorithm);
    let taken = index
        .parse(challenge.text.as_bytes(), limits)
        .is_ok_and(|challenge| answers.take_by(challenge, account.realm.as_deref(), ha1).is_ok());
    if !taken {
        return Err(unknown(user, challenge, subscribers));
    }
    let Ok(message) = index.parse(request, limits) else {
        return Ok(request.to_owned());
    };
    let method = String::from_utf8_lossy(message.method_text());
    let mut lines = Vec::new();
    answers.write(
        &account,
        &method,
        message.request_uri(),
        &MacKey::new(KEY),
        &mut lines,
    );
    Ok(with_lines(message, &lines))
}

/// A message with lines above its first Via.
fn with_lines(message: Message<'_>, lines: &[u8]) -> Vec<u8> {
    let first = message.fields_of(Name::Via).next();
    let at = first.map_or(0, |field| usize::from(field.line.start));
    let (head, tail) = message.bytes().split_at(at);
    [head, lines, tail].concat()
}

/// Why nothing is known of a user.
fn unknown(user: &str, challenge: &Sent, subscribers: &Subscribers) -> Unclear {
    let realm = challenge.text.split("realm=\"").nth(1).unwrap_or_default();
    let realm = realm.split('"').next().unwrap_or_default();
    match subscribers.origin() {
        UserSource::Server(url) => Unclear {
            what: format!(
                "what {url} would say of `{user}` is not known here, and an explanation asks nobody"
            ),
            mend: "explain by the running server, after the user has registered or called".to_owned(),
        },
        UserSource::Kept | UserSource::File(_) => Unclear {
            what: format!("there is no user `{user}` of {realm}, for which credentials are asked"),
            mend: "name one that `strowger user list` shows; an alias has no password of its own".to_owned(),
        },
    }
}
