use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::*;

const MIB: usize = 1 << 20;

fn table() -> Table {
    Table::new([7; 16], 256 * MIB)
}

fn aor(number: u32) -> Vec<u8> {
    format!("u{number:06}@example.org").into_bytes() // 19 bytes
}

fn read(table: &Table, aor: &[u8]) -> (Version, Vec<u8>) {
    let mut record = Vec::new();
    let version = table.read(aor, &mut record);
    (version, record)
}

#[test]
fn a_record_is_replaced_only_by_who_saw_its_last_version() {
    let table = table();
    let first = table
        .compare_and_set(b"a@x", Version::ABSENT, b"one")
        .expect("free");
    assert_eq!(
        table.compare_and_set(b"a@x", Version::ABSENT, b"two"),
        Err(Refused::Conflict)
    );
    let second = table.compare_and_set(b"a@x", first, b"two").expect("seen");
    assert_ne!(first, second);
    assert_eq!(
        table.compare_and_set(b"a@x", first, b"three"),
        Err(Refused::Conflict)
    );
    assert_eq!(read(&table, b"a@x"), (second, b"two".to_vec()));
}

#[test]
fn a_version_does_not_come_back_with_the_record() {
    let table = table();
    let first = table
        .compare_and_set(b"a@x", Version::ABSENT, b"one")
        .expect("free");
    table.compare_and_set(b"a@x", first, b"").expect("removed");
    assert_eq!(read(&table, b"a@x"), (Version::ABSENT, vec![]));
    let again = table
        .compare_and_set(b"a@x", Version::ABSENT, b"one")
        .expect("free");
    assert_ne!(first, again);
    assert_eq!(
        table.compare_and_set(b"a@x", first, b"late"),
        Err(Refused::Conflict)
    );
}

#[test]
fn records_of_every_length_come_back_whole() {
    let table = table();
    for len in (1..600).chain([2000, 10_000, MAX_RECORD]) {
        let record: Vec<u8> = (0..len).map(|i| (i * 7 + len) as u8).collect();
        table.set(b"long@example.org", &record).expect("room");
        assert_eq!(read(&table, b"long@example.org").1, record);
    }
    assert_eq!(
        table.set(b"long@example.org", &vec![0; MAX_RECORD + 1]),
        Err(Refused::TooLong)
    );
    assert_eq!(table.set(&[b'a'; MAX_AOR + 1], b"one"), Err(Refused::TooLong));
    assert_eq!(table.len(), 1);
}

#[test]
fn many_records_are_found_listed_and_counted() {
    let table = table();
    for number in 0..5000 {
        table.set(&aor(number), &number.to_le_bytes()).expect("room");
    }
    for number in (0..5000).step_by(3) {
        table.set(&aor(number), b"").expect("removed");
    }
    let mut seen = 0;
    table.for_each(&mut |_, _| seen += 1);
    assert_eq!((seen, table.len()), (3333, 3333));
    for number in 0..5000_u32 {
        let expected = if number % 3 == 0 {
            vec![]
        } else {
            number.to_le_bytes().to_vec()
        };
        assert_eq!(read(&table, &aor(number)).1, expected, "{number}");
    }
}

#[test]
fn what_is_due_by_a_second_is_visited_without_looking_at_everything() {
    let table = table();
    table.begin_at(1000);
    for number in 0..5000 {
        table
            .set(&aor(number), &(1000 + number).to_le_bytes())
            .expect("room");
    }
    let visited = |secs: u32| {
        let mut seen = HashSet::new();
        table.for_each_due(secs, &mut |aor, record| {
            assert!(seen.insert((aor.to_vec(), due(record))), "each once");
        });
        seen
    };
    assert_eq!(visited(1099).len(), 100);
    assert_eq!(visited(999).len(), 0);
    // A refresh leaves a record where it is filed, until it is looked at there.
    for number in 0..50 {
        table.set(&aor(number), &4000_u32.to_le_bytes()).expect("room");
    }
    assert!(visited(1099).len() <= 100);
    sweep(&table, 1049);
    let seen = visited(1099);
    assert_eq!(seen.len(), 50);
    assert!(seen.contains(&(aor(50), 1050)));
    assert_eq!(visited(4000).len(), 3001);
    assert_eq!(visited(u32::MAX).len(), 5000);
    // One that is due sooner than before is found there.
    table.set(&aor(4999), &1060_u32.to_le_bytes()).expect("room");
    assert!(visited(1099).contains(&(aor(4999), 1060)));
}

