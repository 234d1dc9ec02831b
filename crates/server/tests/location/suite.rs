//! The properties that every location store has, whoever else writes to it.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use strowger_server::location::{
    Caller, Commit, CommitError, Location, MAX_AOR, MAX_RECORD, Ticket, Version, Watcher, due,
};
use strowger_sip::registrar::{Binding, Bindings, Entry, Order, Origin, Q_DEFAULT, RecordWriter, Tombstone};
use strowger_sip::transport::Transport;

use crate::stores::{Bench, NOW, eventually, record};

pub(crate) fn a_record_is_read_as_it_was_committed(bench: &Bench<dyn Location>) {
    assert_eq!(bench.read("alice@example.org"), (Version::ABSENT, vec![]));
    let version = bench
        .commit("alice@example.org", Version::ABSENT, &record(60, "one"))
        .expect("free");
    assert_ne!(version, Version::ABSENT);
    assert_eq!(bench.read("alice@example.org"), (version, record(60, "one")));
    assert_eq!(bench.read("alice@example.or"), (Version::ABSENT, vec![]));
    assert_eq!(bench.store.len(), 1);
    assert!(bench.store.bytes() > 0);
}

pub(crate) fn who_did_not_see_the_last_version_changes_nothing(bench: &Bench<dyn Location>) {
    let first = bench
        .commit("a@x", Version::ABSENT, &record(60, "one"))
        .expect("free");
    let second = bench.commit("a@x", first, &record(60, "two")).expect("seen");
    for stale in [Version::ABSENT, first] {
        assert_eq!(
            bench.commit("a@x", stale, &record(60, "late")),
            Err(CommitError::Conflict)
        );
        assert_eq!(bench.commit("a@x", stale, b""), Err(CommitError::Conflict));
    }
    assert_eq!(bench.read("a@x"), (second, record(60, "two")));
}

pub(crate) fn a_removed_record_is_absent_and_its_versions_are_void(bench: &Bench<dyn Location>) {
    let first = bench
        .commit("a@x", Version::ABSENT, &record(60, "one"))
        .expect("free");
    assert_eq!(bench.commit("a@x", first, b""), Ok(Version::ABSENT));
    assert_eq!(bench.read("a@x"), (Version::ABSENT, vec![]));
    assert_eq!(bench.commit("a@x", Version::ABSENT, b""), Ok(Version::ABSENT));
    bench
        .commit("a@x", Version::ABSENT, &record(60, "again"))
        .expect("free");
    assert_eq!(
        bench.commit("a@x", first, &record(60, "late")),
        Err(CommitError::Conflict)
    );
    assert_eq!(bench.store.len(), 1);
}

pub(crate) fn of_many_commits_on_one_version_exactly_one_holds(bench: &Bench<dyn Location>) {
    let seen = bench
        .commit("a@x", Version::ABSENT, &record(60, "one"))
        .expect("free");
    let mut held = 0;
    let mut pending = 0;
    for ticket in 0..100 {
        match bench.submit("a@x", seen, &record(60, &ticket.to_string()), ticket) {
            Commit::Done(_) => held += 1,
            Commit::Pending => pending += 1,
            Commit::Conflict => {}
            Commit::Unavailable => panic!("room for a hundred"),
        }
    }
    held += (0..pending).filter(|_| bench.answer().result.is_ok()).count();
    assert_eq!(held, 1);
}

pub(crate) fn records_grow_and_shrink(bench: &Bench<dyn Location>) {
    for len in [1, 500, 20, 4000, MAX_RECORD - 4, 10] {
        let record = record(60, &"x".repeat(len));
        bench.put("a@x", &record);
        assert_eq!(bench.read("a@x").1, record);
    }
}

pub(crate) fn what_is_too_long_is_refused(bench: &Bench<dyn Location>) {
    assert_eq!(
        bench.submit("a@x", Version::ABSENT, &vec![255; MAX_RECORD + 1], 1),
        Commit::Unavailable
    );
    let aor = "a".repeat(MAX_AOR + 1);
    assert_eq!(
        bench.submit(&aor, Version::ABSENT, &record(60, "one"), 1),
        Commit::Unavailable
    );
    assert!(bench.store.is_empty());
}

