//! Broken configuration files: made from the complete file that the program writes itself, so that every key takes part, one
//! mistake in each. Every one is refused with the line and column of the mistake and what to do about it.
#![cfg(target_os = "linux")]

use std::process::{Command, Output};

use system_tests::Scratch;
use system_tests::server::{program, strowger};

/// A line of the complete file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Section(String),
    Key(String, String),
}

impl Line {
    fn text(&self) -> String {
        match self {
            Self::Section(head) => head.clone(),
            Self::Key(key, value) => format!("{key} = {value}"),
        }
    }
}

/// Sections whose keys are alternatives, or name files, so no file has all of them. Their mistakes are tested where they are read.
const ALTERNATIVES: [&str; 5] = [
    "[[route]]",
    "[[group]]",
    "[dial_plan]",
    "[[register]]",
    "[[push.provider]]",
];
/// A key that goes with another one only, which the examples do not set.
const DEPENDENT: &str = "multicast_ttl";

/// What `check --print-default` writes, with its examples in place and without its comments.
fn complete() -> Vec<Line> {
    let ended = strowger(&["check", "--print-default"]);
    assert!(ended.succeeded(), "{ended:?}");
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let lines = ended.stdout.lines().filter_map(|line| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line.trim_start_matches('[').trim_end_matches(']').len() + 2 <= line.len()
            && line.ends_with(']')
            && line.starts_with('[')
        {
            return Some(Line::Section(line.to_owned()));
        }
        let (key, value) = line.split_once(" = ")?;
        (word(key) && key != DEPENDENT).then(|| Line::Key(key.to_owned(), value.to_owned()))
    });
    let mut is_left_out = false;
    let lines = lines.filter(|line| {
        if let Line::Section(head) = line {
            is_left_out = ALTERNATIVES.contains(&head.as_str());
        }
        !is_left_out
    });
    lines.collect()
}

/// A file with one mistake.
#[derive(Clone, Debug)]
struct Broken {
    lines: Vec<String>,
    /// Where the mistake is, from 1.
    line: usize,
    /// Zero where only the line is certain, because the parser of TOML notices somewhere behind the mistake.
    column: usize,
    /// What the message has to have.
    says: Vec<String>,
    what: String,
}

impl Broken {
    /// The complete file with one line replaced by others.
    fn new(
        complete: &[Line],
        at: usize,
        by: &[String],
        place: (usize, usize),
        says: &[&str],
        what: &str,
    ) -> Self {
        let mut lines: Vec<_> = complete.iter().map(Line::text).collect();
        let what = format!("{what}: {} -> {by:?}", lines[at]);
        lines.splice(at..=at, by.iter().cloned());
        Self {
            lines,
            line: at + 1 + place.0,
            column: place.1,
            says: says.iter().map(|&part| part.to_owned()).collect(),
            what,
        }
    }
}

/// A misspelling: the middle letter is missing, or doubled.
fn misspelt(word: &str) -> [String; 2] {
    let (start, end) = word.split_at(word.len() / 2);
    let middle = &end[..1];
    [format!("{start}{}", &end[1..]), format!("{start}{middle}{end}")]
}

fn did_you_mean(word: &str) -> String {
    format!("did you mean `{word}`?")
}

