//! What is read is written back as it was, and everything in a well-formed message decodes.

use crate::{every, samples};
use strowger_syntax::{Draft, Edits, Index, Limits, Name};

#[test]
fn an_untouched_message_leaves_as_it_came() {
    let (mut index, mut edits, mut out) = (Index::default(), Edits::default(), Vec::new());
    let mut count = 0;
    for (name, bytes) in samples::all() {
        let Ok(message) = index.parse(&bytes, &Limits::DEFAULT) else {
            continue;
        };
        every::accessors(message);
        every::headers(message);
        out.clear();
        Draft::of(message, &mut edits).finish(&mut out);
        assert_eq!(out, message.bytes(), "{name}");
        assert!(bytes.starts_with(message.bytes()), "{name}");
        count += 1;
    }
    assert!(
        count >= samples::OWN.len(),
        "every message of our own is well-formed"
    );
}

#[test]
fn fields_cover_the_head_without_gaps() {
    let mut index = Index::default();
    for (name, bytes) in samples::all() {
        let Ok(message) = index.parse(&bytes, &Limits::DEFAULT) else {
            continue;
        };
        let mut at = None;
        for field in message.fields() {
            assert_eq!(field.line.start, at.unwrap_or(field.line.start), "{name}");
            assert!(field.line.of(&bytes).starts_with(field.text), "{name}");
            assert!(
                field.span.start >= field.line.start && field.span.end <= field.line.end,
                "{name}"
            );
            assert_eq!(Name::from_bytes(field.text), field.name, "{name}");
            at = Some(field.line.end);
        }
    }
}

#[test]
fn every_header_of_our_own_messages_decodes() {
    for (i, text) in samples::OWN.iter().enumerate() {
        let mut index = Index::default();
        let message = index
            .parse(text.as_bytes(), &Limits::DEFAULT)
            .unwrap_or_else(|e| panic!("{i}: {e}"));
        assert_eq!(every::headers(message), [], "{i}");
    }
}

#[test]
fn editing_one_field_changes_that_field_alone() {
    let (mut index, mut again, mut edits, mut out) =
        (Index::default(), Index::default(), Edits::default(), Vec::new());
    for (name, bytes) in samples::all() {
        let Ok(message) = index.parse(&bytes, &Limits::DEFAULT) else {
            continue;
        };
        out.clear();
        let mut draft = Draft::of(message, &mut edits);
        draft.push_top(Name::Via, |o| {
            o.extend_from_slice(b"SIP/2.0/UDP us;branch=z9hG4bKus")
        });
        draft.set(Name::MaxForwards, |o| o.extend_from_slice(b"7"));
        draft.finish(&mut out);
        let Ok(changed) = again.parse(&out, &Limits::DEFAULT) else {
            panic!("{name}")
        };
        assert_eq!(changed.branch(), Some(&b"z9hG4bKus"[..]), "{name}");
        assert_eq!(changed.first(Name::MaxForwards), Some(&b"7"[..]), "{name}");
        assert_eq!(changed.body(), message.body(), "{name}");
        let rest = |m: strowger_syntax::Message<'_>, skip: usize| {
            m.fields_of(Name::Via)
                .skip(skip)
                .chain(
                    m.fields()
                        .filter(|f| f.name != Name::Via && f.name != Name::MaxForwards),
                )
                .map(|f| (f.text.to_vec(), f.value.to_vec()))
                .collect::<Vec<_>>()
        };
        assert_eq!(rest(changed, 1), rest(message, 0), "{name}");
    }
}
