//! The README's table, from what the harness has measured.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// What the table stands between.
const BEGIN: &str = "<!-- measured -->";
const END: &str = "<!-- /measured -->";

/// The server that ours stands beside.
const OTHER: &str = "kamailio";
const OURS: &str = "strowger";

/// The scenarios and what they are called.
const SCENARIOS: &[(&str, &str)] = &[
    ("a", "OPTIONS answered"),
    ("b", "REGISTER (refresh, in memory)"),
    ("c", "REGISTER, challenge, REGISTER with MD5 digest"),
    ("d", "call through the stateless proxy"),
    (
        "e",
        "call through the stateful proxy: INVITE to BYE, Record-Route, lookup",
    ),
    ("f", "the same with digest on the INVITE"),
    ("g", "INVITE answered with 302"),
    ("h", "fork to three, two cancelled"),
    ("bt", "REGISTER over TCP"),
    ("et", "stateful call over TCP"),
];

/// What is told of memory: the result's kind and field, and what it is.
const MEMORY: &[(&str, &str, &str)] = &[
    ("memory", "b_per_contact_500k", "registered contact, of 500,000"),
    ("memory_tx", "b_per_invite", "ringing INVITE"),
    (
        "memory_tx",
        "b_per_ended_call",
        "call that has ended, while its timers last",
    ),
];

/// One line of the harness's results.
struct Row<'a>(&'a str);

impl<'a> Row<'a> {
    /// The text of a field. Only the fields that are asked for here are read, and none of them holds a quote or a comma.
    fn text(&self, name: &str) -> Option<&'a str> {
        let (_, rest) = self.0.split_once(&format!("\"{name}\": "))?;
        Some(rest.split([',', '}']).next()?.trim_matches('"'))
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok()
    }
}

/// The results of one run.
struct Results<'a>(Vec<Row<'a>>);

impl Results<'_> {
    /// The median of a field over all rows of a kind, a server and, if one is named, a scenario.
    fn median(&self, kind: &str, system: &str, key: Option<&str>, field: &str) -> Option<f64> {
        let fits = |row: &&Row<'_>| {
            row.text("kind") == Some(kind)
                && row.text("system") == Some(system)
                && key.is_none_or(|key| row.text("key") == Some(key))
        };
        let mut values: Vec<f64> = self
            .0
            .iter()
            .filter(fits)
            .filter_map(|row| row.number(field))
            .collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let is_odd = values.len() % 2 == 1;
        Some(if is_odd {
            upper
        } else {
            (values[middle - 1] + upper) / 2.0
        })
    }

    /// A line of the table, when both servers were measured.
    fn line(&self, what: &str, kind: &str, key: Option<&str>, field: &str, digits: usize) -> Option<String> {
        let ours = self.median(kind, OURS, key, field)?;
        let other = self.median(kind, OTHER, key, field)?;
        let ratio = if ours > 0.0 { other / ours } else { 0.0 };
        // The generator was the slower one: the server had time to sleep.
        let cores = (kind == "sat")
            .then(|| self.median(kind, OURS, key, "server_cores"))
            .flatten();
        let mark = if cores.is_some_and(|cores| cores < 0.85) {
            " (core not full)"
        } else {
            ""
        };
        Some(format!(
            "| {what}{mark} | {} | {} | {ratio:.1} |\n",
            grouped(ours, digits),
            grouped(other, digits)
        ))
    }
}

/// The tables of what the harness has measured; what it has not is left out.
pub(super) fn of(results: &str) -> String {
    let results = Results(results.lines().map(Row).collect());
    let scenarios = |kind, field, digits| -> String {
        let line = |&(key, what): &(&str, &str)| results.line(what, kind, Some(key), field, digits);
        SCENARIOS.iter().filter_map(line).collect()
    };
    let memory = |&(kind, field, what): &(&str, &str, &str)| results.line(what, kind, None, field, 0);
    let parts = [
        ("CPU microseconds each", scenarios("sat", "cpu_us_per_op", 1)),
        (
            "Instructions each, the kernel's not counted",
            scenarios("insn", "insn_per_op", 0),
        ),
        (
            "Bytes of memory for one",
            MEMORY.iter().filter_map(memory).collect(),
        ),
    ];
    let mut text = String::new();
    for (what, lines) in parts.iter().filter(|(_, lines)| !lines.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = write!(
            text,
            "| {what} | Strowger | Kamailio | ratio |\n|---|---|---|---|\n{lines}"
        );
    }
    text
}

