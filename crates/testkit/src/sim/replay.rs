//! Seeds, and how a test that failed is run again.

use std::any::type_name;
use std::thread::panicking;

/// Whether the large counts are asked for, by `STROWGER_FULL=1`.
pub fn full() -> bool {
    std::env::var_os("STROWGER_FULL").is_some()
}

/// Runs a test for each of these seeds, or for the one that `STROWGER_SEED` names. When it fails, the command that runs it
/// again with the same seed is printed.
pub fn with_seeds<T: Fn(u64)>(package: &str, seeds: impl IntoIterator<Item = u64>, test: T) {
    let given = std::env::var("STROWGER_SEED").ok();
    let seeds: Vec<u64> = match &given {
        Some(seed) => vec![seed.parse().expect("STROWGER_SEED is a number")],
        None => seeds.into_iter().collect(),
    };
    for seed in seeds {
        let _told = OnFailure(command(package, type_name::<T>(), seed, full()));
        test(seed);
    }
}

/// The command for a test, named by the type of its closure: `target::module::test::{{closure}}`.
fn command(package: &str, closure: &str, seed: u64, full: bool) -> String {
    let path = closure.split("::{{closure}}").next().unwrap_or_default();
    let (target, name) = path.split_once("::").unwrap_or((path, ""));
    let full = if full { "STROWGER_FULL=1 " } else { "" };
    format!("{full}STROWGER_SEED={seed} cargo test -p {package} --test {target} -- --exact {name}")
}

struct OnFailure(String);

impl Drop for OnFailure {
    fn drop(&mut self) {
        if panicking() {
            eprintln!("To see it again: {}", self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_package_target_test_and_seed() {
        let told = command("strowger-server", "sim::calls::they_end::{{closure}}", 7, true);
        assert_eq!(
            told,
            "STROWGER_FULL=1 STROWGER_SEED=7 cargo test -p strowger-server --test sim -- --exact calls::they_end"
        );
    }
}
