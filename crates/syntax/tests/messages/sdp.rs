//! Session descriptions: our own and those that others collected, whole, cut, broken, and as bodies of messages.

use crate::mutate::{Random, mutate};
use crate::{description, samples};
use strowger_syntax::sdp::{Fault, SessionDescription};
use strowger_syntax::{Index, Limits, SdpLimits};

#[test]
fn our_own_descriptions_are_read_and_leave_as_they_came() {
    for text in samples::DESCRIPTIONS {
        assert!(description::check(text.as_bytes()), "{text}");
    }
}

#[test]
fn collected_descriptions_leave_as_they_came() {
    let collected = samples::descriptions();
    let good = collected
        .iter()
        .filter(|(_, text)| description::check(text))
        .count();
    let there = collected.len() > samples::DESCRIPTIONS.len();
    assert!(!there || good >= 66, "{good} of {}", collected.len());
}

/// Of those printed in RFCs, Content-Length cuts three short.
#[test]
fn bodies_of_messages_leave_as_they_came() {
    let (mut index, mut bad) = (Index::default(), Vec::new());
    let messages = samples::folder("rfc-flows");
    let mut bodies = 0;
    for (name, message) in &messages {
        let Ok(message) = index.parse(message, &Limits::DEFAULT) else {
            continue;
        };
        if message.body().starts_with(b"v=") {
            bodies += 1;
            if !description::check(message.body()) {
                bad.push(name);
            }
        }
    }
    assert!(
        messages.is_empty() || bodies >= 99 && bad.len() <= 3,
        "{bodies}, of them bad: {bad:?}"
    );
}

/// What is cut off is a shorter description, or refused where the text ends.
#[test]
fn a_description_may_be_cut_anywhere() {
    for text in samples::DESCRIPTIONS {
        let text = text.trim_end().as_bytes();
        for cut in 0..text.len() {
            let (part, rest) = text.split_at(cut);
            let lines = part.split(|&b| b == b'\n').count();
            description::check(rest);
            if !description::check(part) {
                let bad = SessionDescription::parse(part, &SdpLimits::DEFAULT).expect_err("refused");
                let missing = matches!(bad.fault, Fault::Missing(_));
                assert!(
                    bad.line == lines || missing && bad.line == lines + 1,
                    "{bad} of {lines}"
                );
            }
        }
    }
}

#[test]
fn mutated_descriptions_are_consistent() {
    let mut random = Random(11);
    let (mut good, rounds) = (0, 4000);
    for round in 0..rounds {
        let mut text = samples::DESCRIPTIONS[round % samples::DESCRIPTIONS.len()]
            .as_bytes()
            .to_vec();
        mutate(&mut text, &mut random);
        good += usize::from(description::check(&text));
    }
    assert!(
        (rounds / 10..rounds).contains(&good),
        "both happen: {good} of {rounds}"
    );
}
