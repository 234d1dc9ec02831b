//! Reads TOML values into the tree by tables of keys, and reports all that is wrong instead of the first.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Complaint, Report, nearest, one_of};
use super::home::home_of;
use super::value::{duration, duration_text};

/// The definition of one key of a table that is read into a `T`.
pub(super) struct Key<T> {
    /// Its name.
    pub(super) name: &'static str,
    /// A TOML value: the default, or an example for keys that have none.
    pub(super) example: &'static str,
    /// True when leaving the key out means `example`.
    pub(super) given: Given,
    /// What it does, for the reference.
    pub(super) doc: &'static str,
    /// Reads and checks the value.
    pub(super) read: fn(&mut T, Item<'_, '_>, &mut Report<'_>),
}

/// What leaving a key out means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// The key's example is the default.
    Default,
    /// There is no default that could be written; the key's example is only that.
    Example,
    /// The key must be there.
    Required,
    /// A table: its keys have their own defaults.
    Table,
    /// The key is understood, but this build carries nothing that it would be for; it is left out of the reference.
    Reserved,
}

/// One value of the file under the name it is known by.
#[derive(Clone, Copy)]
pub(super) struct Item<'v, 't> {
    pub(super) path: &'v str,
    pub(super) value: &'v Spanned<DeValue<'t>>,
}

impl<'v, 't> Item<'v, 't> {
    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// Where one key of this table has its value; the table itself when it lacks the key.
    pub(super) fn key_span(&self, key: &str) -> Range<usize> {
        self.value
            .get_ref()
            .get(key)
            .map_or_else(|| self.span(), Spanned::span)
    }

    /// Reports that the value is none of this kind, and how one is written.
    pub(super) fn wrong_type(&self, wanted: &str, example: &str, report: &mut Report<'_>) {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let what = format!("`{}` must be {wanted}, not {found}", self.path);
        report.add(
            &self.span(),
            Complaint::new(what, format!("write it as {example}")),
        );
    }

    /// A string.
    pub(super) fn string(&self, report: &mut Report<'_>) -> Option<&'v str> {
        let value: &'v Spanned<DeValue<'t>> = self.value;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type("a string", "\"...\", in quotes", report);
        }
        text
    }

    /// A string in a form of its own.
    pub(super) fn parsed<R>(
        &self,
        read: fn(&str) -> Result<R, Complaint>,
        report: &mut Report<'_>,
    ) -> Option<R> {
        let text = self.string(report)?;
        read(text)
            .map_err(|complaint| report.add(&self.span(), complaint))
            .ok()
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, report: &mut Report<'_>) -> Option<bool> {
        let value = self.value.get_ref().as_bool();
        if value.is_none() {
            self.wrong_type("a boolean", "true or false, without quotes", report);
        }
        value
    }