/// The mistakes that can be made with a key.
fn of_key(complete: &[Line], at: usize, key: &str, value: &str) -> Vec<Broken> {
    let mut all = Vec::new();
    let mut add = |by: &[String], place, says: &[&str], what| {
        all.push(Broken::new(complete, at, by, place, says, what));
    };
    let column = key.len() + 4;
    let line = |value: &str| format!("{key} = {value}");
    let good = line(value);
    for wrong in misspelt(key) {
        add(
            &[format!("{wrong} = {value}")],
            (0, 1),
            &["is not a key", &did_you_mean(key)],
            "misspelt key",
        );
    }
    add(
        &[good.clone(), good.clone()],
        (1, 1),
        &["duplicate key", "remove one of them"],
        "key given twice",
    );
    add(
        &[format!("{key} {value}")],
        (0, column - 2),
        &["write it as key = value"],
        "no equals sign",
    );
    let wrong_type = if value.starts_with('"') || value.starts_with('[') {
        "7"
    } else {
        "\"7\""
    };
    add(
        &[line(wrong_type)],
        (0, column),
        &["must be", "write"],
        "wrong type",
    );
    add(
        &[line("1979-05-27")],
        (0, column),
        &["must be", "not a date", "write"],
        "a date",
    );
    if let Some(text) = value.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        add(
            &[line(&format!("\"{text}"))],
            (0, column + value.len() - 1),
            &["quote"],
            "no closing quote",
        );
        add(
            &[line(&format!("{text}\""))],
            (0, 0),
            &["quote"],
            "no opening quote",
        );
    }
    if value.starts_with('[') {
        let open = value.trim_end_matches(']');
        add(
            &[line(open)],
            (1, 0),
            &["close the list with `]`"],
            "list without end",
        );
        add(
            &[line(&format!("{open} true]"))],
            (0, 0),
            &["comma"],
            "list without comma",
        );
        add(
            &[line(&format!("{open}, 7]"))],
            (0, column + open.len() + 2),
            &["must be a string"],
            "wrong type in list",
        );
    }
    if value.parse::<u64>().is_ok() {
        for wrong in ["-1", "99999999999999999999", "0"] {
            add(
                &[line(wrong)],
                (0, column),
                &["out of range", "write a number from"],
                "out of range",
            );
        }
    }
    if value
        .trim_matches('"')
        .trim_end_matches(|c: char| c.is_ascii_lowercase())
        .parse::<u64>()
        .is_ok()
        && value.starts_with('"')
    {
        add(
            &[line("\"9999d\"")],
            (0, column),
            &["out of range", "write a duration from"],
            "out of range",
        );
        add(
            &[line("\"soon\"")],
            (0, column),
            &["not a duration", "write a number with its unit"],
            "no duration",
        );
    }
    all
}

/// The mistakes that can be made with the head of a section.
fn of_section(complete: &[Line], at: usize, head: &str) -> Vec<Broken> {
    let name = head.trim_matches(['[', ']']);
    let (open, close) = (
        &head[..head.len() - head.trim_start_matches('[').len()],
        &head[head.trim_end_matches(']').len()..],
    );
    let column = open.len() + 1;
    let mut all = Vec::new();
    let mut add = |by: &[String], place, says: &[&str], what| {
        all.push(Broken::new(complete, at, by, place, says, what));
    };
    for wrong in misspelt(name) {
        add(
            &[format!("{open}{wrong}{close}")],
            (0, column),
            &["is not a key", &did_you_mean(name)],
            "misspelt section",
        );
    }
    add(
        &[format!("{open}{name}")],
        (0, column + name.len()),
        &["close the name of the section"],
        "head without end",
    );
    if open == "[" {
        add(
            &[format!("[[{name}]]")],
            (0, 1),
            &["must be a table", &format!("write it as a section [{name}]")],
            "section as list",
        );
        add(
            &[head.to_owned(), head.to_owned()],
            (1, 2),
            &["duplicate key", "remove one of them"],
            "section given twice",
        );
    } else {
        add(
            &[format!("[{name}]")],
            (0, 1),
            &["must be a list", &format!("[[{name}]]")],
            "list as section",
        );
    }
    all
}