/// The number with so many digits after the point, and a comma between thousands.
fn grouped(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    let whole = text.split('.').next().unwrap_or_default().len();
    let mut grouped = String::new();
    for (position, digit) in text.char_indices() {
        if position > 0 && position < whole && (whole - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Puts the tables into the README; true when it could.
pub(super) fn write(root: &Path, tables: &str) -> bool {
    let path = root.join("README.md");
    let Some(text) = fs::read_to_string(&path)
        .ok()
        .and_then(|text| replaced(&text, tables))
    else {
        println!("README.md has no {BEGIN} and {END}");
        return false;
    };
    let written = fs::write(&path, text);
    println!(
        "README.md: {}",
        if written.is_ok() {
            "written"
        } else {
            "cannot be written"
        }
    );
    written.is_ok()
}

/// The text with other tables between the markers.
fn replaced(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = r#"{"mode": "Options", "cpu_us_per_op": 5.1, "server_cores": 0.97, "codes": {"200": 9}, "system": "strowger", "key": "a", "name": "OPTIONS", "kind": "sat", "run": 0}
{"mode": "Options", "cpu_us_per_op": 8.5, "server_cores": 0.99, "codes": {}, "system": "kamailio", "key": "a", "name": "OPTIONS", "kind": "sat", "run": 0}
{"mode": "Options", "cpu_us_per_op": 4.9, "server_cores": 0.97, "codes": {}, "system": "strowger", "key": "a", "name": "OPTIONS", "kind": "sat", "run": 1}
{"mode": "Call", "cpu_us_per_op": 39.235, "server_cores": 0.7, "codes": {}, "system": "strowger", "key": "et", "name": "call e over TCP", "kind": "sat", "run": 0}
{"mode": "Call", "cpu_us_per_op": 116.2, "server_cores": 0.95, "codes": {}, "system": "kamailio", "key": "et", "name": "call e over TCP", "kind": "sat", "run": 0}
{"mode": "Call", "cpu_us_per_op": 41.6, "server_cores": 0.95, "codes": {}, "system": "strowger", "key": "e", "name": "call", "kind": "sat", "run": 0}
{"kind": "insn", "system": "strowger", "key": "e", "name": "call, stateful+RR+usrloc", "insn_per_op": 63695, "tag": ""}
{"kind": "insn", "system": "kamailio", "key": "e", "name": "call, stateful+RR+usrloc", "insn_per_op": 264964, "tag": ""}
{"kind": "memory", "system": "strowger", "run": 0, "b_per_contact_100k": 167, "b_per_contact_500k": 165, "tag": ""}
{"kind": "memory", "system": "kamailio", "run": 0, "b_per_contact_100k": 880, "b_per_contact_500k": 871, "tag": ""}
"#;

    #[test]
    fn the_tables_have_medians_of_both_and_leave_out_what_is_missing() {
        let expected = "\
| CPU microseconds each | Strowger | Kamailio | ratio |
|---|---|---|---|
| OPTIONS answered | 5.0 | 8.5 | 1.7 |
| stateful call over TCP (core not full) | 39.2 | 116.2 | 3.0 |

| Instructions each, the kernel's not counted | Strowger | Kamailio | ratio |
|---|---|---|---|
| call through the stateful proxy: INVITE to BYE, Record-Route, lookup | 63,695 | 264,964 | 4.2 |

| Bytes of memory for one | Strowger | Kamailio | ratio |
|---|---|---|---|
| registered contact, of 500,000 | 165 | 871 | 5.3 |
";
        assert_eq!(of(RESULTS), expected);
        assert_eq!(of(""), "");
    }

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(
            replaced(&text, "new\n"),
            Some(format!("a\n{BEGIN}\nnew\n{END}\nb\n"))
        );
        assert_eq!(replaced("no markers", "new\n"), None);
    }

    #[test]
    fn the_readme_has_the_markers() {
        let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let text = fs::read_to_string(readme).expect("there");
        assert!(replaced(&text, "").is_some());
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(63_695.0, 0), "63,695");
        assert_eq!(grouped(1_234_567.0, 0), "1,234,567");
        assert_eq!(grouped(871.0, 0), "871");
        assert_eq!(grouped(1_234.56, 1), "1,234.6");
    }
}