#[test]
fn freed_places_are_used_again() {
    let table = table();
    for number in 0..2000 {
        table.set(&aor(number), &[1; 110]).expect("room");
    }
    let bytes = table.bytes();
    for round in 1..20 {
        for number in 0..2000 {
            table
                .set(&aor(number + (round - 1) * 2000), b"")
                .expect("removed");
            table.set(&aor(number + round * 2000), &[1; 110]).expect("room");
        }
    }
    assert_eq!(table.bytes(), bytes);
}

#[test]
fn places_of_records_that_have_grown_and_shrunk_serve_small_and_large_ones() {
    const RECORDS: u32 = 1000;
    let table = table();
    let length = |number: u32, round: u32| {
        if (number + round).is_multiple_of(4) {
            300
        } else {
            60
        }
    };
    let put = |number: u32, round: u32, due: u32| {
        let mut record = vec![round as u8; length(number, round)];
        record[..4].copy_from_slice(&due.to_le_bytes());
        table.set(&aor(number), &record).expect("room");
    };
    table.begin_at(1000);
    (0..RECORDS).for_each(|number| put(number, 0, 1000));
    let mut bytes = 0;
    // Each time others are the larger ones: the places of those that were are found when they come to be looked at.
    for round in 1..40 {
        (0..RECORDS).for_each(|number| put(number, round, 1000 + round));
        assert_eq!(sweep(&table, 999 + round).0, 0);
        if round == 2 {
            bytes = table.arena.bytes();
        }
    }
    assert_eq!(table.arena.bytes(), bytes);
    // And large places are cut for more small ones.
    for number in 0..RECORDS {
        table.set(&aor(number), b"").expect("removed");
    }
    for number in 0..2 * RECORDS {
        table.set(&aor(number), &[1; 40]).expect("room");
    }
    assert_eq!(table.arena.bytes(), bytes);
    let mut listed = 0;
    table.for_each(&mut |_, record| {
        assert_eq!(record, [1; 40]);
        listed += 1;
    });
    assert_eq!(listed, 2 * RECORDS);
}

#[test]
fn a_record_of_110_bytes_costs_less_than_200() {
    const RECORDS: u32 = 500_000;
    let table = table();
    for number in 0..RECORDS {
        let aor = format!("{number:06}@example.org"); // 18 bytes
        table
            .compare_and_set(aor.as_bytes(), Version::ABSENT, &[1; 110])
            .expect("room");
    }
    let each = table.bytes() / RECORDS as usize;
    assert!(each <= 200, "{each} bytes");
}

#[test]
fn memory_is_bounded_and_what_is_there_can_still_be_refreshed() {
    let table = Table::new([7; 16], MIB);
    let mut stored = 0;
    while table.set(&aor(stored), &[1; 110]).is_ok() {
        stored += 1;
        assert!(stored < 10_000, "no bound");
    }
    assert_eq!(table.set(&aor(stored), &[1; 110]), Err(Refused::Full));
    assert!(table.is_full());
    assert!(stored > 4000, "{stored} records in a MiB");
    table.set(&aor(0), &[2; 110]).expect("an update in place");
    table.set(&aor(1), b"").expect("a removal");
    table
        .set(&aor(stored), &[1; 110])
        .expect("the place that was freed");
}

/// Sweeps until nothing is due: whose records are gone, and when the next may be due.
fn sweep(table: &Table, now_secs: u32) -> (usize, Option<u32>) {
    let (mut expired, mut sweep) = (Vec::new(), Swept::Going);
    while sweep == Swept::Going {
        let told = expired.len();
        sweep = table.sweep(now_secs, &mut expired);
        assert!(expired.len() - told <= STEP, "a step too long");
    }
    let Swept::Done { next } = sweep else {
        unreachable!("it is done")
    };
    (expired.len(), next)
}

fn set_due(table: &Table, number: u32, due: u32) {
    table.set(&aor(number), &due.to_le_bytes()).expect("room");
}

#[test]
fn a_sweep_removes_what_has_expired_and_nothing_else() {
    let table = table();
    for number in 0..3000_u32 {
        set_due(&table, number, 1000 + number);
    }
    assert_eq!(sweep(&table, 1999), (1000, Some(2000)));
    assert_eq!(table.len(), 2000);
    assert!(read(&table, &aor(999)).1.is_empty());
    assert!(!read(&table, &aor(1000)).1.is_empty());
}

