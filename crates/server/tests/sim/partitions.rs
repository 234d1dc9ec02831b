//! Phones that are cut off for a while, and phones that change their address.

use strowger_testkit::sim::{Faults, How, S, Script, Side, Sim, View, World, talked};

use super::{CALLS_BEGIN, count, end, on_shards, with_calls, with_seeds};

/// Nothing is lost but what a partition stops.
const MIXED_UP: Faults = Faults {
    loss: 0,
    ..Faults::HEAVY
};

const PHONES: usize = 100;

fn world(seed: u64) -> World {
    on_shards(
        2,
        World {
            faults: MIXED_UP,
            ..World::new(seed, PHONES)
        },
    )
}

// Shorter than timers B, F and H: what was sent in it is sent again after it.
#[test]
fn calls_are_agreed_on_after_a_partition() {
    with_seeds([1], |seed| {
        let (mut sim, over_at) = with_calls(world(seed), count(5000), |call, sim| {
            Script::of_chance(sim.dice(), call)
        });
        let dice = sim.dice();
        for phone in (0..PHONES).step_by(2) {
            let from = CALLS_BEGIN + dice.roll(("cut", phone)).below(over_at - CALLS_BEGIN - 200 * S);
            let lasts = S + dice.roll(("for", phone)).below(20 * S);
            sim.partition(from, from + lasts, phone);
        }
        end(&mut sim, over_at);
    });
}

#[test]
fn calls_are_agreed_on_when_one_side_changes_its_address() {
    with_seeds([1], |seed| {
        let (mut sim, over_at) = with_calls(world(seed), count(5000), |call, sim| {
            Script::of_chance(sim.dice(), call)
        });
        let dice = sim.dice();
        for phone in (0..PHONES).step_by(2) {
            for time in 0..2 {
                let at = dice
                    .roll(("move", phone, time))
                    .below(over_at - CALLS_BEGIN - 150 * S);
                sim.change_address(CALLS_BEGIN + at, phone);
            }
        }
        end(&mut sim, over_at);
    });
}

// Nobody comes to agree with who has vanished. The node's own timers end all that it holds; timer C is the longest.
#[test]
fn phones_that_vanish_leave_no_transaction_behind() {
    with_seeds([3], |seed| {
        let lossy = World {
            faults: Faults {
                loss: 50,
                ..Faults::HEAVY
            },
            ..world(seed)
        };
        let (mut sim, over_at) = with_calls(lossy, count(3000), |call, sim| {
            Script::of_chance(sim.dice(), call)
        });
        let dice = sim.dice();
        for phone in 0..PHONES {
            let at = CALLS_BEGIN
                + dice
                    .roll(("vanish", phone))
                    .below(over_at - CALLS_BEGIN - 200 * S);
            sim.partition(at, u64::MAX, phone);
        }
        sim.run_until(over_at - 190 * S);
        assert!(sim.held().transactions > 50, "{:?}", sim.held());
        sim.run_until(over_at + 100 * S);
        let held = sim.held();
        assert_eq!((held.transactions, held.kept, held.hops), (0, 0, 0));
    });
}

// Its re-INVITE tells the other side where it is, and the BYE finds it there.
#[test]
fn a_phone_that_moves_while_it_talks_hears_that_the_other_one_hangs_up() {
    with_seeds([2], |seed| {
        let mut sim = Sim::new(world(seed));
        for phone in 0..PHONES {
            sim.register(0, phone, 7200);
        }
        for caller in (0..PHONES).step_by(2) {
            let (mover, hangs_up) = match caller % 4 {
                0 => (caller, Side::Callee),
                _ => (caller + 1, Side::Caller),
            };
            let script = Script {
                hangs_up,
                ..Script::PLAIN
            };
            sim.call(CALLS_BEGIN, caller, caller + 1, script);
            sim.change_address(CALLS_BEGIN + 10 * S, mover);
        }
        let outcome = end(&mut sim, CALLS_BEGIN + 100 * S);
        let other = "other than established, and hung up by one side for both";
        outcome.assert_at_most(0, other, |accounts| {
            let ends = [How::HungUp, How::PeerHungUp].map(View::Over);
            let hung_up = ends
                .iter()
                .all(|end| accounts.iter().any(|account| account.view() == *end));
            talked(accounts) != [true; 2] || !hung_up
        });
    });
}
