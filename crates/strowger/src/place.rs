//! Finds the server that a command means: by its data directory, where a running server holds the lock and leaves the
//! address of its administration (`admin.addr`) and the token (`admin.token`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use strowger_server::admin::Secret;
use strowger_server::config::{Config, Flags, data_dir_in};
use strowger_server::data_dir::{DataDirError, holder, read_admin_token};

use crate::args::Place;
use crate::client::Client;
use crate::failed::Failed;
use crate::load::{load, read};

const ADMIN_ADDR: &str = "admin.addr";

/// How long to wait for a short-lived holder of the lock, such as another `strowger user`.
const PATIENCE: Duration = Duration::from_secs(3);

impl Place {
    /// The configuration that the server of this place runs with, as far as commands care.
    pub(crate) fn config(&self) -> Result<Config, Failed> {
        let flags = Flags {
            data_dir: self.data_dir.clone(),
            ..Flags::default()
        };
        load(self.config.as_deref(), &flags)
    }

    /// The data directory of the server of this place. Whatever else is wrong with the file is for that server to say: it has read
    /// the file when that was right.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, Failed> {
        match (self.config(), &self.data_dir, &self.config) {
            (Ok(config), ..) => Ok(config.data_dir),
            (Err(Failed::Config(wrong)), None, Some(file)) => match data_dir_in(&read(file)?) {
                Some(dir) => Ok(dir),
                None => Err(Failed::Config(wrong)),
            },
            (Err(Failed::Config(_)), Some(dir), Some(_)) if !dir.as_os_str().is_empty() => Ok(dir.clone()),
            (Err(failed), ..) => Err(failed),
        }
    }
}

/// A running server's administration.
#[derive(Debug)]
pub(crate) enum Found {
    /// It answers here.
    Server(Client),
    /// Nobody holds the data directory.
    Nobody,
}

/// Looks for a server on a data directory.
pub(crate) fn find(dir: &Path) -> Result<Found, Failed> {
    let begun = Instant::now();
    loop {
        let Some(pid) = holder(dir).map_err(told)? else {
            return Ok(Found::Nobody);
        };
        if let Some(address) = read_address(dir, pid) {
            let token = read_admin_token(dir).map_err(told)?;
            return Ok(Found::Server(Client::new(address, Secret::new(token))));
        }
        if begun.elapsed() > PATIENCE {
            let who = pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
            let what = format!("{who} holds {} and has no administration", dir.display());
            return Err(Failed::new(
                what,
                "stop it, or start the server without `--admin off`",
            ));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The server whose administration is at this address. Its token is in the environment or in its data directory.
pub(crate) fn administration(address: &str, dir: &Path) -> Result<Client, Failed> {
    let Ok(address) = address
        .strip_prefix("http://")
        .unwrap_or(address)
        .trim_end_matches('/')
        .parse()
    else {
        return Err(Failed::new(
            format!("`{address}` is not an address"),
            "write it as 127.0.0.1:8080",
        ));
    };
    let token = match std::env::var("STROWGER_TOKEN") {
        Ok(token) => token.trim().to_owned(),
        Err(_) => read_admin_token(dir).map_err(told)?,
    };
    if token.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(Failed::new(
            "STROWGER_TOKEN is not a token",
            "copy it from admin.token in the data directory",
        ));
    }
    Ok(Client::new(address, Secret::new(token)))
}

/// The address in `admin.addr`, if the holder of the lock wrote it.
fn read_address(dir: &Path, pid: Option<u32>) -> Option<SocketAddr> {
    let text = fs::read_to_string(dir.join(ADMIN_ADDR)).ok()?;
    let (address, writer) = text.trim().split_once(' ')?;
    let same = pid.is_none_or(|pid| writer.parse() == Ok(pid));
    same.then(|| address.parse().ok())?
}

/// The file in which a running server leaves the address of its administration; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct AddressFile(PathBuf);

impl AddressFile {
    pub(crate) fn write(dir: &Path, address: SocketAddr) -> io::Result<Self> {
        let path = dir.join(ADMIN_ADDR);
        let fresh = dir.join("admin.addr.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        writeln!(file, "{address} {}", std::process::id())?;
        fs::rename(&fresh, &path)?;
        Ok(Self(path))
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The data directory's own messages carry their mend.
pub(crate) fn told(error: DataDirError) -> Failed {
    Failed::new(error, "")
}
