//! Where a secret is that a configuration file does not contain: another file, or the environment.

use std::env;
use std::fmt;
use std::path::PathBuf;

use super::diagnostic::{Complaint, Report};
use super::read::{Given, Item, Key};
use crate::admin::Secret;

/// The longest secret, in bytes.
const LONGEST: usize = 16 << 10;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// In a file, of which it is the whole text but for the end of the line.
    File(PathBuf),
    /// In a variable of the environment.
    Env(String),
}

/// Why a secret cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SecretPlace {
    /// Reads it. A file is read anew each time, so that whoever renews it need tell nobody; this may block.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(&self) -> Result<Secret, Unreadable> {
        let (text, place) = match self {
            Self::File(path) => {
                let place = path.display().to_string();
                let text = std::fs::read_to_string(path);
                (
                    text.map_err(|error| Unreadable(format!("{place}: {error}")))?,
                    place,
                )
            }
            Self::Env(name) => {
                let text = env::var(name);
                let missing = |_| Unreadable(format!("the environment has no variable {name} that is text"));
                (text.map_err(missing)?, name.clone())
            }
        };
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() || secret.len() > LONGEST || secret.contains(char::is_control) {
            return Err(Unreadable(format!("{place} is not one line of text")));
        }
        Ok(Secret::new(secret))
    }
}

#[derive(Default)]
struct Draft {
    file: Option<PathBuf>,
    env: Option<String>,
}

const KEYS: &[Key<Draft>] = &[
    Key {
        name: "file",
        example: r#""push.token""#,
        given: Given::Example,
        doc: "A file that has it, and nothing else.",
        read: |draft, item, report| {
            draft.file = item
                .string(report)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from);
        },
    },
    Key {
        name: "env",
        example: r#""PUSH_TOKEN""#,
        given: Given::Example,
        doc: "A variable of the environment that has it.",
        read: |draft, item, report| {
            draft.env = item
                .string(report)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
        },
    },
];

/// Reads where a secret is.
pub(super) fn read_secret_place(item: Item<'_, '_>, report: &mut Report<'_>) -> Option<SecretPlace> {
    let mend = "write { file = \"...\" } or { env = \"...\" }";
    if item.value.get_ref().is_str() {
        let what = format!("`{}` must not be in this file", item.path);
        report.add(&item.span(), Complaint::new(what, mend));
        return None;
    }
    if !item.value.get_ref().is_table() {
        item.wrong_type("a table", "{ file = \"...\" } or { env = \"...\" }", report);
        return None;
    }
    let (mut draft, before) = (Draft::default(), report.count());
    item.table(KEYS, &mut draft, report);
    match (draft.file, draft.env) {
        (Some(path), None) => Some(SecretPlace::File(path)),
        (None, Some(name)) => Some(SecretPlace::Env(name)),
        // What is wrong with a place has been told.
        (None, None) if report.count() > before => None,
        _ => {
            let what = format!("`{}` must name one place", item.path);
            report.add(&item.span(), Complaint::new(what, mend));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_of_a_file_or_a_variable() {
        let dir = env::temp_dir().join(format!("strowger-secret-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join("token");
        let read = |text: &[u8]| {
            std::fs::write(&path, text).expect("written");
            SecretPlace::File(path.clone()).read()
        };
        assert_eq!(read(b"Bearer abc\n").expect("a secret").expose(), "Bearer abc");
        assert_eq!(read(b"Bearer abc\r\n").expect("a secret").expose(), "Bearer abc");
        for bad in [&b""[..], b"\n", b"a\nb\n", b"\xff"] {
            assert!(read(bad).is_err(), "{}", bad.escape_ascii());
        }
        std::fs::remove_dir_all(&dir).expect("removed");
        assert!(SecretPlace::File(path).read().is_err());
        let missing = SecretPlace::Env("STROWGER_NO_SUCH_VARIABLE".to_owned()).read();
        assert!(
            missing
                .expect_err("none")
                .to_string()
                .contains("STROWGER_NO_SUCH_VARIABLE")
        );
    }
}
