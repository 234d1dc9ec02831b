//! Whole nodes on a network that loses, doubles and reorders, with phones that are user agents of their own: whatever is
//! lost, both sides of everything come to agree, and nothing is left over.
//!
//! `STROWGER_FULL=1` asks for the large counts, `STROWGER_SEED` for one seed. A test that fails prints the command that shows
//! it again.

mod calls;
mod partitions;
mod registrations;
mod searches;

use strowger_testkit::Plan;
use strowger_testkit::sim::{self, How, MS, Outcome, S, Script, Sim, View, World, talked};

/// Runs a test with each of these seeds, or with the one that was asked for.
fn with_seeds<T: Fn(u64)>(seeds: impl IntoIterator<Item = u64>, test: T) {
    sim::with_seeds(env!("CARGO_PKG_NAME"), seeds, test);
}

/// So many in all, of ten thousand.
fn count(of_ten_thousand: usize) -> usize {
    if sim::full() {
        of_ten_thousand
    } else {
        of_ten_thousand / 10
    }
}

/// A world on so many shards.
fn on_shards(shards: u16, world: World) -> World {
    World {
        plan: Plan { shards, ..world.plan },
        ..world
    }
}

/// When the first phone calls.
const CALLS_BEGIN: u64 = 60 * S;

/// A world whose phones register, and call each other's users from [`CALLS_BEGIN`] on: so many calls, 50 in a second. If
/// each phone has a user of its own, a phone of even number talks with one of odd number. And
/// when the last of them must be over: nobody waits, rings, talks or is silent for longer.
fn with_calls(world: World, calls: usize, script: impl Fn(usize, &Sim) -> Script) -> (Sim, u64) {
    let (phones, own) = (world.phones as u64, world.phones_per_user as u64);
    let mut sim = Sim::new(world);
    let dice = sim.dice();
    for phone in 0..phones as usize {
        sim.register(dice.roll(("register", phone)).below(S), phone, 7200);
    }
    for call in 0..calls {
        let from = dice.roll(("from", call)).below(phones);
        let away = own + 2 * dice.roll(("to", call)).below(phones / 2 - own + 1);
        let (to, script) = ((from + away) % phones, script(call, &sim));
        sim.call(
            CALLS_BEGIN + call as u64 * 20 * MS,
            from as usize,
            to as usize,
            script,
        );
    }
    (sim, CALLS_BEGIN + calls as u64 * 20 * MS + 200 * S)
}

/// All calls are over, and both sides agreed on each in time. Then all registrations are removed, and 200 seconds later
/// nothing is left. The outcome of the calls.
#[track_caller]
fn end(sim: &mut Sim, over_at: u64) -> Outcome {
    sim.run_until(over_at);
    let outcome = sim.outcome();
    outcome.assert_calls_agree();
    let calls = outcome.calls.len();
    outcome.assert_at_most(calls * 3 / 4, "without a talk", |accounts| {
        talked(accounts) != [true; 2]
    });
    // With 30 % loss on each of two hops, one ACK in twenty never arrives in eleven attempts.
    outcome.assert_at_most(calls / 8, "established for one side alone", |accounts| {
        talked(accounts)[0] != talked(accounts)[1]
    });
    // An INVITE that is lost on its first way, three in ten are, is sent again (RFC 3261 §17.1.1.2).
    outcome.assert_at_most(calls * 3 / 10, "given up for want of an answer", |accounts| {
        matches!(accounts[0].view(), View::Over(How::TimedOut | How::Refused(408)))
    });
    assert_eq!(
        sim.assert_registrations_agree(),
        outcome.standings.len(),
        "phones that know whether they are registered, and all"
    );
    for phone in 0..outcome.standings.len() {
        sim.unregister(over_at, phone);
    }
    sim.run_until(over_at + 200 * S);
    sim.assert_nothing_left();
    outcome
}
