//! What one operation takes on this machine, in nanoseconds: `cargo bench -p strowger-testkit --bench times`. Figures of one
//! machine, to be compared with those of the same hour; whether something has become dearer is what instructions tell.

mod cases;

use std::cell::{Cell, RefCell};

use cases::{CASES, Case, Operation};
use divan::Bencher;
use strowger_syntax::{Index, Limits};
use strowger_testkit::Site;

fn main() {
    divan::main();
}

/// One operation after the other, as a message depends on what was sent before.
#[divan::bench(args = CASES.iter().map(|case| case.name), sample_size = 1, sample_count = 2_000)]
fn operation(bencher: Bencher<'_, '_>, name: &str) {
    let case = CASES.iter().find(|case| case.name == name).expect("a case");
    let numbers = Cell::new(1);
    match case.operation {
        Operation::Parse(message) => {
            let mut index = Index::default();
            bencher.bench_local(|| index.parse(divan::black_box(message), &Limits::DEFAULT).is_ok());
        }
        Operation::Datagram(make) => {
            let site = site(case);
            bencher
                .with_inputs(|| make(&mut site.borrow_mut(), next(&numbers)))
                .bench_local_refs(|(who, text)| site.borrow_mut().send_unseen(*who, text.as_bytes()));
        }
        // The work of the peers and of the site is in it.
        Operation::Steps(make) => {
            let site = site(case);
            bencher.bench_local(|| make(&mut site.borrow_mut(), next(&numbers)));
        }
    }
}

fn site(case: &Case) -> RefCell<Site> {
    RefCell::new(case.site(|call| {
        call();
        0
    }))
}

fn next(numbers: &Cell<u32>) -> u32 {
    numbers.replace(numbers.get() + 1)
}
