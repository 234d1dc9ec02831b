//! What must not stand in code.

use super::Problem;
use super::source::{Source, words};

/// Marks of unfinished work, wherever they stand. Written in two parts, because this file is checked too.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Macros that must not be committed.
const MACROS: &[&str] = &["todo", "unimplemented", "dbg"];

/// Crates that read from the network.
const WIRE: &[&str] = &["crates/syntax/", "crates/sip/", "crates/net/"];

/// Crates that are a function of what they are given.
const PURE: &[&str] = &["crates/syntax/", "crates/sip/"];

/// What gives a pure crate a clock, a socket, a thread, a file, a lock or randomness.
const IMPURE: &[&str] = &[
    "Instant",
    "SystemTime",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "Mutex",
    "RwLock",
    "Condvar",
    "RandomState",
    "getrandom",
];

/// Modules of the standard library with the same effect.
const IMPURE_MODULES: &[&str] = &["thread", "fs", "process", "env"];

pub(super) fn check(source: &Source<'_>, problems: &mut Vec<Problem>) {
    unfinished(source, problems);
    macros(source, problems);
    unwraps(source, problems);
    unsafety(source, problems);
    purity(source, problems);
}

fn unfinished(source: &Source<'_>, problems: &mut Vec<Problem>) {
    for word in UNFINISHED {
        for at in words(source.text, word) {
            problems.push(Problem::new(
                source.path,
                source.line_of(at),
                format!("`{word}`: finish it or file an issue"),
            ));
        }
    }
}

fn macros(source: &Source<'_>, problems: &mut Vec<Problem>) {
    for name in MACROS {
        for at in source.words(name) {
            if source.code[at + name.len()..].starts_with('!') {
                problems.push(Problem::new(
                    source.path,
                    source.line_of(at),
                    format!("`{name}!` must not be committed"),
                ));
            }
        }
    }
}

fn unwraps(source: &Source<'_>, problems: &mut Vec<Problem>) {
    if !WIRE.iter().any(|folder| source.path.starts_with(folder)) {
        return;
    }
    for at in source.words("unwrap") {
        let line = source.line_of(at);
        if source.code[at + 6..].starts_with("()") && !source.is_test(line) {
            problems.push(Problem::new(
                source.path,
                line,
                "`unwrap()` in a crate that reads from the network",
            ));
        }
    }
}

fn unsafety(source: &Source<'_>, problems: &mut Vec<Problem>) {
    for at in source.words("unsafe") {
        let line = source.line_of(at);
        if !source.path.starts_with("crates/net/") {
            problems.push(Problem::new(
                source.path,
                line,
                "`unsafe` belongs in crates/net only",
            ));
            continue;
        }
        let rest = source.code[at + 6..].trim_start();
        let explains = rest.starts_with('{') || rest.starts_with("impl");
        let lines: Vec<&str> = source.text.lines().take(line).collect();
        let near = lines.iter().rev().take(8);
        if explains && !near.into_iter().any(|line| line.contains("SAFETY:")) {
            problems.push(Problem::new(
                source.path,
                line,
                "`unsafe` without a `// SAFETY:` line that says why it is sound",
            ));
        }
    }
}

fn purity(source: &Source<'_>, problems: &mut Vec<Problem>) {
    if !PURE.iter().any(|folder| source.path.starts_with(folder)) {
        return;
    }
    let mut impure = |at: usize, what: &str| {
        let line = source.line_of(at);
        if !source.is_test(line) {
            problems.push(Problem::new(
                source.path,
                line,
                format!("`{what}`: this crate is pure, it must be given in"),
            ));
        }
    };
    for name in IMPURE {
        source.words(name).for_each(|at| impure(at, name));
    }
    for name in IMPURE_MODULES {
        for at in source.words(name) {
            let of_std = source.code[..at].ends_with("std::");
            if of_std {
                impure(at, name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        let mut problems = Vec::new();
        check(&Source::new(path, text), &mut problems);
        problems.iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn unfinished_work_is_found_in_comments_and_macros_in_code_only() {
        let text = format!(
            "// {}: later\nfn a() {{\n    dbg!(1);\n    todo!();\n}}\n// dbg!\n",
            UNFINISHED[0]
        );
        assert_eq!(found("crates/x/src/a.rs", &text), [1, 4, 3]);
    }

    #[test]
    fn unwrap_is_found_outside_tests_in_crates_that_read_from_the_network() {
        let text = "fn a() { b().unwrap(); }\n#[cfg(test)]\nmod tests {\n    fn c() { b().unwrap(); }\n}\n";
        assert_eq!(found("crates/sip/src/a.rs", text), [1]);
        assert_eq!(found("crates/server/src/a.rs", text), [0; 0]);
        assert_eq!(
            found("crates/sip/src/a.rs", "fn a() { b().unwrap_or(1); }\n"),
            [0; 0]
        );
    }

    #[test]
    fn unsafe_is_found_outside_net_and_without_a_reason() {
        assert_eq!(found("crates/sip/src/a.rs", "fn a() { unsafe { b() } }\n"), [1]);
        assert_eq!(found("crates/net/src/a.rs", "fn a() { unsafe { b() } }\n"), [1]);
        assert_eq!(
            found(
                "crates/net/src/a.rs",
                "// SAFETY: b has no preconditions.\nunsafe { b() }\n"
            ),
            [0; 0]
        );
        assert_eq!(found("crates/sip/src/a.rs", "#![forbid(unsafe_code)]\n"), [0; 0]);
    }

    #[test]
    fn a_clock_a_socket_or_a_thread_is_found_in_a_pure_crate() {
        let text = "use std::time::Instant;\nuse std::net::IpAddr;\nfn a() { std::thread::yield_now(); }\nlet fs = 1;\n";
        assert_eq!(found("crates/sip/src/a.rs", text), [1, 3]);
        assert_eq!(found("crates/net/src/a.rs", text), [0; 0]);
    }
}
