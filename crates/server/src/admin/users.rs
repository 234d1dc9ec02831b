//! Users as an administrator sees them, and the lines they are imported from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Secret;

/// The address of a user, `user@domain`: the user part as it is written in a SIP URI without escapes, the domain in
/// lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId {
    text: String,
    at: usize,
}

impl UserId {
    /// The part before the `@`.
    pub fn user(&self) -> &str {
        &self.text[..self.at]
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is wrong with a written address, alias or password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub mend: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.mend)
    }
}

impl std::error::Error for Malformed {}

impl Malformed {
    fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            mend: mend.into(),
        }
    }
}

impl FromStr for UserId {
    type Err = Malformed;

    /// Reads `user@domain`; a leading `sip:` is forgiven.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        const MEND: &str = "write it as alice@example.test";
        let bare = text.trim();
        let bare = bare.strip_prefix("sip:").unwrap_or(bare);
        let Some((user, domain)) = bare.rsplit_once('@') else {
            return Err(Malformed::new(format!("`{text}` has no domain"), MEND));
        };
        check_user_part(user)?;
        let host = domain.strip_prefix('[').and_then(|v6| v6.strip_suffix(']'));
        let is_address = host.is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let domain = domain.strip_suffix('.').unwrap_or(domain);
        if !is_address && (domain.len() > 253 || !domain.split('.').all(label)) {
            return Err(Malformed::new(format!("`{domain}` is not a domain"), MEND));
        }
        Ok(Self {
            text: format!("{user}@{}", domain.to_ascii_lowercase()),
            at: user.len(),
        })
    }
}

/// `unreserved` and `user-unreserved` characters (RFC 3261 §25.1).
fn check_user_part(user: &str) -> Result<(), Malformed> {
    let clean = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte);
    if user.is_empty() || user.len() > 128 || !user.bytes().all(clean) {
        let mend = "use letters, digits and - _ . ! ~ * ' ( ) & = + $ , ; ? /, 128 at most";
        return Err(Malformed::new(
            format!("`{user}` cannot be the user part of an address"),
            mend,
        ));
    }
    Ok(())
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The address.
    pub address: UserId,
    /// The name that is shown, if one was given.
    pub display_name: Option<String>,
    /// Other user parts (extensions) by which the user is reached in the same domain.
    pub aliases: Vec<String>,
    /// Contacts that are registered at this moment; `None` when no server runs.
    pub contacts: Option<u32>,
}

/// A user to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The address.
    pub address: UserId,
    /// The password. Only hashes of it are kept.
    pub password: Secret,
    /// The name that is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Other user parts (extensions) by which the user is reached in the same domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

impl NewUser {
    /// Checks what the types do not say.
    ///
    /// # Errors
    /// A password that is empty, too long or has control characters; an alias that cannot be a user part; a display
    /// name that is too long or has control characters.
    pub fn check(&self) -> Result<(), Malformed> {
        check_password(&self.password)?;
        if self.aliases.len() > 32 {
            return Err(Malformed::new("more than 32 aliases", "give fewer"));
        }
        self.aliases.iter().try_for_each(|alias| check_user_part(alias))?;
        let unfit = |name: &String| name.len() > 200 || name.chars().any(char::is_control);
        if self.display_name.as_ref().is_some_and(unfit) {
            return Err(Malformed::new(
                "the display name is unfit",
                "use up to 200 bytes without control characters",
            ));
        }
        Ok(())
    }

    /// Reads one line `user@domain,password`. The password is everything behind the first comma; if it begins with a
    /// quote it is a CSV field, with inner quotes doubled.
    ///
    /// # Errors
    /// What is wrong with the line; it never quotes the password.
    pub fn from_line(line: &str) -> Result<Self, Malformed> {
        const MEND: &str = "write user@domain,password";
        let Some((address, password)) = line.trim_end_matches(['\r', '\n']).split_once(',') else {
            return Err(Malformed::new("the line has no comma", MEND));
        };
        let password = match password.strip_prefix('"') {
            Some(quoted) => {
                let Some(inner) = quoted.strip_suffix('"') else {
                    return Err(Malformed::new(
                        "the quoted password does not end in a quote",
                        MEND,
                    ));
                };
                inner.replace("\"\"", "\"")
            }
            None => password.to_owned(),
        };
        let user = Self {
            address: address.parse()?,
            password: Secret::new(password),
            display_name: None,
            aliases: Vec::new(),
        };
        user.check()?;
        Ok(user)
    }
}

/// Users of an import that are committed together: all of them, or none.
pub const IMPORT_BATCH: usize = 10_000;

/// Bytes that one line of an import may have.
pub const LINE_LIMIT: usize = 1024;