/// The mistakes that only certain values make.
fn of_values(complete: &[Line]) -> Vec<Broken> {
    let table: &[(&str, &str, usize, &[&str])] = &[
        ("store", "\"sqlit\"", 0, &["did you mean `sqlite`?"]),
        ("store", "\"SQLite\"", 0, &["did you mean `sqlite`?"]),
        (
            "store",
            "\"redis://h\"",
            0,
            &["not carried", "use `sqlite` or `memory`"],
        ),
        ("durability", "\"powr\"", 0, &["did you mean `power`?"]),
        ("durability", "\"proces\"", 0, &["did you mean `process`?"]),
        ("durability", "\"none\"", 0, &["use `power` or `process`"]),
        ("mode", "\"statefull\"", 0, &["did you mean `stateful`?"]),
        ("mode", "\"stateles\"", 0, &["did you mean `stateless`?"]),
        ("mode", "\"redirct\"", 0, &["did you mean `redirect`?"]),
        (
            "mode",
            "\"b2bua\"",
            0,
            &["use `stateful`, `transaction`, `stateless` or `redirect`"],
        ),
        ("fork", "\"paralel\"", 0, &["did you mean `parallel`?"]),
        ("recurse", "True", 0, &["write true or false, in small letters"]),
        ("record_route", "yes", 0, &["put text in quotes"]),
        (
            "record_route",
            "\"true\"",
            0,
            &["write it as true or false, without quotes"],
        ),
        ("level", "\"wran\"", 0, &["did you mean `warn`?"]),
        (
            "level",
            "\"verbose\"",
            0,
            &["use `error`, `warn`, `info`, `debug` or `trace`"],
        ),
        (
            "algorithms",
            "[\"MD5\", \"SHA256\"]",
            8,
            &["did you mean `SHA-256`?"],
        ),
        (
            "algorithms",
            "[\"SHA-512/256\"]",
            1,
            &["did you mean `SHA-512-256`?"],
        ),
        ("algorithms", "[]", 0, &["is empty", "list one"]),
        ("algorithms", "[\"MD5\", \"MD5\"]", 0, &["the same thing twice"]),
        ("methods", "[\"REGISTR\"]", 1, &["did you mean `REGISTER`?"]),
        (
            "methods",
            "[\"INVITE\", \"register\"]",
            11,
            &["did you mean `REGISTER`?"],
        ),
        (
            "methods",
            "[\"CANCEL\"]",
            1,
            &["cannot be challenged", "remove it"],
        ),
        ("uri", "\"upd:0.0.0.0:5060\"", 0, &["did you mean `udp`?"]),
        (
            "uri",
            "\"0.0.0.0:5060\"",
            0,
            &["names no transport", "write \"udp:0.0.0.0:5060\""],
        ),
        ("uri", "\"udp:0.0.0.0\"", 0, &["has no port"]),
        ("uri", "\"udp:0.0.0.0:66000\"", 0, &["out of range"]),
        ("uri", "\"udp:[::1:5060\"", 0, &["is not an IP address"]),
        ("uri", "\"udp:256.0.0.1:5060\"", 0, &["is not an IP address"]),
        ("uri", "\"sip:alice@example.test\"", 0, &["is not a transport"]),
        (
            "uri",
            "\"tls:0.0.0.0:5061\"",
            0,
            &["not carried", "use `udp` or `tcp`"],
        ),
        ("advertise", "\"0.0.0.0:5060\"", 0, &["nobody can reach"]),
        ("advertise", "\"203.0.113.5:0\"", 0, &["nobody can reach port 0"]),
        ("advertise", "\"[2001:db8::1\"", 0, &["closing bracket"]),
        ("listen", "\"0.0.0.0:8080\"", 0, &["is not loopback"]),
        ("listen", "\"8080\"", 0, &["has no port"]),
        ("listen", "\"of\"", 0, &["write", "\"off\""]),
        ("names", "[\"pbx_.-\"]", 1, &["is not a domain"]),
        ("domains", "[\"sip:example.test\"]", 1, &["it is a URI"]),
        (
            "domains",
            "[\"a.test\", \"alice@b.test\"]",
            11,
            &["it names a user"],
        ),
        ("domains", "[\"a.test\", \"ä ö\"]", 11, &["is not a domain"]),
        (
            "domains",
            "[\"a.test\", \"A.test\"]",
            0,
            &["the same thing twice"],
        ),
        ("trusted", "[\"192.0.2.1/24\"]", 1, &["write \"192.0.2.0/24\""]),
        (
            "trusted",
            "[\"192.0.2.0/33\"]",
            1,
            &["not a prefix length", "write /0 to /32"],
        ),
        ("trusted", "[\"192.0.2\"]", 1, &["is not an IP address block"]),
        ("trusted", "[\"::/0\"]", 1, &["trusts every address"]),
        ("drain", "5", 0, &["write \"5s\" if you meant seconds"]),
        ("drain", "\"5 s\"", 0, &["not a duration"]),
        (
            "min_expires",
            "\"1500ms\"",
            0,
            &["must be whole seconds", "write \"1s\""],
        ),
        ("max_contacts", "0x", 0, &["write a number from"]),
        ("max_contacts", "010", 0, &["leading zero"]),
        ("data_dir", "\"\"", 0, &["is empty", "write a directory"]),
        ("data_dir", "\"C:\\data\"", 4, &["backslash"]),
        (
            "timer_c",
            "\"3m\"",
            0,
            &["out of range", "write a duration from 181s"],
        ),
    ];
    let key_at = |name: &str| {
        let named = |line: &Line| matches!(line, Line::Key(key, _) if key == name);
        complete
            .iter()
            .position(named)
            .unwrap_or_else(|| panic!("no key {name}"))
    };
    let one = |&(key, value, offset, says): &(&str, &str, usize, &[&str])| {
        let at = key_at(key);
        let column = key.len() + 4 + offset;
        Broken::new(
            complete,
            at,
            &[format!("{key} = {value}")],
            (0, column),
            says,
            "value",
        )
    };
    let mut all: Vec<_> = table.iter().map(one).collect();
    // What is right by itself but not together; told where the one of the two is.
    let mut together = |key: &str, value: &str, says: &[&str]| {
        let broken = format!("{key} = {value}");
        all.push(Broken::new(
            complete,
            key_at(key),
            &[broken],
            (0, key.len() + 4),
            says,
            "together",
        ));
    };
    together(
        "default_expires",
        "\"10s\"",
        &["is shorter than `min_expires`", "lengthen it"],
    );
    together(
        "default_expires",
        "\"2d\"",
        &["is longer than `max_expires`", "shorten it"],
    );
    together("listen", "\"127.0.0.1:5060\"", &[]);
    let uri = key_at("uri");
    let twice: Vec<_> = [
        "uri = \"udp:0.0.0.0:5060\"",
        "[[listen]]",
        "uri = \"udp:0.0.0.0:5060\"",
    ]
    .map(str::to_owned)
    .to_vec();
    all.push(Broken::new(
        complete,
        uri,
        &twice,
        (2, 7),
        &["is listed twice", "remove one"],
        "together",
    ));
    let overlap: Vec<_> = [
        "uri = \"udp:0.0.0.0:5060\"",
        "[[listen]]",
        "uri = \"udp:127.0.0.1:5060\"",
    ]
    .map(str::to_owned)
    .to_vec();
    all.push(Broken::new(
        complete,
        uri,
        &overlap,
        (2, 7),
        &["overlaps", "another port"],
        "together",
    ));
    all.retain(|broken| !broken.says.is_empty());
    all
}

