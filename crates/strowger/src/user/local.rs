//! Users in the store, while no server runs: the data directory is ours as long as this lives.

use strowger_server::admin::{AdminError, Filter, Import, NewUser, Page, PageRequest, Secret, User, UserId};
use strowger_server::config::Config;
use strowger_server::data_dir::DataDir;
use strowger_server::subscriber::Subscribers;

use crate::failed::Failed;
use crate::place::told;

pub(crate) struct Local {
    users: Subscribers,
    _dir: DataDir,
}

impl Local {
    pub(crate) fn open(config: &Config) -> Result<Self, Failed> {
        let dir = DataDir::open(&config.data_dir).map_err(told)?;
        let key = dir.table_key().map_err(told)?;
        let users = Subscribers::open(&dir, key, config.location.durability)
            .map_err(|error| Failed::new(error, ""))?;
        users.serve(&config.domains);
        Ok(Self { users, _dir: dir })
    }

    pub(crate) fn add(&self, user: NewUser) -> Result<User, Failed> {
        self.users.add(&user).map_err(failed)?;
        let NewUser {
            address,
            display_name,
            aliases,
            ..
        } = user;
        Ok(User {
            address,
            display_name,
            aliases,
            contacts: None,
        })
    }

    pub(crate) fn page(&self, filter: &str, request: &PageRequest) -> Result<Page<User>, Failed> {
        self.users
            .list(&Filter { q: filter.to_owned() }, request)
            .map_err(failed)
    }

    pub(crate) fn remove(&self, user: &UserId) -> Result<(), Failed> {
        self.users.remove(user).map_err(failed)
    }

    pub(crate) fn set_password(&self, user: &UserId, password: &Secret) -> Result<(), Failed> {
        self.users.set_password(user, password).map_err(failed)
    }

    pub(crate) fn import(&self, mut lines: &[u8]) -> Result<Import, Failed> {
        self.users
            .import_lines(&mut lines, &mut |_| {})
            .map_err(|error| Failed::new(error, ""))
    }
}

fn failed(error: impl Into<AdminError>) -> Failed {
    let error = error.into();
    Failed::new(&error, error.mend())
}
