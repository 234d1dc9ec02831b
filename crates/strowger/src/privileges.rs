//! Who the server runs as.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use crate::failed::Failed;

/// A user of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// True when this process is root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Finds an account by its name.
pub(crate) fn account(name: &str) -> Result<Account, Failed> {
    let text = fs::read_to_string("/etc/passwd")
        .map_err(|error| Failed::new(format!("cannot read /etc/passwd: {error}"), "run without --user"))?;
    find(&text, name).ok_or_else(|| {
        let mend = format!("make it with `useradd --system {name}`, or name another with --user");
        Failed::new(format!("there is no user {name} on this machine"), mend)
    })
}

/// Gives the data directory to an account and goes on as it. Called once every port is bound.
pub(crate) fn hand_over(dir: &Path, account: Account) -> Result<(), Failed> {
    let cannot = |error: io::Error| {
        Failed::new(
            format!("cannot give {} to the user of --user: {error}", dir.display()),
            "start it as root, or without --user",
        )
    };
    for entry in fs::read_dir(dir).map_err(cannot)? {
        lchown(
            entry.map_err(cannot)?.path(),
            Some(account.uid),
            Some(account.gid),
        )
        .map_err(cannot)?;
    }
    lchown(dir, Some(account.uid), Some(account.gid)).map_err(cannot)?;
    become_account(account).map_err(|error| {
        let mend = "start it as that user (systemd: User=, with AmbientCapabilities=CAP_NET_BIND_SERVICE for low ports)";
        Failed::new(format!("cannot go on as another user: {error}"), mend)
    })
}

/// The system calls are with the other unsafe code, in `strowger_net`.
fn become_account(_: Account) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "not carried by this build",
    ))
}

fn find(text: &str, name: &str) -> Option<Account> {
    let mut entries = text.lines().map(|line| line.split(':'));
    entries.find_map(|mut fields| {
        let found = fields.next()? == name;
        let account = Account {
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        };
        found.then_some(account)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let text = "root:x:0:0:root:/root:/bin/sh\n# broken\nsip:x:105:110::/var/lib/sip:/usr/sbin/nologin\n";
        assert_eq!(find(text, "sip"), Some(Account { uid: 105, gid: 110 }));
        assert_eq!(find(text, "si"), None);
        assert_eq!(find(text, ""), None);
    }
}
