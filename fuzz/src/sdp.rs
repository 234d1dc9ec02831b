//! Session descriptions.

use strowger_syntax::{Index, Limits};

use crate::description;

/// The body of a message, or what is a description itself.
pub fn seeds(sample: &[u8]) -> Vec<Vec<u8>> {
    let mut index = Index::default();
    let body = match index.parse(sample, &Limits::DEFAULT) {
        Ok(message) => message.body(),
        Err(_) => sample,
    };
    match body.starts_with(b"v=") {
        true => vec![body.to_vec()],
        false => Vec::new(),
    }
}

/// What holds for descriptions, and for what is none.
pub fn check(data: &[u8]) {
    description::check(data);
}
