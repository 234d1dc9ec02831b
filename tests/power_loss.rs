//! A loss of power at any moment: with `durability = "power"` what was answered with 200 is on the disk before the answer is
//! sent. The system calls of the real program are recorded; from them come the disks that a loss of power may leave, and
//! the real program starts on each of them.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use system_tests::disk::{Disk, Fate};
use system_tests::message::{parameter, uri_of};
use system_tests::process::Signal;
use system_tests::registering::Phones;
use system_tests::server::{await_ready, program, serve};
use system_tests::trace::{Call, Event, read, record};
use system_tests::{Message, Peer, Random, Scratch, full, ports};

const LINES: usize = 12;

/// The bindings that a 200 tells: contact, and when it expires, in seconds since the epoch.
type Bindings = BTreeMap<String, f64>;

/// What an address-of-record was told: after which event, and what.
type Told = BTreeMap<String, Vec<(usize, Bindings)>>;

fn bindings(response: &Message, at: Duration) -> Bindings {
    let expires_at = |value: &str| {
        let expires: f64 = parameter(value, "expires")?.parse().ok()?;
        Some(at.as_secs_f64() + expires)
    };
    // Which REGISTER of the phones bound it is a parameter.
    let contact = |value: &str| format!("{} {:?}", uri_of(value), parameter(value, "v"));
    let contacts = response.list("Contact");
    let each = contacts
        .iter()
        .map(|value| (contact(value), expires_at(value).expect("expires")));
    each.collect()
}

/// All 200 to REGISTER.
fn told(events: &[Event]) -> Told {
    let mut told = Told::new();
    for (number, event) in events.iter().enumerate() {
        let Call::Send(texts) = &event.call else { continue };
        for text in texts.iter().filter(|text| text.starts_with(b"SIP/2.0 200 ")) {
            let message = Message::parse(text).expect("a message");
            let aor = uri_of(message.header("To")).to_owned();
            told.entry(aor)
                .or_default()
                .push((number, bindings(&message, event.at)));
        }
    }
    told
}

/// Runs the program with phones that register, and records what it does from its start to its end.
fn recorded(durability: &str, registers: u64, inject: Option<&str>, scratch: &Scratch) -> Vec<Event> {
    let (port, trace) = (ports::free(), scratch.join("trace"));
    let data = scratch.join("disk/data");
    std::fs::create_dir(scratch.join("disk")).expect("a directory");
    let config = format!(
        "domains = [\"strowger.test\"]\ndata_dir = {data:?}\nshards = 2\n[[listen]]\nuri = \"udp:127.0.0.1:{port}\"\n\
         [admin]\nlisten = \"off\"\n[location]\ndurability = \"{durability}\"\n"
    );
    let config = scratch.write("strowger.toml", config);
    let arguments = ["serve", "--config", &config.to_string_lossy()];
    let mut process = record(&program(), &arguments, &trace, scratch.path(), inject);
    await_ready(&process);
    let server = ([127, 0, 0, 1], port).into();
    let mut phones = Phones::new("p", LINES, server, Random::seeded(registers));
    phones.register_times(registers);
    assert_eq!(
        phones.refused() > 0,
        inject.is_some(),
        "{} were refused",
        phones.refused()
    );
    process.signal(Signal::Term);
    let ended = process.wait(Duration::from_secs(30));
    assert!(
        ended.is_some_and(|status| status.success()),
        "{}",
        process.output()
    );
    read(&trace)
}

/// What the real program finds on a disk that a loss of power has left, and what that has to be.
struct Found {
    bindings: BTreeMap<String, Bindings>,
}

impl Found {
    fn on(data: &Path, aors: &Told) -> Result<Self, String> {
        let port = ports::free();
        let listen = format!("udp:127.0.0.1:{port}");
        let arguments = [
            "--data-dir",
            &data.to_string_lossy(),
            "--domain",
            "strowger.test",
            "--listen",
            &listen,
            "--admin",
            "off",
        ];
        let mut process = serve(&arguments, data.parent().expect("a directory"));
        let ready = system_tests::wait::until(Duration::from_secs(20), || {
            let ended = process.wait(Duration::ZERO).is_some();
            (ended || system_tests::server::ready_line(&process).is_some()).then_some(ended)
        });
        if ready != Some(false) {
            return Err(format!("does not start:\n{}", process.output()));
        }
        let peer = Peer::udp(([127, 0, 0, 1], port).into());
        let mut found = BTreeMap::new();
        for aor in aors.keys() {
            let fetch = peer
                .request("REGISTER", "sip:strowger.test", aor, aor)
                .without("Contact");
            let response = peer.exchange(&fetch);
            assert_eq!(response.status(), Some(200), "{}", response.text());
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
            found.insert(aor.clone(), bindings(&response, now));
        }
        Ok(Self { bindings: found })
    }

