//! Registrations.

use strowger_testkit::Plan;
use strowger_testkit::sim::{Faults, MS, Outcome, S, Sim, Standing, World};

use super::{count, on_shards, with_seeds};

/// When phones are told to stop.
const STOP: u64 = 400 * S;

/// Each phone registers within a minute for two to six minutes and refreshes that until [`STOP`]. Then those of even number
/// remove it and the others let it expire. The outcome when all of them know, and what is left in the end: nothing.
fn come_and_go(world: World) -> Outcome {
    let (phones, is_sound) = (world.phones, world.commits.is_none_or(|(_, fail)| fail == 0));
    let mut sim = Sim::new(world);
    let dice = sim.dice();
    for phone in 0..phones {
        let expires = 120 + dice.roll(("expires", phone)).below(240) as u32;
        sim.register(dice.roll(("register", phone)).below(60 * S), phone, expires);
        if phone % 2 == 0 {
            sim.unregister(STOP, phone);
        } else {
            sim.register_once(STOP, phone, expires);
        }
    }
    for at in (20..400).step_by(20) {
        sim.run_until(at * S);
        let sure = sim.assert_registrations_agree();
        assert!(at < 80 || sure > phones * 7 / 10, "{sure} at {at}");
    }
    sim.run_until(STOP + 100 * S);
    assert_eq!(sim.assert_registrations_agree(), phones);
    let outcome = sim.outcome();
    for (phone, standing) in outcome.standings.iter().enumerate() {
        assert_eq!(
            matches!(standing, Standing::In(_)),
            phone % 2 == 1,
            "{phone}: {standing:?}"
        );
    }
    sim.run_until(STOP + 400 * S + 200 * S);
    sim.assert_nothing_left();
    let (done, refused) = sim.registers_answered();
    assert!(done as usize > phones * 3, "{done}");
    assert!(refused == 0 || !is_sound, "{refused}");
    outcome
}

fn heavy(seed: u64, phones: usize) -> World {
    World {
        faults: Faults::HEAVY,
        ..World::new(seed, phones)
    }
}

#[test]
fn registrations_are_agreed_on_and_forgotten_whatever_is_lost_on_any_number_of_shards() {
    with_seeds([1], |seed| {
        let outcomes = [1, 2, 7].map(|shards| come_and_go(on_shards(shards, heavy(seed, count(10_000)))));
        outcomes[0].assert_same(&outcomes[1]);
        outcomes[0].assert_same(&outcomes[2]);
    });
}

#[test]
fn several_phones_of_a_user_do_not_get_in_each_others_way() {
    with_seeds([2], |seed| {
        let world = World {
            phones_per_user: 4,
            hop: 20 * MS,
            ..on_shards(7, heavy(seed, count(2000)))
        };
        come_and_go(world);
    });
}

// The record changes under one request while another waits for its commit, and some commits fail.
#[test]
fn a_slow_store_that_fails_now_and_then_leaves_nobody_in_doubt() {
    with_seeds([5], |seed| {
        let world = World {
            phones_per_user: 4,
            commits: Some((S, 10)),
            ..on_shards(3, heavy(seed, count(2000)))
        };
        come_and_go(world);
    });
}

// A request that comes again while it waits for its commit has no count of its nonce left.
#[test]
fn passwords_are_asked_for_and_nothing_else_changes() {
    with_seeds([3], |seed| {
        let phones = count(1000);
        let world = World {
            commits: Some((S, 0)),
            plan: Plan {
                challenged: &["REGISTER"],
                users: phones,
                ..heavy(seed, phones).plan
            },
            ..heavy(seed, phones)
        };
        come_and_go(on_shards(2, world));
    });
}

// Half of what is sent comes once more up to 25 seconds later, when the registration has long been removed.
#[test]
fn late_duplicates_do_not_bring_a_removed_registration_back() {
    with_seeds([4], |seed| {
        let world = World {
            faults: Faults {
                echo: 50,
                ..Faults::HEAVY
            },
            ..heavy(seed, count(3000))
        };
        let phones = world.phones;
        let mut sim = Sim::new(on_shards(2, world));
        let dice = sim.dice();
        let mut at = 0;
        for round in 0..3 {
            for phone in 0..phones {
                let roll = |what: &str| dice.roll((what, round, phone));
                sim.register(at + roll("in").below(10 * S), phone, 600);
                sim.unregister(at + 10 * S + roll("out").below(30 * S), phone);
            }
            for _ in 0..150 {
                at += S;
                sim.run_until(at);
                sim.assert_registrations_agree();
            }
            assert!(sim.held().bindings.is_empty(), "{:?}", sim.held().bindings);
        }
        sim.run_until(at + 200 * S);
        sim.assert_nothing_left();
    });
}
