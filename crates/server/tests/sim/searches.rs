//! Calls that are tried at one phone after the other, and sent on to other users: whatever answers, CANCEL and the end of
//! ringing do to each other, nobody is left in half a call.

use strowger_server::config::Fork;
use strowger_testkit::Plan;
use strowger_testkit::sim::{self, Account, Faults, S, Script, World, talked};

use super::{with_calls, with_seeds};

/// For how long a phone of a site rings when others wait.
const TURN: u64 = 10 * S;

fn world(seed: u64, faults: Faults, fork: Fork) -> World {
    World {
        phones_per_user: 3,
        ranks: &["0.9", "0.5", "0.5"],
        faults,
        plan: Plan {
            fork,
            recurse: true,
            ..World::new(seed, 0).plan
        },
        ..World::new(seed, 60)
    }
}

fn races(faults: Faults, fork: Fork) {
    // Each call has luck of its own: there are as many races.
    let (worlds, calls) = if sim::full() { (17, 2000) } else { (1, 150) };
    with_seeds(1..=worlds, |seed| {
        let (mut sim, over_at) = with_calls(world(seed, faults, fork), calls, |call, sim| {
            Script::of_races(sim.dice(), call, TURN)
        });
        sim.run_until(over_at);
        let outcome = sim.outcome();
        outcome.assert_calls_agree();
        let (calls, own) = (outcome.calls.len(), 3);
        outcome.assert_at_most(calls * 9 / 10, "without a talk", |accounts| {
            talked(accounts) != [true; 2]
        });
        let is_sent_on = |accounts: &[Account]| {
            let mut users: Vec<_> = accounts[1..].iter().map(|account| account.phone / own).collect();
            users.dedup();
            users.len() > 1
        };
        outcome.assert_at_most(calls * 9 / 10, "at one user alone", |accounts| {
            !is_sent_on(accounts)
        });
        for phone in 0..outcome.standings.len() {
            sim.unregister(over_at, phone);
        }
        sim.run_until(over_at + 200 * S);
        sim.assert_nothing_left();
    });
}

#[test]
fn calls_tried_one_after_the_other_are_agreed_on() {
    races(Faults::NONE, Fork::Sequential);
}

#[test]
fn calls_tried_one_after_the_other_are_agreed_on_whatever_is_lost() {
    races(Faults::HEAVY, Fork::Sequential);
}

#[test]
fn calls_sent_on_by_one_of_several_phones_are_agreed_on() {
    races(Faults::HEAVY, Fork::Parallel);
}
