//! `kill -9` while phones register: what was answered with 200 is there after the restart with the time it has left, and
//! what was removed is not back, also of phones whose contacts are known by instance and reg-id (RFC 5626 §6) and have another
//! URI each time.
#![cfg(target_os = "linux")]

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use system_tests::process::Signal;
use system_tests::registering::{Load, Phones};
use system_tests::{Random, Setup, full};

/// REGISTERs a second: 3,000, and those that are left out because every line waits.
const RATE: u32 = 3300;
const SENDERS: usize = 2;
const LINES: usize = 400;

/// One run at a time, or they would take the processor from each other.
static ONE_RUN: Mutex<()> = Mutex::new(());

fn survives(durability: &str, seed: u64) {
    let _one = ONE_RUN.lock().unwrap_or_else(PoisonError::into_inner);
    let kills = if full() { 50 } else { 5 };
    let mut random = Random::seeded(seed);
    let location = format!("[location]\ndurability = \"{durability}\"\n");
    let mut server = Setup::new().toml(&location).start();
    let mut phones: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let random = Random::seeded(random.number());
            Phones::new(&format!("s{sender}x"), LINES, server.sip(), random)
        })
        .collect();
    let (mut unanswered, mut done, mut under_load) = (0, 0, Duration::ZERO);
    for kill in 0..kills {
        let moment = Duration::from_millis(200 + random.below(1500) as u64);
        let begun = Instant::now();
        let load = Load::start(phones, RATE);
        thread::sleep(moment);
        under_load += begun.elapsed();
        server.end(Signal::Kill);
        phones = load.stop();
        server.start_again();
        for phones in &mut phones {
            let found = phones.compare();
            let (more_unanswered, more_done) =
                found.unwrap_or_else(|wrong| panic!("{durability}, kill {kill} after {moment:?}: {wrong}"));
            unanswered += more_unanswered;
            done += more_done;
        }
    }
    let answered: u64 = phones.iter().map(Phones::answered).sum();
    assert!(answered > 100 * kills, "{answered} REGISTERs are no load");
    assert!(phones.iter().all(|phones| phones.refused() == 0));
    println!(
        "{durability}: {kills} kills, {answered} REGISTERs answered, {:.0}/s; {unanswered} were not answered, {done} of them done",
        answered as f64 / under_load.as_secs_f64()
    );
}

#[test]
fn what_was_answered_is_there_after_kill_9_with_durability_power() {
    survives("power", 1);
}

#[test]
fn what_was_answered_is_there_after_kill_9_with_durability_process() {
    survives("process", 2);
}
