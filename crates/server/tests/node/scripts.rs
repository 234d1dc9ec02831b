//! The whole node by scripts.

use std::path::Path;

use strowger_testkit::script::{OnSite, play_all};

#[test]
fn every_script() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/scripts");
    play_all(&folder, OnSite::default);
}
