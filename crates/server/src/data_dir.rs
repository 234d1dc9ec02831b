//! The data directory: everything that outlives the process. It belongs to one process at a time, which holds `lock`
//! locked and has written its process id there.
//!
//! ```text
//! lock             held while the directory is in use; contains the process id
//! secret           32 random bytes, from which every key is derived by label; the nodes of a cluster share it
//! admin.token      what a client of the admin interface proves itself by
//! location.db      bindings          subscribers.db    users
//! ```
//!
//! The directory is 0700 and its files are 0600. `secret` and `admin.token` are made once, complete or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf, absolute};
use std::{error, fmt};

const LOCK: &str = "lock";
const SECRET: &str = "secret";
const ADMIN_TOKEN: &str = "admin.token";

/// The bytes of the secret.
pub const SECRET_LEN: usize = 32;

/// The random bytes of an admin token; the token is their hexadecimal form.
const TOKEN_LEN: usize = 32;

/// A data directory that this process holds. It is free again when this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    boot_id: u32,
    warnings: Vec<Warning>,
    _lock: File,
}

/// The secret of the node or of its cluster. Never printed.
#[derive(Clone)]
pub struct Secret([u8; SECRET_LEN]);

impl Secret {
    /// The bytes, to derive keys from.
    pub fn bytes(&self) -> &[u8; SECRET_LEN] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl DataDir {
    /// Opens the directory, making it (0700, with the directories above it) if it is not there, and locks it.
    ///
    /// # Errors
    /// [`DataDirError`]: it can't be made or read, or another process holds it.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::of(path, source)
        };
        make(path).map_err(at(path))?;
        let path = path.canonicalize().map_err(at(path))?;
        let lock = lock(&path)?;
        let mut boot_id = [0; 4];
        fill(&mut boot_id)?;
        let warnings = open_to_others(&path);
        Ok(Self {
            path,
            boot_id: u32::from_ne_bytes(boot_id),
            warnings,
            _lock: lock,
        })
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A random number that tells this start of the server from the others.
    pub fn boot_id(&self) -> u32 {
        self.boot_id
    }

    /// What deserves a word in the log.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The secret, made at the first call ever.
    ///
    /// # Errors
    /// [`DataDirError`]: it can't be read or made, or has not [`SECRET_LEN`] bytes.
    pub fn secret(&self) -> Result<Secret, DataDirError> {
        if let Some(secret) = peek_secret(&self.path)? {
            return Ok(Secret(secret));
        }
        let mut fresh = [0; SECRET_LEN];
        fill(&mut fresh)?;
        create(&self.file(SECRET), &fresh)?;
        Ok(Secret(fresh))
    }

    /// The admin token, made at the first call ever.
    ///
    /// # Errors
    /// [`DataDirError`]: it can't be read or made, or is not a token.
    pub fn admin_token(&self) -> Result<String, DataDirError> {
        match read_admin_token(&self.path) {
            Err(DataDirError::NoToken { path }) => {
                let mut bytes = [0; TOKEN_LEN];
                fill(&mut bytes)?;
                let mut token = String::with_capacity(2 * TOKEN_LEN);
                bytes
                    .iter()
                    .for_each(|byte| token.push_str(&format!("{byte:02x}")));
                create(&path, format!("{token}\n").as_bytes())?;
                Ok(token)
            }
            read => read,
        }
    }

    /// A random key for a table of this process; it is gone with the process.
    ///
    /// # Errors
    /// [`DataDirError::Random`].
    pub fn table_key(&self) -> Result<[u8; 16], DataDirError> {
        let mut key = [0; 16];
        fill(&mut key)?;
        Ok(key)
    }
}

