//! The strowger program.
fn main() {}