    /// A whole number within bounds.
    pub(super) fn integer<N>(&self, bounds: RangeInclusive<N>, report: &mut Report<'_>) -> Option<N>
    where
        N: TryFrom<i128> + PartialOrd + std::fmt::Display,
    {
        let Some(written) = self.value.get_ref().as_integer() else {
            self.wrong_type("a whole number", "digits without quotes", report);
            return None;
        };
        let number = i128::from_str_radix(written.as_str(), written.radix()).ok();
        let number = number
            .and_then(|number| N::try_from(number).ok())
            .filter(|number| bounds.contains(number));
        if number.is_none() {
            let what = format!("`{}` = {written} is out of range", self.path);
            let mend = format!("write a number from {} to {}", bounds.start(), bounds.end());
            report.add(&self.span(), Complaint::new(what, mend));
        }
        number
    }

    /// A duration within bounds.
    pub(super) fn duration(
        &self,
        bounds: RangeInclusive<Duration>,
        report: &mut Report<'_>,
    ) -> Option<Duration> {
        if let Some(number) = self.value.get_ref().as_integer() {
            let what = format!(
                "`{}` must be a duration with its unit, not a bare number",
                self.path
            );
            report.add(
                &self.span(),
                Complaint::new(what, format!("write \"{number}s\" if you meant seconds")),
            );
            return None;
        }
        let read = self.parsed(duration, report)?;
        if !bounds.contains(&read) {
            let what = format!("`{}` = {} is out of range", self.path, duration_text(read));
            let (least, most) = (duration_text(*bounds.start()), duration_text(*bounds.end()));
            report.add(
                &self.span(),
                Complaint::new(what, format!("write a duration from {least} to {most}")),
            );
            return None;
        }
        Some(read)
    }

    /// One of a fixed set of words.
    pub(super) fn word<W: Copy>(&self, words: &[(&'static str, W)], report: &mut Report<'_>) -> Option<W> {
        let text = self.string(report)?;
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|&(_, value)| value);
        if found.is_none() {
            report.add(
                &self.span(),
                unknown_word(self.path, text, words.iter().map(|(word, _)| *word).collect()),
            );
        }
        found
    }

    /// A list, each of whose elements is read by `read`; elements that are wrong are reported and left out.
    pub(super) fn list<R>(
        &self,
        report: &mut Report<'_>,
        mut read: impl FnMut(Self, &mut Report<'_>) -> Option<R>,
    ) -> Option<Vec<R>> {
        let value: &'v Spanned<DeValue<'t>> = self.value;
        let Some(array) = value.get_ref().as_array() else {
            let example = match value.get_ref() {
                DeValue::String(_) => "[\"...\"], in brackets".to_owned(),
                DeValue::Table(_) => format!("[[{}]], in double brackets", self.path),
                _ => "[...]".to_owned(),
            };
            self.wrong_type("a list", &example, report);
            return None;
        };
        Some(
            array
                .iter()
                .filter_map(|value| {
                    read(
                        Item {
                            path: self.path,
                            value,
                        },
                        report,
                    )
                })
                .collect(),
        )
    }

    /// A table of known keys.
    pub(super) fn table<T>(&self, keys: &[Key<T>], into: &mut T, report: &mut Report<'_>) {
        let Some(table) = self.value.get_ref().as_table() else {
            self.wrong_type("a table", &format!("a section [{}]", self.path), report);
            return;
        };
        read_table(table, self.path, self.span(), keys, into, report);
    }
}

/// What is said of a key that has to be there and is not.
pub(super) const MISSING: &str = "is missing";

/// The complaint about a word that is not in its set.
pub(super) fn unknown_word(path: &str, text: &str, words: Vec<&'static str>) -> Complaint {
    let mend = match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use {}", one_of(&words)),
    };
    Complaint::new(format!("`{path}` cannot be `{text}`"), mend)
}

/// Reads one table. `path` is empty for the root; `place` is where a missing key is reported.
pub(super) fn read_table<T>(
    table: &DeTable<'_>,
    path: &str,
    place: Range<usize>,
    keys: &[Key<T>],
    into: &mut T,
    report: &mut Report<'_>,
) {
    let full = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    for (name, value) in table.iter() {
        let path = full(name.get_ref());
        match keys.iter().find(|key| key.name == name.get_ref()) {
            Some(key) => (key.read)(into, Item { path: &path, value }, report),
            None => report.add(&name.span(), unknown_key(&path, name.get_ref(), keys)),
        }
    }
    for key in keys {
        let there = |name: &str| name == key.name || meant(name, keys) == Some(key.name);
        if key.given == Given::Required && !table.iter().any(|(name, _)| there(name.get_ref())) {
            let what = format!("`{}` {MISSING}", full(key.name));
            report.add(
                &place,
                Complaint::new(what, format!("add {} = {}", key.name, key.example)),
            );
        }
    }
}

/// The key that a misspelt one was meant to be.
fn meant<T>(name: &str, keys: &[Key<T>]) -> Option<&'static str> {
    nearest(name, keys.iter().map(|key| key.name))
}

fn unknown_key<T>(path: &str, name: &str, keys: &[Key<T>]) -> Complaint {
    let mend = match (meant(name, keys), home_of(name)) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Some(home)) => home,
        (None, None) => {
            let carried = keys.iter().filter(|key| key.given != Given::Reserved);
            let names: Vec<&str> = carried.map(|key| key.name).collect();
            format!("known here are {}", one_of(&names).replace(" or ", " and "))
        }
    };
    Complaint::new(format!("`{path}` is not a key"), mend)
}