fn all(complete: &[Line]) -> Vec<Broken> {
    let each = complete.iter().enumerate().flat_map(|(at, line)| match line {
        Line::Section(head) => of_section(complete, at, head),
        Line::Key(key, value) => of_key(complete, at, key, value),
    });
    each.chain(of_values(complete)).collect()
}

/// How a file is written; none of it moves the mistake but the tab, by one column.
const FORMS: &[(&str, &str, &str)] = &[("", "\n", ""), ("\u{feff}", "\r\n", ""), ("", "\n", "\t")];

fn check(scratch: &Scratch, text: impl AsRef<[u8]>, arguments: &[&str]) -> Output {
    let path = scratch.write("broken.toml", text);
    let mut command = Command::new(program());
    let output = command
        .arg("check")
        .arg("--config")
        .arg(path)
        .args(arguments)
        .output();
    output.expect("the program runs")
}

/// The messages without the file's name.
fn messages(output: &Output) -> Vec<String> {
    let told = String::from_utf8_lossy(&output.stdout);
    told.lines()
        .map(|line| {
            line.split_once("broken.toml:")
                .map_or(line, |(_, rest)| rest)
                .to_owned()
        })
        .collect()
}

/// What is wrong with what is said of one file.
fn judge(scratch: &Scratch, broken: &Broken, (mark, end, indent): (&str, &str, &str)) -> Option<String> {
    let lines: String = broken
        .lines
        .iter()
        .map(|line| format!("{indent}{line}{end}"))
        .collect();
    let output = check(scratch, format!("{mark}{lines}"), &[]);
    let messages = messages(&output);
    let mut wrong = Vec::new();
    if output.status.code() != Some(1) {
        wrong.push(format!("ended with {}", output.status));
    }
    if messages.len() != 1 {
        wrong.push(format!("{} messages", messages.len()));
    }
    let first = messages.first().cloned().unwrap_or_default();
    let place = if broken.column == 0 {
        format!("{}:", broken.line)
    } else {
        format!("{}:{}: ", broken.line, broken.column + indent.len())
    };
    if !first.starts_with(&place) {
        wrong.push(format!("not at {place}"));
    }
    wrong.extend(
        broken
            .says
            .iter()
            .filter(|part| !first.contains(part.as_str()))
            .map(|part| format!("says nothing of {part}")),
    );
    (!wrong.is_empty()).then(|| {
        format!(
            "{}\n    {}\n    {}",
            broken.what,
            wrong.join(", "),
            messages.join("\n    ")
        )
    })
}