/// Each record is due at any time, is made due earlier and later, moved and removed; the clock jumps. After every sweep
/// exactly that is gone which was due.
#[test]
fn whatever_the_clock_does_a_sweep_takes_what_is_due_at_once_and_nothing_else() {
    const RECORDS: u64 = 500;
    let mut random = strowger_testkit::Random::seeded(7);
    let (table, mut now) = (table(), 1_764_000_000_u32);
    let mut expected = vec![0; RECORDS as usize];
    table.begin_at(now);
    for round in 0..20_000 {
        let number = random.below(RECORDS) as u32;
        let due = match random.below(8) {
            0 => now + 40_000,
            1 => now - random.below(30) as u32,
            2 => 0,
            _ => now + random.below(7200) as u32,
        };
        let mut record = due.to_le_bytes().to_vec();
        record.resize(4 + random.below(200) as usize, 7);
        if due == 0 {
            record.clear();
        }
        table.set(&aor(number), &record).expect("room");
        expected[number as usize] = due;
        now = match (round % 5, random.below(100)) {
            (0, 0) => now + 20_000,
            (0, 1) => now - 20_000,
            (0, 2..12) => now - random.below(50) as u32,
            (0, _) => now + random.below(60) as u32,
            _ => continue,
        };
        let gone = expected.iter().filter(|due| (1..=now).contains(*due)).count();
        let (swept, next) = sweep(&table, now);
        assert_eq!(swept, gone, "round {round}");
        expected
            .iter_mut()
            .filter(|due| **due <= now)
            .for_each(|due| *due = 0);
        let first = expected.iter().filter(|due| **due > 0).min();
        assert!(next.is_some() == first.is_some(), "round {round}");
        assert!(
            next.unwrap_or(0) <= first.copied().unwrap_or(0),
            "nothing may be waited for too long: round {round}"
        );
    }
    assert_eq!(table.len(), expected.iter().filter(|due| **due > 0).count());
}

#[test]
fn a_sweep_while_records_are_refreshed_takes_none_that_was() {
    const RECORDS: u32 = 2000;
    let table = table();
    table.begin_at(1000);
    for number in 0..RECORDS {
        set_due(&table, number, 1001 + number % 100);
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..RECORDS {
                set_due(&table, number, 50_000 - number % 7);
            }
        });
        scope.spawn(|| (1000..1100).for_each(|now| _ = sweep(&table, now)));
    });
    assert_eq!(sweep(&table, 20_000).0, 0);
    assert_eq!(table.len(), RECORDS as usize);
    assert_eq!(sweep(&table, 50_000).0, RECORDS as usize);
}

/// A record that says whose it is and proves that it is whole: number, counter, filler derived from both, of a length
/// derived from both.
fn sealed(number: u32, counter: u32) -> Vec<u8> {
    let len = 20 + (counter.wrapping_mul(31) % 200) as usize;
    let mut record = vec![(number ^ counter) as u8; len];
    record[..4].copy_from_slice(&number.to_le_bytes());
    record[4..8].copy_from_slice(&counter.to_le_bytes());
    record
}

fn check_seal(number: u32, record: &[u8]) {
    let counter = u32::from_le_bytes(record[4..8].try_into().expect("four bytes"));
    assert_eq!(
        record,
        sealed(number, counter),
        "torn, or of another address-of-record"
    );
}

