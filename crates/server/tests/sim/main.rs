//! Whole nodes on a network that loses, doubles and reorders, with phones that are user agents of their own: whatever is
//! lost, both sides of everything come to agree, and nothing is left over.
//!
//! `STROWGER_FULL=1` asks for the large counts, `STROWGER_SEED` for one seed. A test that fails prints the command that shows
//! it again.

mod calls;
mod registrations;
mod shards;

use strowger_testkit::sim::{self, Script, Sim, World};

/// Runs a test with each of these seeds, or with the one that was asked for.
fn with_seeds<T: Fn(u64)>(seeds: impl IntoIterator<Item = u64>, test: T) {
    sim::with_seeds(env!("CARGO_PKG_NAME"), seeds, test);
}

/// How many calls or registrations there are in all.
fn count() -> usize {
    if sim::full() { 10_000 } else { 1000 }
}

/// A world whose phones have registered by the 60th second, and call each other from then on: so many calls, 50 in a
/// second. When the last is over, all of them remove their registrations. The time at which the calls begin and end, and
/// that by which everything must be over.
fn with_calls(world: World, calls: usize, script: impl Fn(&Sim, usize) -> Script) -> (Sim, u64) {
    let phones = world.phones;
    let mut sim = Sim::new(world);
    for phone in 0..phones {
        sim.register(phone as u64 * 10 * sim::MS, phone, 3600);
    }
    let dice = sim.dice();
    for call in 0..calls {
        let from = dice.roll(("from", call)).below(phones as u64) as usize;
        // Never its own user, whose phone may be the next one.
        let away = 2 + dice.roll(("to", call)).below(phones as u64 - 4) as usize;
        let script = script(&sim, call);
        sim.call(60 * sim::S + call as u64 * 20 * sim::MS, from, (from + away) % phones, script);
    }
    let begun = 60 * sim::S + calls as u64 * 20 * sim::MS;
    (sim, begun)
}
