//! What one operation costs, in instructions: run under callgrind by `cargo xtask bench --instructions`.
//!
//! Without arguments it names its cases, one a line. With a name it makes that case's operation [`WARM_UP`] times, so that
//! buffers and tables have their size, and then so often as a second argument says. Only what [`counted`] calls is to be
//! counted: callgrind is told to begin and to stop there.

mod cases;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use cases::{CASES, Operation};
use strowger_syntax::{Index, Limits};

/// Operations before the first one that counts.
const WARM_UP: u32 = 128;

/// Whether what is made now counts.
static COUNTING: AtomicBool = AtomicBool::new(false);

/// What callgrind counts. It must stand out in the program, as a function that is called and returns.
#[inline(never)]
fn counted(call: &mut dyn FnMut()) {
    call();
    black_box(());
}

/// The meter of the sites.
fn meter(call: &mut dyn FnMut()) -> u64 {
    if COUNTING.load(Ordering::Relaxed) {
        counted(call);
    } else {
        call();
    }
    0
}

fn count(on: bool) {
    COUNTING.store(on, Ordering::Relaxed);
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(name) = arguments.next() else {
        CASES.iter().for_each(|case| println!("{}", case.name));
        return;
    };
    let times: u32 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let case = CASES.iter().find(|case| case.name == name).expect("a case");
    let mut site = case.site(meter);
    let mut index = Index::default();
    for n in 1..=WARM_UP + times {
        let counts = n > WARM_UP;
        match case.operation {
            Operation::Parse(message) => {
                count(counts);
                meter(&mut || {
                    let parsed = index.parse(black_box(message), &Limits::DEFAULT);
                    assert!(black_box(parsed).is_ok());
                });
            }
            Operation::Datagram(make) => {
                let (who, text) = make(&mut site, n);
                count(counts);
                site.send(who, &text);
            }
            Operation::Steps(make) => {
                count(counts);
                make(&mut site, n);
            }
        }
        count(false);
    }
}
