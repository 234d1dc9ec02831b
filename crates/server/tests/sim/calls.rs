//! Calls.

use strowger_testkit::Plan;
use strowger_testkit::sim::{Account, Answer, Faults, How, MS, S, Script, View, World, talked};

use super::{count, end, on_shards, with_calls, with_seeds};

const PHONES: usize = 100;

fn heavy(seed: u64) -> World {
    World {
        faults: Faults::HEAVY,
        ..World::new(seed, PHONES)
    }
}

/// What the caller of a call believes in the end.
fn caller(accounts: &[Account]) -> View {
    accounts[0].view()
}

#[test]
fn calls_on_a_network_without_faults_are_what_people_make_of_them() {
    with_seeds([1], |seed| {
        let (mut sim, over_at) = with_calls(World::new(seed, PHONES), 300, |call, sim| Script {
            answers: [[Answer::PickUp(S), Answer::Refuse(S), Answer::Ring][call % 3]; 2],
            patience: 30 * S,
            refreshes: call % 2 == 0,
            ..Script::of_chance(sim.dice(), call)
        });
        let outcome = end(&mut sim, over_at);
        let other = "other than picked up, refused, and given up, by turns";
        outcome.assert_at_most(0, other, |accounts| {
            let number: usize = accounts[0].call_id["call".len()..].parse().expect("a number");
            !match number % 3 {
                0 => talked(accounts) == [true; 2],
                1 => talked(accounts) == [false; 2] && caller(accounts) == View::Over(How::Refused(486)),
                _ => talked(accounts) == [false; 2] && caller(accounts) == View::Over(How::Cancelled),
            }
        });
    });
}

// The same seed is the same luck for each message, so the course of each call is the same to the nanosecond.
#[test]
fn calls_are_agreed_on_and_forgotten_whatever_is_lost_on_any_number_of_shards() {
    with_seeds([1], |seed| {
        let calls = count(10_000);
        let outcomes = [1, 2, 7].map(|shards| {
            let world = on_shards(shards, heavy(seed));
            let (mut sim, over_at) =
                with_calls(world, calls, |call, sim| Script::of_chance(sim.dice(), call));
            end(&mut sim, over_at)
        });
        outcomes[0].assert_same(&outcomes[1]);
        outcomes[0].assert_same(&outcomes[2]);
    });
}

#[test]
fn calls_of_users_with_passwords_are_agreed_on_as_well() {
    with_seeds([4], |seed| {
        let world = World {
            plan: Plan {
                challenged: &["INVITE"],
                users: PHONES,
                ..heavy(seed).plan
            },
            ..heavy(seed)
        };
        let calls = count(2000);
        let (mut sim, over_at) = with_calls(on_shards(2, world), calls, |call, sim| {
            Script::of_chance(sim.dice(), call)
        });
        let outcome = end(&mut sim, over_at);
        outcome.assert_at_most(0, "refused with 407 in the end", |accounts| {
            caller(accounts) == View::Over(How::Refused(407))
        });
    });
}

// Messages take their time between shards, and overtake each other there.
#[test]
fn calls_are_agreed_on_when_shards_are_slow() {
    with_seeds([2], |seed| {
        let world = World {
            hop: 20 * MS,
            ..on_shards(7, heavy(seed))
        };
        let (mut sim, over_at) = with_calls(world, count(3000), |call, sim| {
            Script::of_chance(sim.dice(), call)
        });
        end(&mut sim, over_at);
    });
}

#[test]
fn of_two_phones_of_a_user_one_has_the_call_and_the_other_is_silent() {
    with_seeds([3], |seed| {
        let outcomes = [1, 7].map(|shards| {
            let world = World {
                phones_per_user: 2,
                ..on_shards(shards, heavy(seed))
            };
            let (mut sim, over_at) = with_calls(world, count(3000), |call, sim| {
                Script::of_chance(sim.dice(), call)
            });
            end(&mut sim, over_at)
        });
        outcomes[0].assert_same(&outcomes[1]);
        outcomes[0].assert_at_most(count(3000) / 2, "at one of the user's phones alone", |accounts| {
            accounts.len() != 3
        });
    });
}

#[test]
fn the_same_seed_is_the_same_world() {
    let outcome = |seed| {
        let world = World {
            hop: 20 * MS,
            ..on_shards(3, heavy(seed))
        };
        let (mut sim, over_at) = with_calls(world, 100, |call, sim| Script::of_chance(sim.dice(), call));
        end(&mut sim, over_at)
    };
    outcome(1).assert_same(&outcome(1));
    assert!(outcome(1).difference(&outcome(2)).is_some());
}
