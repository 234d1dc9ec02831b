//! Plays scenarios that others wrote for SIPp against the server, and says of each whether it passed.
//!
//! `conform FOLDER [WORD]...`: all scenarios of the folder, or those whose names have one of the words in them. The folder is
//! read where it is, nothing of it is kept.

mod cases;
mod catalogue;
mod stage;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cases::{CASES, Case};
use stage::Stage;
use system_tests::Setup;

/// How many cases are played at the same time.
const AT_A_TIME: usize = 4;

/// Scenarios whose two sides race each other: both pause for 200 ms before the BYE, and SIPp takes one that comes before its own
/// pause has ended for a fault. They may be played once more.
const RACES: &[&str] = &["siphon/b2bua_reinvite_bleg_uas"];

/// What became of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed(String),
    /// And why.
    NotApplicable(&'static str),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((folder, words)) = arguments.split_first() else {
        eprintln!(
            "usage: conform FOLDER [WORD]...\n\nFOLDER has the scenarios: sipssert/, siphon/, kamailio/, sipp-regress/"
        );
        return ExitCode::from(2);
    };
    let folder = Path::new(folder);
    let scenarios = match catalogue::scenarios(folder) {
        Ok(scenarios) => scenarios,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::from(2);
        }
    };
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let cases: Vec<&Case> = CASES
        .iter()
        .filter(|case| case.scenarios.iter().any(|name| wanted(name)))
        .collect();
    let played = play(folder, &cases);
    let outcomes = scenarios
        .into_iter()
        .filter(|name| wanted(name))
        .map(|name| (outcome(&name, &played), name));
    report(outcomes)
}

/// Plays all cases; what became of each by the names of its scenarios.
fn play(folder: &Path, cases: &[&Case]) -> BTreeMap<&'static str, Outcome> {
    // What fails says why in the table.
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicUsize::new(0);
    let played = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = play_one(folder, case);
                    eprintln!("{:9} {}", word(&outcome), case.scenarios.join(", "));
                    let mut played = played.lock().expect("no thread panics here");
                    played.extend(case.scenarios.iter().map(|name| (*name, outcome.clone())));
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    played.into_inner().expect("no thread panics here")
}

/// Plays a case; those of registration also with a registrar that does not know outbound (RFC 5626).
fn play_one(folder: &Path, case: &Case) -> Outcome {
    let is_registration = |name: &&str| name.starts_with("sipssert/registration/");
    let races = case.scenarios.iter().any(|name| RACES.contains(name));
    match play_on(folder, case, (case.setup)()) {
        Outcome::Failed(_) if races => play_on(folder, case, (case.setup)()),
        Outcome::Passed if case.scenarios.iter().any(is_registration) => {
            play_on(folder, case, (case.setup)().without_outbound())
        }
        outcome => outcome,
    }
}

fn play_on(folder: &Path, case: &Case, setup: Setup) -> Outcome {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut stage = Stage::new(folder, setup);
        (case.play)(&mut stage)?;
        stage.close()
    }));
    match played {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(what)) => Outcome::Failed(what),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Outcome::Failed(text.unwrap_or_else(|| "the harness failed".to_owned()))
        }
    }
}

fn outcome(name: &str, played: &BTreeMap<&'static str, Outcome>) -> Outcome {
    match (played.get(name), catalogue::why_not(name)) {
        (Some(outcome), _) => outcome.clone(),
        (None, Some(why)) => Outcome::NotApplicable(why),
        (None, None) => Outcome::Failed("no case plays it, and no reason says why".to_owned()),
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed(_) => "FAILED",
        Outcome::NotApplicable(_) => "n/a",
    }
}

/// Prints the table.
fn report(outcomes: impl Iterator<Item = (Outcome, String)>) -> ExitCode {
    let (mut passed, mut failed, mut not_applicable) = (0, 0, 0);
    println!("| scenario | outcome | |\n|---|---|---|");
    for (outcome, name) in outcomes {
        let note = match &outcome {
            Outcome::Passed => cases::remark(&name).unwrap_or_default().to_owned(),
            Outcome::Failed(what) => what.replace(['\n', '|'], " "),
            Outcome::NotApplicable(why) => (*why).to_owned(),
        };
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Failed(_) => failed += 1,
            Outcome::NotApplicable(_) => not_applicable += 1,
        }
        println!("| {name} | {} | {note} |", word(&outcome));
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed; {not_applicable} not applicable");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
