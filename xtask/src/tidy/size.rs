//! How long files and functions may be.

use super::Problem;
use super::source::Source;

const FILE: usize = 800;
const FUNCTION: usize = 60;

/// How many lines of a longer function may stand outside its one match, and how many one arm may have.
const AROUND_MATCH: usize = 20;
const ARM: usize = 15;

/// Functions that may be longer: path, name, reason.
const LONGER: &[(&str, &str, &str)] = &[];

pub(super) fn check(source: &Source<'_>, problems: &mut Vec<Problem>) {
    let lines = source.lines_before_tests();
    if lines > FILE {
        problems.push(Problem::new(
            source.path,
            FILE,
            format!("{lines} lines before the tests; at most {FILE}"),
        ));
    }
    for function in functions(source) {
        let excused = LONGER
            .iter()
            .any(|(path, name, _)| *path == source.path && *name == function.name);
        if function.lines > FUNCTION
            && !source.is_test(function.line)
            && !excused
            && !is_flat_match(source, &function)
        {
            problems.push(Problem::new(
                source.path,
                function.line,
                format!(
                    "`{}` has {} lines; at most {FUNCTION}, unless it is one flat match",
                    function.name, function.lines
                ),
            ));
        }
    }
}

struct Function<'a> {
    name: &'a str,
    line: usize,
    lines: usize,
    /// The offset of its `{`.
    open: usize,
    /// The offset after its `}`.
    close: usize,
}

fn functions<'a>(source: &'a Source<'_>) -> Vec<Function<'a>> {
    let code = source.code.as_bytes();
    let mut functions = Vec::new();
    for at in source.words("fn") {
        let rest = source.code[at + 2..].trim_start();
        let name = rest
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
            .unwrap_or_default();
        // A function pointer's type has no name.
        if name.is_empty() {
            continue;
        }
        if let Some(open) = body(source, code, at) {
            let close = source.closing(open);
            let line = source.line_of(at);
            functions.push(Function {
                name,
                line,
                lines: source.line_of(close) - line + 1,
                open,
                close,
            });
        }
    }
    functions
}

/// The offset of the body's brace; `None` for a declaration without one.
fn body(source: &Source<'_>, code: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at < code.len() {
        match code[at] {
            b'(' | b'[' => at = source.closing(at),
            b'{' => return Some(at),
            b';' => return None,
            _ => at += 1,
        }
    }
    None
}

/// True when nearly all of the function is one match whose arms are short.
fn is_flat_match(source: &Source<'_>, function: &Function<'_>) -> bool {
    let inside = source
        .words("match")
        .filter(|at| (function.open..function.close).contains(at));
    let longest = inside
        .filter_map(|at| {
            let open = body(source, source.code.as_bytes(), at)?;
            let close = source.closing(open);
            Some((source.line_of(close) - source.line_of(at) + 1, open, close))
        })
        .max();
    longest.is_some_and(|(lines, open, close)| {
        function.lines - lines.min(function.lines) <= AROUND_MATCH && longest_arm(source, open, close) <= ARM
    })
}

fn longest_arm(source: &Source<'_>, open: usize, close: usize) -> usize {
    let code = source.code.as_bytes();
    let mut longest = 0;
    let mut at = open + 1;
    while at + 1 < close {
        if matches!(code[at], b'{' | b'(' | b'[') {
            let end = source.closing(at);
            longest = longest.max(source.line_of(end) - source.line_of(at) + 1);
            at = end;
        } else {
            at += 1;
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        let mut problems = Vec::new();
        check(&Source::new("crates/x/src/a.rs", text), &mut problems);
        problems.iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn a_file_is_measured_up_to_its_tests() {
        let code = "const A: u8 = 1;\n".repeat(FILE);
        assert_eq!(found(&code), [0; 0]);
        assert_eq!(found(&format!("{code}const B: u8 = 1;\n")), [FILE]);
        let tests = "    const A: u8 = 1;\n".repeat(FILE);
        assert_eq!(
            found(&format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{tests}}}\n")),
            [0; 0]
        );
    }

    #[test]
    fn a_long_function_is_a_problem_where_it_begins() {
        let body = "    b();\n".repeat(FUNCTION - 2);
        assert_eq!(found(&format!("\nfn a(x: [u8; 3]) -> u8 {{\n{body}}}\n")), [0; 0]);
        assert_eq!(
            found(&format!("\nfn a(x: [u8; 3]) -> u8 {{\n{body}    b();\n}}\n")),
            [2]
        );
    }

    #[test]
    fn a_flat_match_may_be_longer_and_one_with_a_long_arm_may_not() {
        let arms = "        1 => b(),\n".repeat(100);
        assert_eq!(
            found(&format!("fn a() {{\n    match c {{\n{arms}    }}\n}}\n")),
            [0; 0]
        );
        let long = format!(
            "        2 => {{\n{}        }}\n",
            "            b();\n".repeat(ARM)
        );
        assert_eq!(
            found(&format!("fn a() {{\n    match c {{\n{arms}{long}    }}\n}}\n")),
            [1]
        );
    }
}
