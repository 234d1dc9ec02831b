//! `[log]`: what is written of what happens.

use super::read::{Given, Key};
use super::schema::set;
use super::{Level, Log};

pub(super) const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

pub(super) const LOG: &[Key<Log>] = &[Key {
    name: "level",
    example: r#""info""#,
    given: Given::Default,
    doc: "The least severe lines that are written: error, warn, info, debug or trace. STROWGER_LOG in the \
          environment goes before it.",
    read: |log, item, report| set(&mut log.level, item.word(&LEVELS, report)),
}];