#[test]
fn every_broken_file_is_refused_with_its_place_and_mend() {
    let scratch = Scratch::new();
    let complete = complete();
    let whole: String = complete.iter().map(|line| line.text() + "\n").collect();
    let output = check(&scratch, &whole, &[]);
    assert!(output.status.success(), "{output:?}\n{whole}");
    let all = all(&complete);
    let wrong: Vec<_> = FORMS
        .iter()
        .flat_map(|form| all.iter().filter_map(|broken| judge(&scratch, broken, *form)))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        all.len() * FORMS.len(),
        wrong.join("\n")
    );
    assert!(all.len() >= 200, "only {} files", all.len());
    println!("{} broken files in {} forms each", all.len(), FORMS.len());
}

#[test]
fn several_mistakes_are_told_at_once_in_their_order() {
    let scratch = Scratch::new();
    let text = "shrads = 2\ndrain = 5\ndata_dir =\n[proxy]\nfork = \"paralel\"\nmode = 1\n[lg]\n";
    let output = check(&scratch, text, &[]);
    let places: Vec<_> = messages(&output)
        .iter()
        .map(|line| line.split(": ").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(places, ["1:1", "2:9", "3:11", "5:8", "6:8", "7:2"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "6 errors\n");
}

#[test]
fn columns_are_characters_and_bytes_that_are_no_text_have_a_place() {
    let scratch = Scratch::new();
    let output = check(&scratch, "domains = [\"ü.example\", \"日本\", 1]\n", &[]);
    let places: Vec<_> = messages(&output)
        .iter()
        .map(|line| line.split(": ").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(places, ["1:12", "1:25", "1:31"]);
    let output = check(&scratch, b"# \xc3\xa4\ndrain = \"\xff\"\n", &[]);
    assert_eq!(messages(&output), ["2:10: not UTF-8; save the file as UTF-8"]);
    let output = check(&scratch, b"# \xc3\xa4\ndrain = \"\xff\"\n", &["--json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (
            told["errors"][0]["line"].as_u64(),
            told["errors"][0]["column"].as_u64()
        ),
        (Some(2), Some(10))
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let scratch = Scratch::new();
    let missing = scratch.join("missing.toml").to_string_lossy().into_owned();
    for path in [&missing, &scratch.path().to_string_lossy().into_owned()] {
        for command in ["check", "serve"] {
            let ended = strowger(&[command, "--config", path]);
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(
                ended.stderr.contains(path.as_str()) && ended.stderr.contains("mend"),
                "{ended:?}"
            );
        }
    }
}
