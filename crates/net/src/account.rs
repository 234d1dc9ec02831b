//! Going on as another user, for good.
#![expect(unsafe_code, reason = "getgrouplist, setgroups, setgid, setuid, fork")]

use std::ffi::CString;
use std::io;

use libc::{c_int, gid_t, uid_t};

/// More groups than this are not taken on; the kernel's own limit (NGROUPS_MAX).
const GROUPS_MAX: usize = 65_536;

/// True when this process acts as root.
pub fn is_root() -> bool {
    // SAFETY: it only reads a number.
    unsafe { libc::geteuid() == 0 }
}

/// Makes the whole process, all its threads, go on as the user `name` with these ids and the groups that the system
/// lists for the name, and makes sure that there is no way back. Nothing is done when it is that user already.
///
/// # Errors
/// `InvalidInput` when the user is root or the name has a null byte; else what the kernel refused. After a refusal the
/// process may have lost some of its rights: end it, and use [`rehearse_account`] beforehand.
pub fn become_account(uid: u32, gid: u32, name: &str) -> io::Result<()> {
    match groups_to_take(uid, gid, name)? {
        Some(groups) => switch(uid, gid, &groups),
        None => Ok(()),
    }
}

/// Whether [`become_account`] would succeed, found out by doing it in a child process.
///
/// # Errors
/// What [`become_account`] would return, or what was refused to make the child process.
pub fn rehearse_account(uid: u32, gid: u32, name: &str) -> io::Result<()> {
    let Some(groups) = groups_to_take(uid, gid, name)? else {
        return Ok(());
    };
    // SAFETY: the child makes system calls only, allocates nothing, and ends without unwinding.
    match unsafe { libc::fork() } {
        ..0 => Err(io::Error::last_os_error()),
        0 => {
            let status = match switch(uid, gid, &groups) {
                Ok(()) => 0,
                Err(error) => error.raw_os_error().unwrap_or(libc::EPERM),
            };
            // SAFETY: it does not return.
            unsafe { libc::_exit(status) }
        }
        child => outcome_of(child),
    }
}

/// The groups to go on with; `None` when the process is that user already.
fn groups_to_take(uid: uid_t, gid: gid_t, name: &str) -> io::Result<Option<Vec<gid_t>>> {
    if uid == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "that user is root"));
    }
    if is_account(uid, gid) {
        return Ok(None);
    }
    groups_of(name, gid).map(Some)
}

fn is_account(uid: uid_t, gid: gid_t) -> bool {
    // SAFETY: they only read numbers.
    unsafe { libc::getuid() == uid && libc::geteuid() == uid && libc::getegid() == gid }
}

/// The groups that the system lists for a user, `gid` among them.
fn groups_of(name: &str, gid: gid_t) -> io::Result<Vec<gid_t>> {
    let name = CString::new(name)?;
    let mut groups: Vec<gid_t> = vec![0; 64];
    loop {
        let mut count = groups.len() as c_int;
        // SAFETY: the name is terminated, the list is valid for writes of as many ids as `count` says.
        let result = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        let count = usize::try_from(count).unwrap_or(0);
        if result >= 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        if groups.len() >= GROUPS_MAX {
            return Err(io::Error::other("the user is in too many groups"));
        }
        groups.resize(count.max(2 * groups.len()).min(GROUPS_MAX), 0);
    }
}

/// Groups first: without root's rights they could not be changed any more. It allocates nothing.
fn switch(uid: uid_t, gid: gid_t, groups: &[gid_t]) -> io::Result<()> {
    // SAFETY: the list is valid for reads of as many ids as are named.
    done(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
    // SAFETY: numbers only.
    done(unsafe { libc::setgid(gid) })?;
    // SAFETY: numbers only.
    done(unsafe { libc::setuid(uid) })?;
    // SAFETY: numbers only.
    let is_back = unsafe { libc::setuid(0) == 0 || libc::seteuid(0) == 0 };
    // The error of a system call, because an error with words would be allocated.
    if is_back || !is_account(uid, gid) {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    Ok(())
}

/// What a child of [`rehearse_account`] found out.
fn outcome_of(child: libc::pid_t) -> io::Result<()> {
    let mut status: c_int = 0;
    // SAFETY: `status` is valid for the write of one integer.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
        (true, 0) => Ok(()),
        (true, errno) => Err(io::Error::from_raw_os_error(errno)),
        (false, _) => Err(io::Error::other("the child process was killed")),
    }
}

fn done(result: c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
