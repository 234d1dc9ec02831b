//! Texts of requests to push services, with places where what is known of a device and its call is put in.

use std::fmt::Write as _;

/// A text with such places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

/// What a place stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Provider,
    Param,
    Prid,
    Aor,
    CallId,
    Method,
    Priority,
}

/// The names of the places.
const PLACES: [(&str, Place); 7] = [
    ("pn-provider", Place::Provider),
    ("pn-param", Place::Param),
    ("pn-prid", Place::Prid),
    ("aor", Place::Aor),
    ("call-id", Place::CallId),
    ("method", Place::Method),
    ("priority", Place::Priority),
];

/// How what is put in is written, so that it stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// As in a JSON string.
    Json,
    /// As a part of a URL's path or query.
    Url,
    /// As it is.
    None,
}

impl Template {
    /// Reads one. Braces around anything but a word of letters and hyphens are just braces.
    ///
    /// # Errors
    /// The first word that stands for nothing.
    pub fn new(text: &str) -> Result<Self, String> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            plain.push_str(before);
            match behind.split_once('}').filter(|(word, _)| is_word(word)) {
                Some((word, after)) => {
                    let place = PLACES.iter().find(|(name, _)| *name == word);
                    let (_, place) = place.ok_or_else(|| word.to_owned())?;
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(Part::Place(*place));
                    rest = after;
                }
                None => {
                    plain.push('{');
                    rest = behind;
                }
            }
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    /// The names of all places, for messages.
    pub fn known() -> String {
        PLACES.map(|(name, _)| format!("{{{name}}}")).join(", ")
    }

    /// With an `x` in each place.
    pub fn example(&self) -> String {
        self.fill(Escape::None, |_| "x")
    }

    /// Whether it has this place.
    pub(super) fn has(&self, place: Place) -> bool {
        self.0.contains(&Part::Place(place))
    }

    /// With what belongs into each place.
    pub(super) fn fill<'v>(&self, escape: Escape, value: impl Fn(Place) -> &'v str) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Place(place) => put(value(*place), escape, &mut out),
            }
        }
        out
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

fn put(value: &str, escape: Escape, out: &mut String) {
    match escape {
        Escape::None => out.push_str(value),
        Escape::Json => {
            // A string is always written, with quotes around it.
            let quoted = serde_json::to_string(value).unwrap_or_default();
            out.push_str(
                quoted
                    .trim_start_matches('"')
                    .strip_suffix('"')
                    .unwrap_or_default(),
            );
        }
        Escape::Url => {
            for byte in value.bytes() {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
                        out.push(char::from(byte))
                    }
                    // Dots too, since some are steps of a path.
                    _ => drop(write!(out, "%{byte:02X}")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, escape: Escape, value: &str) -> String {
        Template::new(text).expect("a template").fill(escape, |_| value)
    }

    #[test]
    fn places_are_filled_and_other_braces_stay() {
        let template = Template::new(r#"{"to":{"token":"{pn-prid}"}, "n": {1}, {}}"#).expect("a template");
        let text = template.fill(Escape::Json, |place| match place {
            Place::Prid => "abc",
            _ => "?",
        });
        assert_eq!(text, r#"{"to":{"token":"abc"}, "n": {1}, {}}"#);
        assert!(template.has(Place::Prid) && !template.has(Place::Param));
        assert_eq!(Template::new("{pn-prit}"), Err("pn-prit".to_owned()));
        assert_eq!(Template::new("").expect("a template").example(), "");
    }

    #[test]
    fn what_is_put_in_stays_within_its_place() {
        assert_eq!(
            filled("\"{aor}\"", Escape::Json, "a\"b\\\n\u{7f}é"),
            "\"a\\\"b\\\\\\n\u{7f}é\""
        );
        assert_eq!(filled("\"{aor}\"", Escape::Json, "\""), "\"\\\"\"");
        assert_eq!(
            filled("/p/{pn-param}/x", Escape::Url, "../a?b=c&d#e %"),
            "/p/%2E%2E%2Fa%3Fb%3Dc%26d%23e%20%25/x"
        );
        assert_eq!(filled("{pn-prid}", Escape::None, "a b"), "a b");
    }
}
