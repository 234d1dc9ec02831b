//! `cargo xtask bench`: what an operation costs, counted here and measured beside another server.

mod harness;
mod instructions;
mod table;

use std::path::Path;

use crate::report::cargo;

pub(crate) use instructions::{build_with_server, compare_with};

/// What `cargo xtask bench` is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Only count instructions.
    instructions: bool,
    /// And store what is counted.
    save: bool,
    /// One short run of each.
    quick: bool,
    /// Put the table into the README.
    write: bool,
}

impl Wanted {
    /// The arguments, in any order; `None` when they make no sense.
    pub(crate) fn of(arguments: &[&str]) -> Option<Self> {
        let mut wanted = Self::default();
        for argument in arguments {
            match *argument {
                "--instructions" => wanted.instructions = true,
                "--save" => wanted.save = true,
                "--quick" => wanted.quick = true,
                "--write" => wanted.write = true,
                _ => return None,
            }
        }
        let fits = wanted.instructions || !wanted.save;
        let is_alone = !(wanted.instructions && (wanted.quick || wanted.write));
        (fits && is_alone).then_some(wanted)
    }
}

/// Does what is asked for; true when all of it could be done, and nothing costs more than what is stored.
pub(crate) fn run(root: &Path, target: &Path, wanted: Wanted) -> bool {
    if wanted.save {
        return instructions::save(root, target);
    }
    if wanted.instructions {
        return instructions::compare(root, target);
    }
    match harness::Harness::find(root) {
        Ok(harness) => match harness.measure(root, target, wanted.quick) {
            Some(table) if wanted.write => table::write(root, &table),
            Some(table) => {
                println!("\n{table}");
                true
            }
            None => false,
        },
        Err(missing) => {
            println!("no other server is measured beside this one: {missing}");
            println!("what can be measured without: instructions, and nanoseconds of this machine\n");
            let counted = instructions::compare(root, target);
            let timed = cargo(
                root,
                &["bench", "--package", "strowger-testkit", "--bench", "times"],
            )
            .status()
            .is_ok_and(|status| status.success());
            counted && timed && !wanted.write
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_not_taken() {
        let both = Some(Wanted {
            quick: true,
            write: true,
            ..Wanted::default()
        });
        assert_eq!(Wanted::of(&["--write", "--quick"]), both);
        assert_eq!(Wanted::of(&[]), Some(Wanted::default()));
        assert_eq!(Wanted::of(&["--save"]), None);
        assert_eq!(Wanted::of(&["--instructions", "--write"]), None);
        assert_eq!(Wanted::of(&["--fast"]), None);
    }
}
