//! The transaction layer against a reference that is written from the diagrams of RFC 3261 §17 and RFC 6026 §8 and shares no code
//! with it: random sequences of events go to both, and whatever comes out must be the same.
//!
//! `STROWGER_FULL=1` runs a million sequences; `STROWGER_SEED=N` runs one sequence and shows it.

mod figures;
mod reference;
mod sequence;
mod subject;

use std::fmt::Write as _;

use reference::Reference;
use sequence::{Event, Sequence};
use strowger_testkit::sim::full;
use subject::Subject;

/// What came out of one event, in an order that does not depend on who was first among those due at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// What the layer said of the event.
    Said(Answer),
    /// A message went out.
    Sent {
        at_ms: u64,
        label: Label,
        /// By the other way that a response has.
        fallback: bool,
    },
    /// The user of a client transaction was told of its end.
    Ended {
        at_ms: u64,
        client: usize,
        timed_out: bool,
    },
    /// The user of a server transaction was told to send a 100.
    TryingDue { at_ms: u64, server: usize },
    /// So many transactions there are.
    Live { servers: usize, clients: usize },
}

/// What the layer says of an event to its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    /// A response: whether it is for the user; one of the user's own: whether it was sent; a CANCEL: whether it need not wait.
    Yes(bool),
    /// A request belongs to a transaction.
    Absorbed,
    /// It belongs to none.
    New,
    /// It is the CANCEL of a server transaction.
    Cancels(usize),
    /// A transport error ended this client transaction.
    Failed(usize),
    /// A transport error concerns nobody.
    Nobody,
}

/// Enough of a message to know it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Label {
    what: What,
    /// Its Call-ID: the number of the client transaction, or of the server transaction for a response.
    call: usize,
    /// The event that gave it its To tag; none in a request that begins a dialog, and in a 100.
    tag: Option<usize>,
}

/// A message's first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Invite,
    Message,
    Ack,
    Cancel,
    Status(u16),
}

/// The events up to the first difference, and the difference.
fn difference(sequence: &Sequence) -> Option<(usize, String)> {
    let mut reference = Reference::new(sequence.timers);
    let mut subject = Subject::new(sequence.timers);
    let (mut expected, mut came) = (Vec::new(), Vec::new());
    let last = [Event::GiveUpAll, Event::Pass(sequence::Span::Ms(200_000))];
    for (number, event) in sequence.events.iter().chain(&last).enumerate() {
        let event = reference.resolve(*event);
        reference.happen(number, event, &mut expected);
        subject.happen(number, event, &mut came);
        expected.sort_unstable();
        came.sort_unstable();
        if expected != came {
            return Some((number, format!("expected {expected:?}\n    came {came:?}")));
        }
        expected.clear();
        came.clear();
    }
    subject.left_over().map(|what| (sequence.events.len() + 1, what))
}

/// Leaves out every event that the difference does not need.
fn shorten(mut sequence: Sequence) -> Sequence {
    let mut at = sequence.events.len();
    while at > 0 {
        at -= 1;
        let mut shorter = sequence.clone();
        shorter.events.remove(at);
        if let Some((number, _)) = difference(&shorter) {
            shorter.events.truncate(number + 1);
            at = at.min(shorter.events.len());
            sequence = shorter;
        }
    }
    sequence
}

fn report(seed: u64, sequence: &Sequence, number: usize, what: &str) -> String {
    let mut text = format!(
        "seed {seed} (STROWGER_SEED={seed} shows it), {:?}\n",
        sequence.timers
    );
    for event in sequence.events.iter().take(number + 1) {
        let _ = writeln!(text, "    {event:?}");
    }
    let shortened = shorten(sequence.clone());
    let _ = writeln!(text, "{what}\nit takes no more than");
    for event in &shortened.events {
        let _ = writeln!(text, "    {event:?}");
    }
    if let Some((_, what)) = difference(&shortened) {
        let _ = write!(text, "{what}");
    }
    text
}

fn check(seed: u64) {
    let sequence = Sequence::random(seed);
    if let Some((number, what)) = difference(&sequence) {
        panic!("{}", report(seed, &sequence, number, &what));
    }
}

// RFC 3261 §17.1.1, §17.1.2, §17.2.1, §17.2.2, RFC 6026 §7.1, RFC 6026 §7.2, RFC 4320 §4.1, RFC 4320 §4.2.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test is told from outside how much to do"
)]
fn the_layer_does_what_the_diagrams_say() {
    if let Some(seed) = std::env::var("STROWGER_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        println!("{:#?}", Sequence::random(seed));
        return check(seed);
    }
    let count = if full() { 1_000_000 } else { 40_000 };
    (0..count).for_each(check);
    println!(
        "{count} sequences, {} events",
        (0..count)
            .map(|seed| Sequence::random(seed).events.len())
            .sum::<usize>()
    );
}

// A comparison of machines that never leave their first state would say nothing.
#[test]
fn every_arrow_of_every_diagram_is_taken() {
    let mut taken = figures::Taken::default();
    for seed in 0..5_000 {
        let sequence = Sequence::random(seed);
        let mut reference = Reference::new(sequence.timers);
        let mut effects = Vec::new();
        for (number, event) in sequence.events.iter().enumerate() {
            let event = reference.resolve(*event);
            reference.happen(number, event, &mut effects);
        }
        taken.add(&reference.taken);
    }
    assert_eq!(taken.never(), [""; 0]);
}