pub(crate) fn every_record_is_listed_once(bench: &Bench<dyn Location>) {
    let expected: Vec<_> = (100..400)
        .map(|n| (format!("{n}@x"), record(60, &n.to_string())))
        .collect();
    for (aor, record) in &expected {
        bench.put(aor, record);
    }
    bench.put("removed@x", &record(60, "gone"));
    bench.put("removed@x", b"");
    assert_eq!(bench.all(), expected);
}

pub(crate) fn an_answer_comes_to_its_caller_when_the_record_can_be_read(bench: &Bench<dyn Location>) {
    let mut seen = Version::ABSENT;
    for ticket in 0..50 {
        let content = record(60, &ticket.to_string());
        let caller = Caller {
            shard: ticket as u16 % 7,
            ticket: Ticket(ticket << 32 | 5),
        };
        let version = match bench.store.commit(b"a@x", seen, &content, caller) {
            Commit::Done(version) => version,
            Commit::Pending => {
                let committed = bench.answer();
                assert_eq!(committed.caller, caller);
                committed.result.expect("nobody else writes")
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(bench.read("a@x"), (version, content));
        seen = version;
    }
}

pub(crate) fn who_is_told_of_a_conflict_reads_what_was_not_seen(bench: &Bench<dyn Location>) {
    for round in 0..50 {
        let (seen, _) = bench.read("a@x");
        let content = record(60, &round.to_string());
        bench.elsewhere().put("a@x", &content);
        assert_eq!(
            bench.commit("a@x", seen, &record(60, "late")),
            Err(CommitError::Conflict)
        );
        let (version, read) = bench.read("a@x");
        assert_eq!(read, content);
        assert_ne!(version, seen);
        bench
            .commit("a@x", version, &record(60, "mine"))
            .expect("seen now");
    }
}

/// Who counts up what they read, as often as it takes, has counted in the end.
pub(crate) fn commits_of_many_lose_nothing(bench: &Bench<dyn Location>) {
    const EACH: u32 = 200;
    let count_up = |bench: &Bench<dyn Location>, aor: &str| {
        let (seen, found) = bench.read(aor);
        let count = found.get(4..8).map_or(0, |count| {
            u32::from_le_bytes(count.try_into().expect("four bytes"))
        });
        let next = [&record(60, "")[..], &(count + 1).to_le_bytes()].concat();
        match bench.submit(aor, seen, &next, 77) {
            Commit::Done(_) => true,
            Commit::Conflict => false,
            Commit::Pending => bench.answer().result.is_ok(),
            Commit::Unavailable => panic!("there is room"),
        }
    };
    let count = |bench: &Bench<dyn Location>| {
        for number in 0..EACH {
            let aor = format!("{}@x", number % 3);
            while !count_up(bench, &aor) {}
        }
    };
    let writers: Vec<_> = if bench.is_shared() {
        vec![bench, bench.elsewhere()]
    } else {
        vec![bench]
    };
    thread::scope(|scope| {
        for bench in &writers {
            scope.spawn(|| count(bench));
        }
    });
    let total = |bench: &Bench<dyn Location>| {
        let counts = bench.all();
        let count = |record: &Vec<u8>| u32::from_le_bytes(record[4..8].try_into().expect("four bytes"));
        counts.iter().map(|(_, record)| count(record)).sum::<u32>()
    };
    for bench in &writers {
        eventually("all is counted", || total(bench) == EACH * writers.len() as u32);
    }
}

pub(crate) fn what_others_commit_is_read_here(bench: &Bench<dyn Location>) {
    let others = bench.elsewhere();
    for round in 0..20 {
        let content = record(60, &round.to_string());
        others.put("a@x", &content);
        eventually("it is read here", || bench.read("a@x").1 == content);
        // And may be replaced from here at once.
        let (seen, _) = bench.read("a@x");
        bench.commit("a@x", seen, &record(60, "mine")).expect("seen");
    }
    others.put("a@x", b"");
    eventually("it is gone here", || bench.store.is_empty());
    assert_eq!(bench.read("a@x"), (Version::ABSENT, vec![]));
    bench
        .commit("a@x", Version::ABSENT, &record(60, "again"))
        .expect("free");
}

pub(crate) fn records_are_visited_part_by_part(bench: &Bench<dyn Location>) {
    for n in 0..20 {
        bench.put(&format!("u{n}@x"), &record(60, "one"));
    }
    let (mut seen, mut from, mut parts) = (Vec::new(), Some(0), 0);
    while let Some(place) = from {
        let before = seen.len();
        from = bench.store.visit(place, 3, &mut |aor, record| {
            seen.push((String::from_utf8_lossy(aor).into_owned(), record.to_vec()));
        });
        parts += 1;
        assert!(seen.len() - before <= 3);
    }
    seen.sort();
    assert_eq!(seen, bench.all());
    assert!(parts >= 7, "{parts}");
}

pub(crate) fn who_watches_is_told_of_every_change_whoever_made_it(bench: &Bench<dyn Location>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let watch = bench.store.watch();
    watch.serve(
        2,
        Box::new(move |shard| tell.lock().expect("told").send(shard).expect("heard")),
    );
    let mut watcher = Watcher::new(1);
    let slot = watcher.add(watch, b"a@x");
    let changed = |does: &dyn Fn()| {
        does();
        let mut slots = Vec::new();
        watcher.take_changed(watch, &mut slots);
        (told.try_iter().collect::<Vec<_>>(), slots)
    };
    let new = changed(&|| _ = bench.put("a@x", &record(1, "one")));
    assert_eq!(new, (vec![1], vec![slot]));
    let same = changed(&|| _ = bench.put("a@x", &bindings(&[1, 300], None)));
    assert_eq!(same, (vec![1], vec![slot]));
    let refused = changed(&|| _ = bench.commit("a@x", Version::ABSENT, b"late").is_err());
    assert_eq!(refused, (vec![], vec![]));
    let partly = changed(&|| _ = bench.sweep(NOW + 100));
    assert_eq!(partly, (vec![1], vec![slot]));
    let nothing = changed(&|| _ = bench.sweep(NOW + 299));
    assert_eq!(nothing, (vec![], vec![]));
    let swept = changed(&|| _ = bench.sweep(NOW + 300));
    assert_eq!(swept, (vec![1], vec![slot]));
    let others = changed(&|| {
        let content = record(1, "others");
        bench.elsewhere().put("a@x", &content);
        // It may be read here a moment before it is told of.
        eventually("it is read here", || bench.read("a@x").1 == content);
        thread::sleep(Duration::from_millis(50));
    });
    assert_eq!(others, (vec![1], vec![slot]));
}

pub(crate) fn a_sweep_removes_what_has_expired_and_says_whose_it_was(bench: &Bench<dyn Location>) {
    for n in 0..50 {
        bench.put(&format!("{n:02}@x"), &record(n, "r"));
    }
    let (expired, _) = bench.sweep(NOW + 19);
    for (n, expired) in expired.iter().enumerate() {
        assert_eq!(expired.aor, format!("{n:02}@x").into_bytes());
        assert_eq!(
            (&expired.before, &expired.left),
            (&record(n as u32, "r"), &vec![])
        );
    }
    assert_eq!((expired.len(), bench.store.len()), (20, 30));
    assert_eq!(bench.read("19@x"), (Version::ABSENT, vec![]));
    bench.put("00@x", &record(60, "back"));
    assert_eq!(bench.sweep(NOW + 59).0.len(), 30);
    assert_eq!(bench.all(), [("00@x".to_owned(), record(60, "back"))]);
}

/// A record of bindings that end so many seconds after [`NOW`], each of its own contact, and of a tombstone that does.
fn bindings(ends: &[u32], tombstone: Option<u32>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = RecordWriter::new(&mut out);
    let order = Order {
        branch: 1,
        cseq: 2,
        call_id: b"call",
    };
    for (number, end) in ends.iter().enumerate() {
        writer.put(&Entry::Binding(Binding {
            contact: format!("sip:a@192.0.2.{number}").as_bytes(),
            params: b"",
            q: Q_DEFAULT,
            order,
            expires_at: NOW + end,
            updated_at: NOW,
            bound_at: None,
            origin: Origin {
                transport: Transport::Udp,
                listener: 0,
                from: None,
                remote: ([192, 0, 2, number as u8], 5060).into(),
                flow: None,
                pushed_elsewhere: false,
                translated: false,
            },
            path: b"",
            user_agent: b"phone",
            epoch: None,
            outbound: false,
        }));
    }
    if let Some(until) = tombstone {
        writer.put(&Entry::Tombstone(Tombstone {
            contact: b"sip:gone@192.0.2.77",
            order,
            until: NOW + until,
        }));
    }
    writer.finish();
    out
}

/// When the entries of a record end, in seconds after [`NOW`].
fn ends(record: &[u8]) -> Vec<u32> {
    let entries = Bindings::new(record).entries();
    entries.map(|(entry, _)| entry.ends_at() - NOW).collect()
}

/// RFC 3261 §10.3: a binding is there until it expires, and no longer.
pub(crate) fn a_binding_leaves_when_it_ends_and_the_others_stay(bench: &Bench<dyn Location>) {
    bench.put("a@x", &bindings(&[300, 60, 9000, 61], Some(32)));
    bench.put("b@x", &bindings(&[61, 9000], None));
    let mut told = Vec::new();
    let mut step = |now: u32, expected: &[u32]| {
        let (expired, _) = bench.sweep(NOW + now);
        told.extend(expired.iter().map(|e| (now, e.aor[0], e.left.is_empty())));
        let (_, found) = bench.read("a@x");
        assert_eq!(ends(&found), expected, "at {now}");
        assert_eq!(
            due(&found),
            NOW + expected.iter().min().expect("some"),
            "at {now}"
        );
    };
    step(31, &[300, 60, 9000, 61, 32]);
    step(32, &[300, 60, 9000, 61]);
    step(59, &[300, 60, 9000, 61]);
    step(60, &[300, 9000, 61]);
    step(61, &[300, 9000]);
    step(299, &[300, 9000]);
    step(8999, &[9000]);
    let (expired, next) = bench.sweep(NOW + 9000);
    assert_eq!((expired.len(), next), (2, None));
    assert!(bench.store.is_empty());
    assert_eq!(
        told,
        [
            (32, b'a', false),
            (60, b'a', false),
            (61, b'a', false),
            (61, b'b', false),
            (8999, b'a', false)
        ]
    );
}

pub(crate) fn what_was_refreshed_is_not_swept(bench: &Bench<dyn Location>) {
    bench.put("a@x", &record(60, "one"));
    for end in (120..40_000).step_by(600) {
        bench.put("a@x", &record(end, "one"));
        assert_eq!(bench.sweep(NOW + end - 1), (vec![], bench.sweep(NOW + end - 1).1));
    }
    assert_eq!(bench.store.len(), 1);
    assert_eq!(bench.sweep(NOW + 40_000).0.len(), 1);
}

pub(crate) fn what_ends_earlier_than_before_is_swept_then(bench: &Bench<dyn Location>) {
    bench.sweep(NOW);
    for end in (1..100).rev() {
        bench.put("a@x", &record(end * 30, "one"));
        bench.put("b@x", &record(end * 30, &"moved".repeat(100 - end as usize)));
    }
    assert_eq!(bench.sweep(NOW + 29).0, []);
    assert_eq!(bench.sweep(NOW + 30).0.len(), 2);
    // What had already ended when it was committed, too.
    bench.put("a@x", &record(3, "late"));
    assert_eq!(bench.sweep(NOW + 31).0.len(), 1);
}

pub(crate) fn a_sweep_says_when_to_come_again(bench: &Bench<dyn Location>) {
    assert_eq!(bench.sweep(NOW), (vec![], None));
    for n in 0..2000 {
        bench.put(&format!("{n}@x"), &record(100 + n % 300, "r"));
    }
    let (mut now, mut swept, mut calls) = (NOW, 0, 0);
    while let (expired, Some(next)) = bench.sweep(now) {
        assert!(next > now, "{next} at {now}");
        assert!(expired.iter().all(|expired| due(&expired.before) == now), "{now}");
        swept += expired.len();
        calls += 1;
        now = next;
    }
    swept += bench.sweep(now).0.len();
    assert!(bench.store.is_empty(), "{swept}");
    assert!(calls <= 400, "{calls}");
}

pub(crate) fn a_clock_that_goes_back_loses_nothing(bench: &Bench<dyn Location>) {
    bench.put("old@x", &record(600, "r"));
    assert_eq!(bench.sweep(NOW + 500).0, []);
    // By this clock, both are to stay for long.
    assert_eq!(bench.sweep(NOW - 5000).0, []);
    bench.put("new@x", &record(0, "r"));
    assert_eq!(bench.sweep(NOW - 1).0, []);
    let (expired, _) = bench.sweep(NOW);
    assert_eq!((expired.len(), &expired[0].aor[..]), (1, &b"new@x"[..]));
    assert_eq!(bench.sweep(NOW + 599).0, []);
    assert_eq!(bench.sweep(NOW + 600).0.len(), 1);
}