/// Reads the admin token of a directory that another process may hold, as `strowger ctl --data-dir` does.
///
/// # Errors
/// [`DataDirError::NoToken`] where no server has been started yet, [`DataDirError::BadToken`], [`DataDirError::Io`].
pub fn read_admin_token(dir: &Path) -> Result<String, DataDirError> {
    let path = dir.join(ADMIN_TOKEN);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(DataDirError::NoToken { path }),
        Err(source) => return Err(DataDirError::Io { path, source }),
    };
    let token = String::from_utf8_lossy(text.trim_ascii()).into_owned();
    if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(DataDirError::BadToken { path });
    }
    Ok(token)
}

/// The secret of a directory that another process may hold; `None` if there is none yet.
///
/// # Errors
/// [`DataDirError::Io`], [`DataDirError::BadSecret`].
pub fn peek_secret(dir: &Path) -> Result<Option<[u8; SECRET_LEN]>, DataDirError> {
    let path = dir.join(SECRET);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DataDirError::Io { path, source }),
    };
    match bytes.as_slice().try_into() {
        Ok(secret) => Ok(Some(secret)),
        Err(_) => Err(DataDirError::BadSecret {
            path,
            len: bytes.len(),
        }),
    }
}

/// The process that holds a directory, if any: `Some(None)` when it holds it but can't be told.
///
/// # Errors
/// [`DataDirError::Io`].
pub fn holder(dir: &Path) -> Result<Option<Option<u32>>, DataDirError> {
    let path = dir.join(LOCK);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DataDirError::of(path, source)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(read_pid(&mut file))),
        Err(TryLockError::Error(source)) => Err(DataDirError::Io { path, source }),
    }
}

/// What deserves a word about a directory that another process may hold, or that is not there yet. Nothing is changed.
///
/// # Errors
/// [`DataDirError`]: it can't be read, or what is in it can't.
pub fn look_at(dir: &Path) -> Result<Vec<Warning>, DataDirError> {
    if !is_there(dir) {
        return Ok(Vec::new());
    }
    peek_secret(dir)?;
    holder(dir)?;
    Ok(open_to_others(dir))
}

/// Whether there is a data directory at this path; another directory is none.
pub fn is_there(dir: &Path) -> bool {
    [LOCK, SECRET, crate::subscriber::FILE]
        .iter()
        .any(|file| dir.join(file).exists())
}

/// Makes a directory with those above it, so that all of them survive a loss of power.
fn make(dir: &Path) -> io::Result<()> {
    let missing: Vec<_> = dir
        .ancestors()
        .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
        .collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for above in missing.into_iter().filter_map(Path::parent) {
        let above = if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        };
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, DataDirError> {
    let path = dir.join(LOCK);
    let at = |source| DataDirError::Io {
        path: path.clone(),
        source,
    };
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut file = options.open(&path).map_err(at)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(DataDirError::InUse {
                dir: dir.to_owned(),
                pid: read_pid(&mut file),
            });
        }
        Err(TryLockError::Error(source)) => return Err(DataDirError::NoLocks { path, source }),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(at)?;
    Ok(file)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn fill(bytes: &mut [u8]) -> Result<(), DataDirError> {
    getrandom::fill(bytes).map_err(|source| DataDirError::Random {
        source: io::Error::other(source),
    })
}

/// Makes a file of 0600 that is complete or not there, and stays so through a loss of power.
fn create(path: &Path, content: &[u8]) -> Result<(), DataDirError> {
    let temporary = path.with_extension("new");
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(|source| DataDirError::Io {
        path: path.to_owned(),
        source,
    })
}

/// What is in the directory and can be read or written by others.
fn open_to_others(dir: &Path) -> Vec<Warning> {
    let files = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    std::iter::once(dir.to_owned())
        .chain(files)
        .filter_map(|path| {
            let mode = fs::symlink_metadata(&path).ok()?.permissions().mode();
            (mode & 0o170_000 != 0o120_000 && mode & 0o077 != 0).then_some(Warning::OpenToOthers {
                path,
                mode: mode & 0o777,
            })
        })
        .collect()
}

/// What is no error but should be mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Others than the owner have access.
    OpenToOthers {
        /// The directory or the file in it.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::OpenToOthers { path, mode } = self;
        let path = path.display();
        write!(
            f,
            "{path} has mode {mode:04o}: others on this machine have access; run `chmod go= {path}`"
        )
    }
}

