//! What the command line says over the file.

use std::path::PathBuf;

use super::diagnostic::{Complaint, Diagnostic};
use super::listen::overlap;
use super::schema::{Feature, carried};
use super::value::{admin_listen, domain, listen_uri};
use super::{AuthMethods, Config, DEFAULT_METHODS, Listen};

/// The settings of the command line. Each one that is given replaces what the file says.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--listen URI`, any number.
    pub listen: Vec<String>,
    /// `--domain NAME`, any number.
    pub domain: Vec<String>,
    /// `--data-dir DIR`.
    pub data_dir: Option<PathBuf>,
    /// `--admin ADDR:PORT|off`.
    pub admin: Option<String>,
    /// `--auth on|off`.
    pub auth: Option<Switch>,
}

/// `on` or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

impl Config {
    /// Lays the command line over this configuration.
    ///
    /// # Errors
    /// Every flag that is wrong.
    pub fn overlay(&mut self, flags: &Flags) -> Result<(), Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        if !flags.listen.is_empty() {
            self.listen = listeners(&flags.listen, &mut wrong);
        }
        if !flags.domain.is_empty() {
            self.domains.clear();
            for name in &flags.domain {
                match domain(name) {
                    Ok(name) if self.domains.contains(&name) => {}
                    Ok(name) => self.domains.push(name),
                    Err(complaint) => wrong.push(complaint.at_flag("--domain")),
                }
            }
        }
        match &flags.data_dir {
            Some(path) if path.as_os_str().is_empty() => {
                wrong.push(
                    Complaint::new("the directory is empty", "write a directory").at_flag("--data-dir"),
                );
            }
            Some(path) => self.data_dir = path.clone(),
            None => {}
        }
        match flags.admin.as_deref().map(admin_listen) {
            Some(Ok(listen)) => self.admin.listen = listen,
            Some(Err(complaint)) => wrong.push(complaint.at_flag("--admin")),
            None => {}
        }
        self.switch_auth(flags.auth);
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// `on` keeps the methods of the file, if it has any.
    fn switch_auth(&mut self, switch: Option<Switch>) {
        let methods = match (switch, &self.auth.methods) {
            (None, _) => return,
            (Some(Switch::Off), _) => Vec::new(),
            (Some(Switch::On), AuthMethods::Explicit(methods)) if !methods.is_empty() => return,
            (Some(Switch::On), _) => DEFAULT_METHODS.map(str::to_owned).to_vec(),
        };
        self.auth.methods = AuthMethods::Explicit(methods);
    }
}

fn listeners(uris: &[String], wrong: &mut Vec<Diagnostic>) -> Vec<Listen> {
    let mut seen = Vec::new();
    for text in uris {
        let read = listen_uri(text).and_then(|uri| carried(Feature::Transport(uri.transport)).map(|()| uri));
        let read = read.and_then(|uri| overlap(&uri, &seen).map_or(Ok(uri), Err));
        match read {
            Ok(uri) => seen.push(uri),
            Err(complaint) => wrong.push(complaint.at_flag("--listen")),
        }
    }
    seen.into_iter().map(Listen::plain).collect()
}
