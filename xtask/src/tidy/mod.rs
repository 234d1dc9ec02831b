//! `cargo xtask tidy`: the project's own rules, each as a check that says file, line and what is wrong.

mod code;
mod crates;
mod documents;
mod names;
mod size;
mod source;
mod text;

use std::fmt;
use std::path::Path;
use std::process::Command;

pub(crate) use source::Source;

use crate::rfc;

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    path: String,
    line: usize,
    text: String,
}

impl Problem {
    pub(crate) fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            text: text.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// The files of the repository: those that are committed or could be.
pub(crate) struct Tree {
    files: Vec<File>,
}

/// One text file.
pub(crate) struct File {
    /// From the repository's top, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Tree {
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let output = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(root)
            .output()
            .map_err(|error| format!("git ls-files: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "git ls-files: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        let names = String::from_utf8_lossy(&output.stdout);
        let mut files: Vec<File> = names
            .split('\0')
            .filter(|name| !name.is_empty())
            // Files that are deleted but not yet committed so, and files that are not text, have nothing to check.
            .filter_map(|name| {
                Some(File {
                    path: name.to_owned(),
                    text: std::fs::read_to_string(root.join(name)).ok()?,
                })
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        Ok(Self { files })
    }

    /// All files, by their paths.
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// The text of a file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files
            .iter()
            .find(|file| file.path == path)
            .map(|file| file.text.as_str())
    }

    /// True for a file, and for a folder that has one.
    fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files
            .iter()
            .any(|file| file.path == path || file.path.starts_with(&folder))
    }
}

/// Checks everything and prints what is wrong; true when nothing is.
pub(crate) fn run(root: &Path) -> bool {
    let tree = match Tree::read(root) {
        Ok(tree) => tree,
        Err(error) => {
            println!("{error}");
            return false;
        }
    };
    let problems = problems(&tree);
    for problem in &problems {
        println!("{problem}");
    }
    println!("tidy: {} files, {} problems", tree.files.len(), problems.len());
    problems.is_empty()
}

fn problems(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    crates::check(tree, &mut problems);
    documents::check(tree, &mut problems);
    rfc::check(tree, &mut problems);
    for file in &tree.files {
        text::check(file, &mut problems);
        names::check(file, &mut problems);
        if file.path.ends_with(".rs") {
            let source = Source::new(&file.path, &file.text);
            code::check(&source, &mut problems);
            size::check(&source, &mut problems);
        }
    }
    problems.sort();
    problems
}

#[cfg(test)]
pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
    Tree {
        files: files
            .iter()
            .map(|(path, text)| File {
                path: (*path).to_owned(),
                text: (*text).to_owned(),
            })
            .collect(),
    }
}
