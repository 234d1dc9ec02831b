//! Users while no server runs: in the store, and then the data directory is ours as long as this lives, or where somebody else
//! keeps them.

use strowger_server::admin::{AdminError, Filter, Import, NewUser, Page, PageRequest, Secret, User, UserId};
use strowger_server::config::{Config, UserSource};
use strowger_server::data_dir::DataDir;
use strowger_server::subscriber::{Subscribers, read_file};

use crate::failed::Failed;
use crate::place::told;

pub(crate) struct Local {
    users: Subscribers,
    _dir: Option<DataDir>,
}

impl Local {
    pub(crate) fn open(config: &Config) -> Result<Self, Failed> {
        let auth = &config.auth;
        let elsewhere = match &auth.users {
            UserSource::Kept => return Self::open_store(config),
            UserSource::File(path) => {
                let contents = read_file(path, &auth.algorithms).map_err(Failed::Config)?;
                Subscribers::of_file(path, contents, &auth.algorithms, [0; 16])
            }
            UserSource::Server(url) => Subscribers::of_silent_server(url, &config.user_lookup, [0; 16]),
        };
        Ok(Self {
            users: elsewhere,
            _dir: None,
        })
    }

    fn open_store(config: &Config) -> Result<Self, Failed> {
        let dir = DataDir::open(&config.data_dir).map_err(told)?;
        let key = dir.table_key().map_err(told)?;
        let users = Subscribers::open(&dir, key, config.location.durability)
            .map_err(|error| Failed::new(error, ""))?;
        users.serve(&config.domains);
        Ok(Self {
            users,
            _dir: Some(dir),
        })
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
