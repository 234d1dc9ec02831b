//! How a command ends when it cannot do what it was asked for: one message, its mend, and an exit code.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use strowger_server::config::Diagnostic;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It could not be done (exit code 1).
    Told {
        /// What went wrong.
        what: String,
        /// What to do about it; may be empty when `what` says it.
        mend: String,
    },
    /// It was asked for in a wrong way (exit code 2).
    Usage {
        /// What is wrong.
        what: String,
        /// What to write instead.
        mend: String,
    },
    /// The configuration is wrong (exit code 1).
    Config(Vec<Diagnostic>),
    /// Everything was already told (exit code 1).
    Silent,
    /// No server runs or answers there (exit code 3).
    NoServer {
        /// What was tried.
        what: String,
        /// What to do about it.
        mend: String,
    },
    /// Whoever read our output has gone; that is no failure.
    NobodyReads,
}

impl Failed {
    pub(crate) fn new(what: impl Display, mend: impl Into<String>) -> Self {
        Self::Told {
            what: what.to_string(),
            mend: mend.into(),
        }
    }

    /// What went wrong, in one line.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Told { what, .. } | Self::Usage { what, .. } | Self::NoServer { what, .. } => what.clone(),
            Self::Config(wrong) => wrong
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            Self::Silent | Self::NobodyReads => String::new(),
        }
    }

    /// Prints the message and answers the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (what, mend, code) = match self {
            Self::Told { what, mend } => (what, mend, 1),
            Self::Usage { what, mend } => (what, mend, 2),
            Self::NoServer { what, mend } => (what, mend, 3),
            Self::Config(wrong) => {
                wrong.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
                return ExitCode::from(1);
            }
            Self::Silent => return ExitCode::from(1),
            Self::NobodyReads => return ExitCode::SUCCESS,
        };
        if mend.is_empty() {
            eprintln!("strowger: {what}");
        } else {
            eprintln!("strowger: {what}\n  mend: {mend}");
        }
        ExitCode::from(code)
    }
}

/// For writing to standard output.
impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::NobodyReads;
        }
        Self::new(
            format!("cannot write the output: {error}"),
            "look at where it is sent",
        )
    }
}
