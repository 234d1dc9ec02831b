//! The flows as lists of messages, which a test walks along.

use std::cell::Cell;
use std::path::Path;

/// Each flow's section and its messages in order.
pub(crate) const FLOWS: &[(&str, &str)] = &[
    ("2.1", "REGISTER 401 REGISTER 200"),
    ("2.2", "REGISTER 200"),
    ("2.3", "REGISTER 200"),
    ("2.4", "REGISTER 200"),
    ("2.5", "REGISTER 401 REGISTER 401"),
    (
        "3.2",
        "INVITE 407 ACK INVITE INVITE 100 INVITE 100 180 180 180 200 200 200 ACK ACK ACK BYE BYE BYE 200 200 200",
    ),
    (
        "3.3",
        "INVITE 407 ACK INVITE 100 INVITE 407 ACK 407 ACK INVITE 100 INVITE 100 INVITE 200 200 200 ACK ACK ACK",
    ),
    (
        "3.4",
        "INVITE INVITE 407 ACK INVITE INVITE 100 180 180 200 200 ACK ACK BYE BYE 200 200",
    ),
    (
        "3.5",
        "INVITE INVITE 100 INVITE 100 180 180 180 200 200 200 ACK ACK BYE BYE 200 200",
    ),
    (
        "3.6",
        "INVITE 302 ACK INVITE INVITE 100 180 180 200 200 ACK ACK BYE BYE 200 200",
    ),
    (
        "3.7",
        "INVITE INVITE 100 180 180 200 200 ACK INVITE 200 ACK BYE 200",
    ),
    (
        "3.8",
        "INVITE INVITE 100 INVITE 100 180 180 180 CANCEL 200 CANCEL 200 CANCEL 200 487 ACK 487 ACK 487 ACK",
    ),
    ("3.9", "INVITE INVITE 100 INVITE 100 486 ACK 486 ACK 486 ACK"),
    ("3.10", "INVITE INVITE 100 INVITE 100 480 ACK 480 ACK"),
    (
        "3.11",
        "INVITE INVITE 100 INVITE 100 180 180 180 480 ACK 480 ACK 480 ACK",
    ),
];

/// A flow that is being played.
pub(crate) struct Flow {
    section: &'static str,
    messages: Vec<&'static str>,
    at: Cell<usize>,
}

impl Flow {
    pub(crate) fn of(section: &str) -> Self {
        let (section, messages) = FLOWS
            .iter()
            .find(|(known, _)| *known == section)
            .expect("a flow of the table");
        Self {
            section,
            messages: messages.split(' ').collect(),
            at: Cell::new(0),
        }
    }

    /// The next message of the flow is this one, and it was sent or seen.
    pub(crate) fn step(&self, message: &str) {
        let at = self.at.get();
        let expected = self.messages.get(at).copied();
        assert_eq!(
            Some(message),
            expected,
            "F{} of RFC 3665 §{}",
            at + 1,
            self.section
        );
        self.at.set(at + 1);
    }

    /// The next messages pass between the proxies.
    pub(crate) fn between(&self, messages: &[&str]) {
        messages.iter().for_each(|message| self.step(message));
    }

    pub(crate) fn end(&self) {
        assert_eq!(
            self.at.get(),
            self.messages.len(),
            "RFC 3665 §{} has more messages",
            self.section
        );
    }
}

/// Where the messages of the RFC lie beside the repository, the table of flows is compared with them.
#[test]
fn the_flows_are_those_of_the_rfc() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/rfc-flows/FLOWS.tsv");
    let Ok(index) = std::fs::read_to_string(path) else {
        return;
    };
    for (section, messages) in FLOWS {
        let rows = index.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let rows =
            rows.filter(|row| row[0].starts_with("rfc3665/") && row[1].starts_with(&format!("{section} ")));
        let printed: Vec<String> = rows
            .map(|row| {
                let words = row[3].split_whitespace().find(|word| *word != "SIP/2.0");
                words.unwrap_or_default().to_owned()
            })
            .collect();
        let played: Vec<&str> = messages.split(' ').collect();
        assert_eq!(
            &printed[..played.len().min(printed.len())],
            played,
            "RFC 3665 §{section}"
        );
    }
}
