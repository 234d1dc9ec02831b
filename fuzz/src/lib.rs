//! What must hold for whatever bytes come: one module for each target, with `check`, which panics where it does not hold,
//! and `seeds`, which makes the fuzzer's first inputs of a message.

use std::path::Path;

pub mod config;
#[path = "../../crates/syntax/tests/messages/description.rs"]
mod description;
pub mod digest;
#[path = "../../crates/syntax/tests/messages/every.rs"]
mod every;
pub mod header;
pub mod message;
pub mod node;
#[expect(dead_code, reason = "the tests that it belongs to use more of it")]
#[path = "../../crates/syntax/tests/messages/samples.rs"]
mod samples;
pub mod scan;
pub mod sdp;
pub mod stream;
pub mod uri;

#[doc(hidden)]
pub use libfuzzer_sys;

/// Makes a program of a module: it writes the seeds where it is told to, and fuzzes.
#[macro_export]
macro_rules! target {
    ($module:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(
            init: $crate::write_seeds($crate::$module::seeds),
            |data: &[u8]| $crate::$module::check(data)
        );
    };
}

/// Writes the seeds that a target makes of every message and session description that there is into the directory that `STROWGER_FUZZ_SEEDS`
/// names.
pub fn write_seeds(of: fn(&[u8]) -> Vec<Vec<u8>>) {
    let Some(directory) = std::env::var_os("STROWGER_FUZZ_SEEDS") else {
        return;
    };
    let samples = [samples::all(), samples::descriptions()].concat();
    let seeds: std::collections::BTreeSet<_> = samples.iter().flat_map(|(_, message)| of(message)).collect();
    for (number, seed) in seeds.iter().enumerate() {
        let path = Path::new(&directory).join(format!("{number:05}"));
        std::fs::write(&path, seed).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