/// Why a data directory can't be used.
#[derive(Debug)]
pub enum DataDirError {
    /// The directory or a file in it can't be made, read or written.
    Io {
        /// What it is about.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is a file where the directory, or one above it, ought to be.
    NoDirectory {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds it.
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The process, if it said so.
        pid: Option<u32>,
    },
    /// The file system knows no locks.
    NoLocks {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The secret has not [`SECRET_LEN`] bytes.
    BadSecret {
        /// The file.
        path: PathBuf,
        /// How many it has.
        len: usize,
    },
    /// There is no admin token yet.
    NoToken {
        /// The file.
        path: PathBuf,
    },
    /// What is in the file of the admin token is none.
    BadToken {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random numbers.
    Random {
        /// What the system says.
        source: io::Error,
    },
}

impl DataDirError {
    fn of(path: PathBuf, source: io::Error) -> Self {
        let is_file = |path: &&Path| path.exists() && !path.is_dir();
        let in_the_way = match source.kind() {
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => path.ancestors().find(is_file),
            _ => None,
        };
        match in_the_way {
            Some(file) => Self::NoDirectory {
                path: file.to_owned(),
            },
            None => Self::Io { path, source },
        }
    }
}

/// The folder or file whose permissions keep one from a path: the path itself, or what there is of it.
fn barred(path: &Path) -> &Path {
    let there = path.ancestors().find(|path| path.symlink_metadata().is_ok());
    there.unwrap_or(path)
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } if source.kind() == ErrorKind::PermissionDenied => {
                let path = absolute(path).unwrap_or_else(|_| path.clone());
                let (folder, path) = (barred(&path).display(), path.display());
                write!(
                    f,
                    "no permission for {path}: run as the owner of {folder}, or choose another directory with --data-dir"
                )
            }
            Self::Io { path, source } if source.kind() == ErrorKind::StorageFull => {
                write!(
                    f,
                    "the disk of {} is full: make room and start again",
                    path.display()
                )
            }
            Self::Io { path, source } if source.kind() == ErrorKind::ReadOnlyFilesystem => {
                let path = path.display();
                write!(
                    f,
                    "{path} is on a read-only file system: mount it for writing, or choose another directory with --data-dir"
                )
            }
            Self::Io { path, source } => {
                write!(
                    f,
                    "cannot use {}: {source}; choose another directory with --data-dir",
                    path.display()
                )
            }
            Self::NoDirectory { path } => {
                let path = path.display();
                write!(
                    f,
                    "{path} is not a directory: choose one for the data with --data-dir"
                )
            }
            Self::InUse { dir, pid } => {
                let dir = dir.display();
                match pid {
                    Some(pid) => write!(f, "another strowger (pid {pid}) uses {dir}")?,
                    None => write!(f, "another process uses {dir}")?,
                }
                f.write_str(": stop it, or choose another directory with --data-dir")
            }
            Self::NoLocks { path, source } => {
                let path = path.display();
                write!(
                    f,
                    "{path} can't be locked: {source}; put the data directory on a local disk with --data-dir"
                )
            }
            Self::BadSecret { path, len } => {
                let path = path.display();
                write!(f, "{path} has {len} bytes instead of {SECRET_LEN}: ")?;
                f.write_str(
                    "copy it again from another node or a backup; or remove it, and a new one is made",
                )
            }
            Self::NoToken { path } => {
                write!(
                    f,
                    "{} does not exist: start `strowger serve` with this data directory first",
                    path.display()
                )
            }
            Self::BadToken { path } => {
                write!(
                    f,
                    "{} holds no token: remove it and restart the server",
                    path.display()
                )
            }
            Self::Random { source } => write!(f, "the system gives no random numbers: {source}"),
        }
    }
}

