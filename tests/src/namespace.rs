//! Tests that need a machine to themselves: the well-known ports free, an address that is not loopback, a disk of their own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

const MARK: &str = "STROWGER_TEST_NAMESPACE";

/// An address in such a namespace that is on the machine but not loopback.
pub const OUTSIDE: &str = "192.0.2.77";

/// Runs the rest of the test in network and mount namespaces of its own, with `lo` up and [`OUTSIDE`] on it. True inside; outside
/// it runs this one test again inside, passes on how it ended, and returns false.
#[track_caller]
pub fn enter(test: &str) -> bool {
    enter_for(test, Duration::from_secs(60))
}

/// [`enter`] for a test that may take this long.
#[track_caller]
pub fn enter_for(test: &str, limit: Duration) -> bool {
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("the test program");
    let setup = format!("ip link set lo up && ip address add {OUTSIDE}/32 dev lo && exec \"$0\" \"$@\"");
    let output = Command::new("timeout")
        .args([
            "--kill-after=2",
            &limit.as_secs().to_string(),
            "unshare",
            "--net",
            "--mount",
            "--map-root-user",
            "sh",
            "-c",
            &setup,
        ])
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(MARK, "1")
        .output()
        .expect("timeout and unshare are there");
    let text = String::from_utf8_lossy(&output.stdout);
    let ran = text.contains("1 passed");
    assert!(
        output.status.success() && ran,
        "in a namespace of its own (needs unshare of util-linux and ip of iproute2):\n{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Mounts a disk of so many KiB, in memory, at a folder that is there. Only in a namespace.
#[track_caller]
pub fn mount_disk(at: &Path, kib: u32) {
    mount(
        &["-t", "tmpfs", "-o", &format!("size={kib}k,mode=700"), "none"],
        at,
    );
}

/// Makes that disk read-only.
#[track_caller]
pub fn make_read_only(at: &Path) {
    mount(&["-o", "remount,ro"], at);
}

#[track_caller]
fn mount(options: &[&str], at: &Path) {
    assert!(std::env::var_os(MARK).is_some(), "not on the machine itself");
    let ended = Command::new("mount").args(options).arg(at).output();
    let ended = ended.expect("mount of util-linux is there");
    assert!(
        ended.status.success(),
        "needs the right to mount in a user namespace: {ended:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_ports_are_free_and_the_outside_address_is_there() {
        if !enter("namespace::tests::well_known_ports_are_free_and_the_outside_address_is_there") {
            return;
        }
        for address in ["127.0.0.1:5060", "[::1]:5060", &format!("{OUTSIDE}:5060")] {
            assert!(std::net::UdpSocket::bind(address).is_ok(), "{address}");
        }
    }
}
