//! `strowger user`: through a running server's administration, or on its store when none runs.

mod import;
mod local;
mod password;

use std::io::{BufRead, Write, stdout};
use std::path::Path;

use serde_json::json;
use strowger_server::admin::{
    IMPORT_BATCH, Import, Malformed, NewUser, Page, PageRequest, Secret, User, UserId,
};
use strowger_server::config::UserSource;
use strowger_server::data_dir::is_there;

use self::local::Local;
use crate::args::{self, UserCommand};
use crate::client::{Client, Content, escaped};
use crate::ctl::{Listing, no_match};
use crate::failed::Failed;
use crate::place::{Found, find};

pub(crate) fn user(args: args::User) -> Result<(), Failed> {
    let config = args.place.config()?;
    // A mistyped directory must not become an empty one.
    let may_make = matches!(args.command, UserCommand::Add { .. } | UserCommand::Import { .. });
    let open = || -> Result<Users, Failed> {
        Ok(match find(&config.data_dir)? {
            Found::Server(client) => Users::Server(client),
            Found::Nobody if config.auth.users != UserSource::Kept => {
                Users::Store(Box::new(Local::open(&config)?))
            }
            Found::Nobody if !may_make && !is_there(&config.data_dir) => {
                return Err(not_there(&config.data_dir));
            }
            Found::Nobody => Users::Store(Box::new(Local::open(&config)?)),
        })
    };
    match args.command {
        UserCommand::Add {
            address,
            password,
            alias,
            display_name,
            json,
        } => {
            let address = parsed(&address)?;
            let password = password::read(password.password, &address)?;
            let user = NewUser {
                address,
                password,
                display_name,
                aliases: alias,
            };
            user.check().map_err(malformed)?;
            let user = open()?.add(user)?;
            tell(json, "added", "added", &user.address)?;
        }
        UserCommand::List { filter, json } => list(&open()?, filter.as_deref().unwrap_or_default(), json)?,
        UserCommand::Remove { address, json } => {
            let address = parsed(&address)?;
            open()?.remove(&address)?;
            tell(json, "removed", "removed", &address)?;
        }
        UserCommand::Passwd {
            address,
            password,
            json,
        } => {
            let address = parsed(&address)?;
            let password = password::read(password.password, &address)?;
            password.check_password().map_err(malformed)?;
            open()?.set_password(&address, password)?;
            tell(json, "changed", "changed the password of", &address)?;
        }
        UserCommand::Import { file, json } => import::import(&file, json, open)?,
    }
    Ok(())
}

/// Says what was done to a user: a line, or one JSON object.
fn tell(json: bool, key: &str, done: &str, user: &UserId) -> Result<(), Failed> {
    if json {
        writeln!(stdout(), "{}", json!({ key: user.as_str() }))?;
    } else {
        writeln!(stdout(), "{done} {user}")?;
    }
    Ok(())
}

fn not_there(dir: &Path) -> Failed {
    let what = format!("there is no data directory at {}", dir.display());
    Failed::new(
        what,
        "name the right one with --data-dir; `strowger user add` and `strowger serve` make a new one",
    )
}

fn parsed(address: &str) -> Result<UserId, Failed> {
    address.parse().map_err(malformed)
}

fn malformed(wrong: Malformed) -> Failed {
    Failed::new(wrong.what, wrong.mend)
}

fn list(users: &Users, filter: &str, json: bool) -> Result<(), Failed> {
    let mut listing = Listing::new(json, ["user", "name", "aliases", "contacts"]);
    let mut request = PageRequest::first();
    loop {
        let page = users.page(filter, &request)?;
        listing.write(page.items, |user: User| {
            let contacts = user
                .contacts
                .map(|contacts| contacts.to_string())
                .unwrap_or_default();
            [
                user.address.to_string(),
                user.display_name.unwrap_or_default(),
                user.aliases.join(" "),
                contacts,
            ]
        })?;
        match page.next {
            Some(next) => request.after = next,
            None => break,
        }
    }
    let nothing = "there are no users; add one with `strowger user add alice@example.test`";
    listing.finish(|| {
        no_match("users", filter, nothing, || {
            Ok(users.page("", &PageRequest::first())?.total)
        })
    })
}

/// Where users are.
enum Users {
    /// With a running server.
    Server(Client),
    /// In the store, which is ours as long as this lives.
    Store(Box<Local>),
}

impl Users {
    fn add(&self, user: NewUser) -> Result<User, Failed> {
        match self {
            Self::Server(client) => {
                let body = serde_json::to_value(&user).map_err(std::io::Error::from)?;
                client.ask("POST", "/api/v1/users", &Content::Json(body))
            }
            Self::Store(store) => store.add(user),
        }
    }

    fn page(&self, filter: &str, request: &PageRequest) -> Result<Page<User>, Failed> {
        match self {
            Self::Server(client) => {
                let (filter, after) = (escaped(filter), escaped(&request.after));
                let path = format!("/api/v1/users?q={filter}&limit={}&after={after}", request.limit);
                client.ask("GET", &path, &Content::None)
            }
            Self::Store(store) => store.page(filter, request),
        }
    }

    fn remove(&self, user: &UserId) -> Result<(), Failed> {
        match self {
            Self::Server(client) => {
                let path = format!("/api/v1/users/{}", escaped(user.as_str()));
                client.request("DELETE", &path, &Content::None).map(drop)
            }
            Self::Store(store) => store.remove(user),
        }
    }

    fn set_password(&self, user: &UserId, password: Secret) -> Result<(), Failed> {
        match self {
            Self::Server(client) => {
                let path = format!("/api/v1/users/{}/password", escaped(user.as_str()));
                let body = Content::Json(json!({ "password": password }));
                client.request("PUT", &path, &body).map(drop)
            }
            Self::Store(store) => store.set_password(user, &password),
        }
    }

    /// Takes the users of all lines; the failures name lines from 1. `tell` is told how many lines are done with.
    fn import(&self, input: &mut dyn BufRead, tell: &mut dyn FnMut(u64)) -> Result<Import, Failed> {
        match self {
            Self::Server(client) => import_pieces(client, input, tell),
            Self::Store(store) => store.import(input, tell),
        }
    }
}

/// Sends lines to a server, so many at once that they are one commit there.
fn import_pieces(
    client: &Client,
    input: &mut dyn BufRead,
    tell: &mut dyn FnMut(u64),
) -> Result<Import, Failed> {
    let (mut total, mut lines, mut piece) = (Import::default(), 0, Vec::new());
    loop {
        piece.clear();
        let mut count = 0;
        while count < IMPORT_BATCH && input.read_until(b'\n', &mut piece)? > 0 {
            count += 1;
        }
        if count == 0 {
            return Ok(total);
        }
        let content = Content::Lines(&piece);
        let mut done: Import = client.ask("POST", "/api/v1/users/import", &content)?;
        done.failed.iter_mut().for_each(|failed| failed.line += lines);
        total.add(done);
        lines += count as u64;
        tell(lines);
    }
}