impl error::Error for DataDirError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::NoLocks { source, .. } | Self::Random { source } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use strowger_testkit::Scratch;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("exists").permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_closed_to_others_and_stays_the_same() {
        let scratch = Scratch::new();
        let path = scratch.path().join("a/b");
        let (secret, token) = {
            let dir = DataDir::open(&path).expect("made");
            assert_eq!(dir.warnings(), []);
            (dir.secret().expect("made"), dir.admin_token().expect("made"))
        };
        assert_eq!(mode(&path), 0o700);
        for file in [LOCK, SECRET, ADMIN_TOKEN] {
            assert_eq!(mode(&path.join(file)), 0o600, "{file}");
        }
        let dir = DataDir::open(&path).expect("free again");
        assert!(dir.path().is_absolute());
        assert_eq!(dir.secret().expect("there").bytes(), secret.bytes());
        assert_eq!(dir.admin_token().expect("there"), token);
        assert_eq!(read_admin_token(&path).expect("there"), token);
        assert_eq!(token.len(), 2 * TOKEN_LEN);
    }

    #[test]
    fn a_directory_in_use_is_refused_with_the_process_that_uses_it() {
        let scratch = Scratch::new();
        let dir = DataDir::open(scratch.path()).expect("free");
        let error = DataDir::open(scratch.path()).expect_err("in use");
        let pid = std::process::id();
        assert!(
            matches!(error, DataDirError::InUse { pid: Some(found), .. } if found == pid),
            "{error}"
        );
        assert!(error.to_string().contains(&format!("(pid {pid})")));
        assert_eq!(holder(scratch.path()).expect("readable"), Some(Some(pid)));
        drop(dir);
        assert_eq!(holder(scratch.path()).expect("readable"), None);
    }

    #[test]
    fn a_directory_is_known_by_what_is_in_it() {
        let scratch = Scratch::new();
        assert!(!is_there(scratch.path()), "a directory of somebody else's");
        drop(DataDir::open(scratch.path()).expect("free"));
        assert!(is_there(scratch.path()));
    }

    #[test]
    fn a_file_is_no_directory_nor_has_it_any() {
        let scratch = Scratch::new();
        let file = scratch.path().join("f");
        fs::write(&file, "").expect("written");
        let told = format!("{} is not a directory: choose", file.display());
        for path in [file.clone(), file.join("a"), file.join("a/b")] {
            let error = DataDir::open(&path).expect_err("no directory");
            assert!(error.to_string().starts_with(&told), "{error}");
            let error = holder(&path).expect_err("no directory");
            assert!(error.to_string().starts_with(&told), "{error}");
        }
    }

    #[test]
    fn a_secret_of_the_wrong_length_is_refused_and_kept() {
        let scratch = Scratch::new();
        let dir = DataDir::open(scratch.path()).expect("free");
        fs::write(dir.file(SECRET), b"too short").expect("written");
        assert!(matches!(
            dir.secret(),
            Err(DataDirError::BadSecret { len: 9, .. })
        ));
        assert_eq!(fs::read(dir.file(SECRET)).expect("there"), b"too short");
    }

    #[test]
    fn what_others_can_read_is_warned_about() {
        let scratch = Scratch::new();
        DataDir::open(scratch.path())
            .and_then(|dir| dir.secret())
            .expect("made");
        let secret = scratch.path().join(SECRET);
        fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).expect("changed");
        let dir = DataDir::open(scratch.path()).expect("free");
        assert_eq!(
            dir.warnings(),
            [Warning::OpenToOthers {
                path: dir.file(SECRET),
                mode: 0o644
            }]
        );
    }

    #[test]
    fn a_token_that_was_never_made_says_what_to_do() {
        let scratch = Scratch::new();
        let error = read_admin_token(scratch.path()).expect_err("none");
        assert!(matches!(error, DataDirError::NoToken { .. }));
        assert!(error.to_string().contains("strowger serve"));
    }
}