    /// Each address has what it was told last before the cut, or what it would have been told next.
    fn differs(&self, told: &Told, cut: usize) -> Option<String> {
        let nothing = Bindings::new();
        told.iter().find_map(|(aor, told)| {
            let before = told.iter().take_while(|(number, _)| *number <= cut).count();
            let last = before.checked_sub(1).map_or(&nothing, |last| &told[last].1);
            let next = told.get(before).map(|(_, bindings)| bindings);
            let found = &self.bindings[aor];
            let right = agree(last, found) || next.is_some_and(|next| agree(next, found));
            (!right)
                .then(|| format!("{aor} has {found:?}; it was told {last:?}, and would have been {next:?}"))
        })
    }
}

fn agree(told: &Bindings, found: &Bindings) -> bool {
    let close =
        |contact: &String, at: &f64| found.get(contact).is_some_and(|found| (found - at).abs() <= 2.0);
    told.len() == found.len() && told.iter().all(|(contact, at)| close(contact, at))
}

/// The first event after which no sync fails and the server has answered with 200 again. What was refused before that may be
/// on the disk, or not.
fn all_is_well_again(events: &[Event], told: &Told) -> usize {
    let failed = |event: &Event| matches!(event.call, Call::SyncFailed { .. });
    let Some(last) = events.iter().rposition(failed) else {
        return 0;
    };
    let answers = told.values().flatten().map(|(number, _)| *number);
    answers.filter(|number| *number > last).min().expect("it goes on")
}

/// Cuts the power at so many moments; returns what was wrong then.
fn cut(durability: &str, registers: u64, inject: Option<&str>, cuts: usize) -> Vec<String> {
    let scratch = Scratch::new();
    let events = recorded(durability, registers, inject, &scratch);
    let told = told(&events);
    let answers: usize = told.values().map(Vec::len).sum();
    assert!(
        answers as u64 >= registers,
        "{answers} answers to {registers} requests are in the trace"
    );
    let first = all_is_well_again(&events, &told);
    let mut random = Random::seeded(7);
    let mut moments: Vec<_> = (0..cuts)
        .map(|cut| {
            let moment = first + random.below(events.len() - first);
            // Every other cut comes just when an answer is sent.
            let is_answer = |number: &usize| matches!(events[*number].call, Call::Send(_));
            let answer = (moment..events.len()).find(is_answer).filter(|_| cut % 2 == 0);
            (answer.unwrap_or(moment), cut)
        })
        .collect();
    moments.sort_unstable();
    let mut moments = moments.into_iter().peekable();
    let mut disk = Disk::new(&scratch.join("disk"));
    let mut wrong = Vec::new();
    for (number, event) in events.iter().enumerate() {
        disk.play(number, event);
        while let Some((_, cut)) = moments.next_if(|(moment, _)| *moment == number) {
            let random = Random::seeded(random.number());
            let mut fate = match cut / 2 % 4 {
                0 => Fate::Lost,
                1 => Fate::Torn(random),
                2 => Fate::Chance(random),
                _ => Fate::Kept,
            };
            let after = Scratch::new();
            disk.cut(&mut fate, after.path());
            let found = Found::on(&after.join("data"), &told);
            let differs = found.map_or_else(Some, |found| found.differs(&told, number));
            wrong.extend(differs.map(|differs| format!("cut at event {number}, {fate:?}: {differs}")));
        }
    }
    println!(
        "{durability}: {answers} answers, {} events, {cuts} cuts, {} of them lost something",
        events.len(),
        wrong.len()
    );
    wrong
}

#[test]
fn with_durability_power_what_was_answered_survives_a_loss_of_power_at_any_moment() {
    let (registers, cuts) = if full() { (6000, 1000) } else { (1500, 60) };
    let wrong = cut("power", registers, None, cuts);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn after_syncs_that_failed_what_is_answered_survives_as_well() {
    // Once in a commit, and in what it takes to write the file anew.
    for (seed, when) in ["60..60", "60..61", "60..68"].iter().enumerate() {
        let inject = format!("fsync,fdatasync:error=EIO:when={when}");
        let (registers, cuts) = if full() { (2000, 200) } else { (1200, 16) };
        let wrong = cut("power", registers + seed as u64, Some(&inject), cuts);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn with_durability_process_the_same_cuts_lose_something() {
    let wrong = cut("process", 300, None, 16);
    assert!(!wrong.is_empty(), "the test would not see a missing sync");
    assert!(
        wrong.iter().all(|wrong| !wrong.contains("does not start")),
        "{}",
        wrong.join("\n")
    );
}