/// Reads one line of an import, without its newline; `None` for empty lines and those that begin with `#`.
///
/// # Errors
/// What is wrong with the line; it never quotes the password.
pub fn import_line(line: &[u8]) -> Option<Result<NewUser, Malformed>> {
    const MEND: &str = "write user@domain,password";
    if line.len() > LINE_LIMIT {
        return Some(Err(Malformed::new("the line is too long", MEND)));
    }
    let Ok(line) = std::str::from_utf8(line) else {
        return Some(Err(Malformed::new("the line is not UTF-8", MEND)));
    };
    // Spreadsheets put a byte order mark before the first line.
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    (!line.trim().is_empty() && !line.starts_with('#')).then(|| NewUser::from_line(line))
}

/// Checks that a password can be hashed and typed again.
///
/// # Errors
/// See [`NewUser::check`].
pub(crate) fn check_password(password: &Secret) -> Result<(), Malformed> {
    let text = password.expose();
    if text.is_empty() || text.len() > 256 {
        return Err(Malformed::new(
            "the password is empty or too long",
            "use 1 to 256 bytes",
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Malformed::new(
            "the password has a control character",
            "use characters that can be typed",
        ));
    }
    Ok(())
}

impl Secret {
    /// Checks that this can be a user's password.
    ///
    /// # Errors
    /// See [`NewUser::check`].
    pub fn check_password(&self) -> Result<(), Malformed> {
        check_password(self)
    }
}

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Users that are there since.
    pub added: u64,
    /// Users that existed and have another password since.
    pub changed: u64,
    /// Lines that were not taken, as many as are worth telling.
    pub failed: Vec<LineError>,
    /// Lines that were not taken, all of them.
    pub failures: u64,
}

impl Import {
    /// Most failed lines that are told.
    pub const TOLD: usize = 100;

    /// Notes a line that was not taken.
    pub fn fail(&mut self, line: u64, error: impl Into<String>) {
        self.failures += 1;
        if self.failed.len() < Self::TOLD {
            self.failed.push(LineError {
                line,
                error: error.into(),
            });
        }
    }

    /// Adds what became of another part.
    pub fn add(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.failures += other.failures;
        let room = Self::TOLD.saturating_sub(self.failed.len());
        self.failed.extend(other.failed.into_iter().take(room));
    }
}

/// A line of an import that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineError {
    /// Its number, from 1.
    pub line: u64,
    /// Why.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_user_at_domain() {
        let id: Result<UserId, _> = "sip:Alice@Example.TEST".parse();
        let parts = id.map(|id| (id.user().to_owned(), id.domain().to_owned()));
        assert_eq!(parts, Ok(("Alice".to_owned(), "example.test".to_owned())));
        for fine in [
            "1001@10.0.0.1",
            "+4930123@example.test",
            "a@[2001:db8::1]",
            "a@localhost",
        ] {
            assert!(fine.parse::<UserId>().is_ok(), "{fine}");
        }
        for wrong in [
            "alice",
            "@example.test",
            "alice@",
            "a b@c",
            "a@b:5060",
            "a@b..c",
            "a<b@c",
            "alice@ex ample",
            "ä@b",
        ] {
            assert!(wrong.parse::<UserId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_import_line_is_an_address_a_comma_and_the_password() {
        let read = |line| {
            NewUser::from_line(line).map(|user| (user.address.to_string(), user.password.expose().to_owned()))
        };
        let alice = |password: &str| Ok(("alice@a.test".to_owned(), password.to_owned()));
        assert_eq!(read("alice@a.test,secret\r\n"), alice("secret"));
        assert_eq!(read("alice@a.test,a,b\"c"), alice("a,b\"c"));
        assert_eq!(read("alice@a.test,\"a\"\"b\""), alice("a\"b"));
        for wrong in ["alice@a.test", "alice@a.test,", "alice,x", "alice@a.test,\"x", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn empty_lines_and_comments_are_no_users() {
        for nothing in [&b""[..], b" \r", b"# alice@a.test,pw"] {
            assert!(import_line(nothing).is_none());
        }
        assert!(import_line("\u{feff}alice@a.test,pw".as_bytes()).is_some_and(|user| user.is_ok()));
        for wrong in [&b"alice@a.test,\xff"[..], &[b'a'; LINE_LIMIT + 1], b"alice"] {
            assert!(import_line(wrong).is_some_and(|user| user.is_err()));
        }
    }

    #[test]
    fn complaints_and_debug_output_never_show_the_password() {
        let error = NewUser::from_line("alice,hunter2").map_err(|wrong| wrong.to_string());
        assert!(error.is_err_and(|text| !text.contains("hunter2")));
        let user = NewUser::from_line("alice@a.test,hunter2");
        assert!(!format!("{user:?}").contains("hunter2"));
    }

    #[test]
    fn an_import_tells_the_first_failures_and_counts_all() {
        let mut import = Import::default();
        for line in 0..250 {
            import.fail(line, "no");
        }
        let mut sum = Import {
            failures: 1,
            failed: vec![LineError {
                line: 1,
                error: String::new(),
            }],
            ..Import::default()
        };
        sum.add(import);
        assert_eq!((sum.failed.len(), sum.failures), (Import::TOLD, 251));
    }
}
