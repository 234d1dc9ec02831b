//! Calls.

use strowger_testkit::sim::{Faults, S, Script, World};

use super::{count, with_calls, with_seeds};

#[test]
fn calls_are_agreed_on_and_forgotten_whatever_is_lost() {
    with_seeds([1], |seed| {
        let world = World {
            faults: Faults::HEAVY,
            ..World::new(seed, 100)
        };
        let (mut sim, begun) = with_calls(world, count(), |sim, call| Script::of_chance(sim.dice(), call));
        sim.run_until(begun + 200 * S);
        let outcome = sim.outcome();
        eprintln!("{:?}", outcome.established());
        outcome.assert_calls_agree();
        for phone in 0..100 {
            sim.unregister(begun + 200 * S, phone);
        }
        sim.run_until(begun + 500 * S);
        sim.assert_nothing_left();
    });
}
