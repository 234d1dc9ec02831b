//! The reference of header fields is what the table says.

use std::fmt::Write as _;
use std::path::Path;

use strowger_syntax::Name;
use strowger_syntax::header::Multiplicity;

const INTRODUCTION: &str = "# Header fields\n\n\
    What Strowger knows by name. Every other header field passes through untouched. Names and compact forms are read in\n\
    any case (RFC 3261 §7.3). *Values* says how often a value may occur: once; as a list, separated by commas and over\n\
    several lines; or once for each line, never joined by commas.\n\n\
    | Name | Compact | Values | Defined in |\n|---|---|---|---|\n";

fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for name in Name::KNOWN {
        let compact = name.compact().map(|c| format!("`{c}`")).unwrap_or_default();
        let values = match name.multiplicity() {
            Multiplicity::Single => "one",
            Multiplicity::List => "list",
            Multiplicity::Repeated => "one for each line",
        };
        let _ = writeln!(
            text,
            "| {} | {compact} | {values} | {} |",
            name.as_str(),
            name.clause()
        );
    }
    text
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the setting is for the person who runs the test"
)]
fn the_reference_is_what_the_table_yields() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/headers.md");
    let text = reference();
    if std::env::var("UPDATE_DOCS").is_ok_and(|v| v == "1") {
        std::fs::write(&path, &text).expect("docs/ can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/headers.md is not what the table yields: run this test with UPDATE_DOCS=1"
    );
}
