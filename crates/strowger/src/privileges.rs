//! Who the server runs as.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

pub(crate) use strowger_net::is_root;
use strowger_net::{become_account, rehearse_account};

use crate::failed::Failed;

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
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

/// Gives the data directory to an account and goes on as it. Called once every port is bound. Nothing is given unless
/// the account can be taken on.
pub(crate) fn hand_over(dir: &Path, account: &Account) -> Result<(), Failed> {
    let Account { name, uid, gid } = account;
    rehearse_account(*uid, *gid, name).map_err(|error| cannot_become(account, &error))?;
    give(dir, account).map_err(|error| {
        Failed::new(
            format!("cannot give {} to the user {name}: {error}", dir.display()),
            "start it as root, or without --user",
        )
    })?;
    become_account(*uid, *gid, name).map_err(|error| cannot_become(account, &error))
}

/// Gives a directory with what is in it.
fn give(dir: &Path, account: &Account) -> io::Result<()> {
    let give_one = |path: &Path| lchown(path, Some(account.uid), Some(account.gid));
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        // A file with a second name may be one that the account put here to be given somebody else's.
        if metadata.is_dir() || metadata.nlink() == 1 {
            give_one(&entry.path())?;
        }
    }
    give_one(dir)
}

fn cannot_become(account: &Account, error: &io::Error) -> Failed {
    let mend =
        "start it as that user (systemd: User=, with AmbientCapabilities=CAP_NET_BIND_SERVICE for low ports)";
    Failed::new(
        format!("cannot go on as the user {}: {error}", account.name),
        mend,
    )
}

fn find(text: &str, name: &str) -> Option<Account> {
    let mut entries = text.lines().map(|line| line.split(':'));
    entries.find_map(|mut fields| {
        let found = fields.next()? == name;
        let account = Account {
            name: name.to_owned(),
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
        let sip = Account {
            name: "sip".to_owned(),
            uid: 105,
            gid: 110,
        };
        assert_eq!(find(text, "sip"), Some(sip));
        assert_eq!(find(text, "si"), None);
        assert_eq!(find(text, ""), None);
    }
}
