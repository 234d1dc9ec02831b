//! The other programs that the gate needs: a C++ compiler, independent SIP peers from Debian and three from the Python index.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program, and the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("baresip", "baresip-core"),
    // libFuzzer is built with it.
    ("c++", "g++"),
    ("chattr", "e2fsprogs"),
    ("kamailio", "kamailio"),
    ("linphonec", "linphone-cli"),
    ("named", "bind9"),
    ("openssl", "openssl"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("python3", "python3"),
    ("setpriv", "util-linux"),
    ("sipp", "sip-tester"),
    ("strace", "strace"),
    ("stun", "stun-client"),
    ("svcrack", "sipvicious"),
    ("tshark", "tshark"),
    ("turnutils_stunclient", "coturn"),
    ("valgrind", "valgrind"),
    ("xmllint", "libxml2-utils"),
];

const PJSUA: &str = "pjsua2-python==2.15.1.post1";
/// A source archive: it is built when it is installed.
const SIPPY: &str = "sippy==2.5.0";

const BARESIP: &str = "baresip-python==0.5.2a3";

/// The Python that has pjsua2, sippy and baresip: a virtual environment of the project's own.
pub(crate) fn pjsua_python(target: &Path) -> PathBuf {
    target.join("pjsua2/bin/python3")
}

/// Installs what is missing on Debian as root; elsewhere says what to install. True when all is there in the end.
pub(crate) fn install(python: &Path) -> bool {
    packages()
        && pjsua(python)
        && from_index(python, "sippy.b2bua_simple", SIPPY)
        && from_index(python, "baresip", BARESIP)
}

fn packages() -> bool {
    let missing = missing();
    if missing.is_empty() {
        println!("all programs are there");
        return true;
    }
    let line = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !may_install() {
        println!("missing programs; as root on Debian: {line}");
        return false;
    }
    println!("{line}");
    // Lists that cannot be refreshed may still be good enough; the installation says so if not.
    apt(&["update"]);
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(&missing);
    if apt(&arguments) && self::missing().is_empty() {
        return true;
    }
    println!(
        "still missing: {}; to be installed by: {line}",
        self::missing().join(" ")
    );
    false
}

fn missing() -> Vec<&'static str> {
    let mut missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(program, _)| !on_path(program))
        .map(|&(_, package)| package)
        .collect();
    if !runs(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        missing.push("python3-venv");
    }
    missing
}

fn pjsua(python: &Path) -> bool {
    let imports = || runs(Command::new(python).args(["-c", "import pjsua2"]));
    if imports() {
        println!("pjsua2 is there");
        return true;
    }
    let Some(environment) = python.parent().and_then(Path::parent) else {
        return false;
    };
    println!("installing {PJSUA} into {}", environment.display());
    let made = shown(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(environment),
    );
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
        PJSUA,
    ];
    if made && shown(Command::new(python).args(pip)) && imports() {
        return true;
    }
    println!(
        "no pjsua2; to be installed by: python3 -m venv --clear {0} && {0}/bin/pip install --only-binary :all: {PJSUA}",
        environment.display()
    );
    false
}

/// Installs a package that has this module into the same environment.
fn from_index(python: &Path, module: &str, package: &str) -> bool {
    let imports = || runs(Command::new(python).args(["-c", &format!("import {module}")]));
    if imports() {
        println!("{module} is there");
        return true;
    }
    println!("installing {package}");
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        package,
    ];
    if shown(Command::new(python).args(pip)) && imports() {
        return true;
    }
    println!(
        "no {module}; to be installed by: {} -m pip install {package}",
        python.display()
    );
    false
}

fn may_install() -> bool {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n");
    root && Path::new("/etc/debian_version").exists()
}

fn apt(arguments: &[&str]) -> bool {
    shown(
        Command::new("apt-get")
            .args(["-qq", "-o", "Dpkg::Use-Pty=0"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

pub(crate) fn on_path(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(program).is_file())
}

/// Runs a command without showing its output.
fn runs(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn shown(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_on_the_path_and_a_missing_one_is_not() {
        assert!(on_path("cargo"));
        assert!(!on_path("no-such-program-as-this"));
    }
}