#[test]
fn readers_never_see_a_torn_record_nor_anothers_while_writers_compete() {
    const HOT: u32 = 8;
    let table = table();
    for number in 0..HOT {
        table.set(&aor(number), &sealed(number, 0)).expect("room");
    }
    let stop = AtomicBool::new(false);
    let (commits, reads) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut record = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    for number in 0..HOT {
                        assert_ne!(table.read(&aor(number), &mut record), Version::ABSENT);
                        check_seal(number, &record);
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut record = Vec::new();
                    for turn in 0..40_000_u32 {
                        let number = turn % HOT;
                        let seen = table.read(&aor(number), &mut record);
                        check_seal(number, &record);
                        let counter = u32::from_le_bytes(record[4..8].try_into().expect("four bytes"));
                        if table
                            .compare_and_set(&aor(number), seen, &sealed(number, counter + 1))
                            .is_ok()
                        {
                            commits.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        let died = writers
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .any(|end| end.is_err());
        stop.store(true, Ordering::Relaxed);
        assert!(!died, "a writer saw a bad record");
    });
    // No commit was lost and none was made twice: the counters add up to the commits that were told to be done.
    let counted: u64 = (0..HOT)
        .map(|number| {
            let record = read(&table, &aor(number)).1;
            u64::from(u32::from_le_bytes(record[4..8].try_into().expect("four bytes")))
        })
        .sum();
    assert_eq!(counted, commits.load(Ordering::Relaxed));
    assert!(reads.load(Ordering::Relaxed) > 1000);
}

/// [`sealed`], due one second later with each count.
fn sealed_and_due(number: u32, counter: u32) -> Vec<u8> {
    let mut record = sealed(number, counter);
    record.splice(..0, (1000 + counter).to_le_bytes());
    record
}

#[test]
fn records_that_a_sweep_moves_meanwhile_are_read_whole_and_written_once() {
    const HOT: u32 = 64;
    const ROUNDS: u32 = 400;
    let table = table();
    table.begin_at(900);
    for number in 0..HOT {
        table.set(&aor(number), &sealed_and_due(number, 0)).expect("room");
    }
    let (round, moved) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut record = Vec::new();
            while round.load(Ordering::Acquire) < u64::from(ROUNDS) {
                for number in 0..HOT {
                    assert_ne!(table.read(&aor(number), &mut record), Version::ABSENT);
                    check_seal(number, &record[4..]);
                }
            }
        });
        scope.spawn(|| {
            let mut expired = Vec::new();
            loop {
                let now = round.load(Ordering::Acquire) as u32;
                let places: Vec<_> = (0..HOT)
                    .map(|number| table.version(&aor(number)).numbers()[0])
                    .collect();
                table.sweep(999 + now, &mut expired);
                let after = (0..HOT).map(|number| table.version(&aor(number)).numbers()[0]);
                let changed = after.zip(places).filter(|(after, before)| after != before);
                moved.fetch_add(changed.count() as u64, Ordering::Relaxed);
                assert!(expired.is_empty(), "{expired:?}");
                if now == ROUNDS {
                    break;
                }
            }
        });
        for counter in 1..=ROUNDS {
            for number in 0..HOT {
                let mut record = Vec::new();
                // A move makes another version of the same record.
                loop {
                    let seen = table.read(&aor(number), &mut record);
                    assert_eq!(record, sealed_and_due(number, counter - 1));
                    if table
                        .compare_and_set(&aor(number), seen, &sealed_and_due(number, counter))
                        .is_ok()
                    {
                        break;
                    }
                }
            }
            round.store(u64::from(counter), Ordering::Release);
        }
    });
    assert!(moved.load(Ordering::Relaxed) > 0, "nothing was moved");
    assert_eq!(table.len(), HOT as usize);
}

#[test]
fn a_record_that_stays_is_found_while_others_come_and_go() {
    let table = table();
    for number in 0..64 {
        table.set(&aor(number), &sealed(number, 0)).expect("room");
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut record = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    for number in 0..64 {
                        assert_ne!(
                            table.read(&aor(number), &mut record),
                            Version::ABSENT,
                            "{number} is missing"
                        );
                        check_seal(number, &record);
                    }
                }
            });
        }
        let churn = scope.spawn(|| {
            for turn in 0..30_u32 {
                for number in 1000..4000 {
                    table
                        .set(&aor(number + turn), &sealed(number + turn, turn))
                        .expect("room");
                }
                for number in 0..64 {
                    table.set(&aor(number), &sealed(number, turn)).expect("room");
                }
                for number in 1000..4000 {
                    table.set(&aor(number + turn), b"").expect("removed");
                }
            }
        });
        let died = churn.join().is_err();
        stop.store(true, Ordering::Relaxed);
        assert!(!died);
    });
    assert_eq!(table.len(), 64);
}

#[test]
fn a_look_up_that_misses_while_links_change_looks_again() {
    let table = table();
    let version = table.set(b"a@x", b"one").expect("room");
    let begun = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !begun.load(Ordering::Acquire) {
                thread::yield_now();
            }
            read(&table, b"a@x")
        });
        let structure = table.lock();
        table.change_links(|| {
            let head = table.index.head(table.hash(b"a@x"));
            let place = head.swap(0, Ordering::AcqRel);
            begun.store(true, Ordering::Release);
            thread::sleep(std::time::Duration::from_millis(20));
            head.store(place, Ordering::Release);
        });
        drop(structure);
        assert_eq!(reader.join().expect("no panic"), (version, b"one".to_vec()));
    });
}

/// A word of the hash's own, which is published, makes an address hash alike whatever stands before it, unless its seeds
/// are secret.
#[test]
fn addresses_that_are_chosen_for_it_do_not_fall_into_one_bucket() {
    let table = table();
    let mut hashes: Vec<u32> = (0..1000)
        .map(|number| {
            let mut aor = format!("{number:08}aaaaaaaaaaaaa").into_bytes();
            aor.extend_from_slice(&[0xdd, 0x50, 0x7c, 0xc9, 0xb7, 0x29, 0xac, 0xc0]);
            aor.extend_from_slice(b"aaaaaaaaaaa@example.test");
            table.hash(&aor)
        })
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert!(hashes.len() > 990, "{} hashes", hashes.len());
}
