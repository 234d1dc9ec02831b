//! Regular expressions: deterministic automata, so that a search needs neither memory nor a lock, and its time is that of
//! the text.

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::start;
use regex_automata::util::syntax;
use regex_automata::{Anchored, MatchKind};

use super::bits::Bits;

/// Bytes that one automaton may have.
const MAX_SIZE: usize = 1 << 18;

/// One regular expression.
#[derive(Clone)]
pub struct Pattern {
    automaton: Automata,
}

type Automata = dense::DFA<Vec<u32>>;

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pattern")
    }
}

impl Pattern {
    /// Compiles one. Characters are bytes: classes are ASCII.
    ///
    /// # Errors
    /// Why it is none, or that it is too large.
    pub fn new(text: &str) -> Result<Self, String> {
        let automaton = compile(&[text])?;
        Ok(Self { automaton })
    }

    /// Whether it is found in a text.
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        let mut found = false;
        walk(&self.automaton, text, |_| {
            found = true;
            false
        });
        found
    }
}

/// Many regular expressions, each of one route, that are looked for in the same text at once.
#[derive(Clone, Default)]
pub(super) struct Patterns {
    parts: Vec<(Automata, Vec<usize>)>,
}

impl std::fmt::Debug for Patterns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Patterns({})", self.parts.len())
    }
}

impl Patterns {
    /// Compiles them together as far as that is not too large. Each by itself is none of those that [`Pattern::new`] refuses.
    pub(super) fn new(all: &[(usize, &str)]) -> Self {
        let mut patterns = Self::default();
        patterns.add(all);
        patterns
    }

    fn add(&mut self, all: &[(usize, &str)]) {
        let texts: Vec<&str> = all.iter().map(|(_, text)| *text).collect();
        match compile(&texts) {
            _ if all.is_empty() => {}
            Ok(automaton) => {
                let places = all.iter().map(|(place, _)| *place).collect();
                self.parts.push((automaton, places));
            }
            Err(_) if all.len() > 1 => {
                let (first, second) = all.split_at(all.len() / 2);
                self.add(first);
                self.add(second);
            }
            Err(_) => {}
        }
    }

    /// The routes whose expressions are found in a text.
    pub(super) fn matches(&self, text: &[u8]) -> Bits {
        let mut bits = Bits::default();
        for (automaton, places) in &self.parts {
            walk(automaton, text, |pattern| {
                if let Some(&place) = places.get(pattern) {
                    bits.add(place);
                }
                true
            });
        }
        bits
    }
}

fn compile(texts: &[&str]) -> Result<Automata, String> {
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Unanchored)
        .dfa_size_limit(Some(MAX_SIZE))
        .determinize_size_limit(Some(4 * MAX_SIZE));
    dense::Builder::new()
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_SIZE)))
        .configure(config)
        .build_many(texts)
        .map_err(|error| describe(&error))
}

/// What is wrong, on one line.
fn describe(error: &dense::BuildError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    let told = text
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or_default();
    told.trim().trim_start_matches("error: ").to_owned()
}

/// Runs an automaton over a text; `found` is told each pattern that ends somewhere, perhaps more than once, and says whether
/// to go on.
fn walk(automaton: &Automata, text: &[u8], mut found: impl FnMut(usize) -> bool) {
    let Ok(mut state) = automaton.start_state(&start::Config::new().anchored(Anchored::No)) else {
        return;
    };
    for &byte in text {
        state = automaton.next_state(state, byte);
        if automaton.is_special_state(state) {
            if automaton.is_match_state(state) {
                for at in 0..automaton.match_len(state) {
                    if !found(automaton.match_pattern(state, at).as_usize()) {
                        return;
                    }
                }
            } else if automaton.is_dead_state(state) {
                return;
            }
        }
    }
    state = automaton.next_eoi_state(state);
    if automaton.is_match_state(state) {
        for at in 0..automaton.match_len(state) {
            if !found(automaton.match_pattern(state, at).as_usize()) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_found_where_it_stands() {
        for (pattern, text, expected) in [
            (r"^sip:\+49", "sip:+4930@a", true),
            (r"^sip:\+49", "x sip:+4930@a", false),
            (r"@gw\d+\.", "sip:a@gw12.test", true),
            (r"@gw\d+\.", "sip:a@gw.test", false),
            ("test$", "sip:a@b.test", true),
            ("test$", "sip:a@b.test;x", false),
            ("^$", "", true),
            ("", "anything", true),
            ("(?i)ALICE", "sip:alice@b", true),
            (r"\bbob\b", "sip:bob@a", true),
            (r"\bbob\b", "sip:bobby@a", false),
        ] {
            let compiled = Pattern::new(pattern).expect(pattern);
            assert_eq!(
                compiled.is_match(text.as_bytes()),
                expected,
                "{pattern} in {text}"
            );
        }
    }

    #[test]
    fn many_expressions_are_looked_for_at_once_and_one_that_explodes_is_refused() {
        let texts = [(0, "^sip:1"), (3, "9@"), (700, "^sip:.*@b"), (5, "never")];
        let patterns = Patterns::new(&texts);
        let places: Vec<usize> = patterns.matches(b"sip:19@b").iter().collect();
        assert_eq!(places, [0, 3, 700]);
        assert!(Pattern::new("(a|b)*a(a|b){30}").is_err_and(|why| why.contains("size")));
        assert!(Pattern::new("(").is_err());
        // Together they are too large, each by itself is not.
        let texts: Vec<String> = (0..12u8)
            .map(|n| format!("{0}.*{0}", char::from(b'a' + n)))
            .collect();
        let texts: Vec<(usize, &str)> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| (n, text.as_str()))
            .collect();
        let patterns = Patterns::new(&texts);
        assert_eq!(patterns.matches(b"abcab").iter().collect::<Vec<_>>(), [0, 1]);
    }
}
