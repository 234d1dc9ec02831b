//! `cargo xtask bench --location`: very many registrations in one server. What one takes of memory, how soon they are there
//! after a start, and how soon a user is found while others refresh theirs.

mod kamailio;
mod load;
mod server;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::load::{Phones, Seen};
use self::server::{Server, Start, folder, free_port};
use crate::report::cargo;

/// How many users register unless it is said.
pub(super) const USERS: u64 = 1_000_000;

/// How long all may take.
const TIME: Duration = Duration::from_secs(225);
/// How long registering everybody may take, and a start; then, how users are looked up.
const REGISTERING: Duration = Duration::from_secs(60);
const STARTING: Duration = Duration::from_secs(30);
const WINDOWS: usize = 5;
const WINDOW: Duration = Duration::from_secs(2);

/// Where the results stand that are told in the end.
struct Row {
    name: &'static str,
    contacts: u64,
    /// Bytes of memory for a contact.
    each: Option<f64>,
    /// From the start of the program to the answer to a look-up.
    start: Option<Duration>,
    seen: Option<Seen>,
}

/// Measures this server, and Kamailio where it is installed; true when this server could be measured.
pub(super) fn run(root: &Path, target: &Path, users: u64) -> bool {
    let build = cargo(root, &["build", "--release", "--package", "strowger"]).status();
    if !build.is_ok_and(|status| status.success()) {
        return false;
    }
    let bench = Bench {
        users,
        program: target.join("release/strowger"),
        place: target.join("bench-location"),
        deadline: Instant::now() + TIME,
    };
    println!(
        "{users} users register by UDP on loopback. A look-up is an INVITE to one of them, drawn at random, answered with 302;\n\
         250 a second, one at a time, while 2,000 registrations a second are refreshed. Memory is PSS of all processes,\n\
         and p50 and p99 are the medians of those of {WINDOWS} windows of {} s.",
        WINDOW.as_secs()
    );
    let ours = bench.ours();
    let theirs = ours.is_ok().then(|| bench.theirs());
    // What is left there is as large as what was measured.
    let _ = fs::remove_dir_all(&bench.place);
    let rows = match (ours, theirs) {
        (Ok(mut rows), theirs) => {
            match theirs {
                Some(Ok(theirs)) => rows.extend(theirs),
                Some(Err(error)) => println!("Kamailio: {error}"),
                None => {}
            }
            rows
        }
        (Err(error), _) => {
            println!("cannot measure: {error}");
            return false;
        }
    };
    print!("\n{}", table(&rows));
    true
}

struct Bench {
    users: u64,
    program: PathBuf,
    place: PathBuf,
    deadline: Instant,
}

impl Bench {
    fn ours(&self) -> io::Result<Vec<Row>> {
        let address = free_port()?;
        let phones = Phones::new(address, self.users);
        let memory = folder(&self.place, "memory")?;
        let start = self.start(&memory, address, "memory", "process")?;
        let mut rows = vec![self.filled("Strowger, memory only", &start, &phones)?];
        let sqlite = folder(&self.place, "sqlite")?;
        let start = self.start(&sqlite, address, "sqlite", "process")?;
        let filled = self.filled("Strowger, survives kill -9", &start, &phones)?;
        let found = self.started(filled.name, &start, &phones)?;
        rows.push(Row {
            start: found.start,
            ..filled
        });
        let start = self.start(&sqlite, address, "sqlite", "power")?;
        rows.push(self.started("Strowger, survives loss of power", &start, &phones)?);
        Ok(rows)
    }

    fn theirs(&self) -> io::Result<Vec<Row>> {
        let mut rows = Vec::new();
        let address = free_port()?;
        match kamailio::missing(&kamailio::Store::Memory) {
            Some(missing) => println!("not beside Kamailio: {missing}"),
            None => {
                let phones = Phones::new(address, self.users);
                let folder = folder(&self.place, "kamailio")?;
                let start = kamailio::start(&folder, address, &kamailio::Store::Memory)?;
                rows.push(self.filled("Kamailio, memory only", &start, &phones)?);
            }
        }
        let folder = folder(&self.place, "kamailio-sqlite")?;
        let file = folder.join("kamailio.sqlite");
        let store = kamailio::Store::Sqlite(file.clone());
        match kamailio::missing(&store) {
            Some(missing) => println!("not beside Kamailio with SQLite: {missing}"),
            None => {
                self.say("Kamailio, SQLite", "its table is filled");
                if kamailio::fill(&file, self.users, &address.to_string())? {
                    let start = kamailio::start(&folder, address, &store)?;
                    let phones = Phones::new(address, self.users);
                    rows.push(self.started("Kamailio, SQLite (db_mode 1)", &start, &phones)?);
                }
            }
        }
        Ok(rows)
    }

    /// Everybody registers with an empty server, then looks up.
    fn filled(&self, name: &'static str, start: &Start, phones: &Phones) -> io::Result<Row> {
        self.say(name, "everybody registers");
        let server = start.run()?;
        if !phones.wait_until_up(false, self.at_most(STARTING))? {
            return Err(io::Error::other("it does not answer"));
        }
        let empty = server.memory();
        let begun = Instant::now();
        let contacts = phones.register_all(self.at_most(REGISTERING))?;
        if contacts < self.users {
            println!("   {contacts} only, in {:.0} s", begun.elapsed().as_secs_f64());
        }
        let each = (server.memory() - empty) as f64 / contacts.max(1) as f64;
        let seen = self.look_up(name, phones, contacts)?;
        server.end()?;
        Ok(Row {
            name,
            contacts,
            each: Some(each),
            start: None,
            seen,
        })
    }

    /// A server starts that has everybody in its file, then looks up.
    fn started(&self, name: &'static str, start: &Start, phones: &Phones) -> io::Result<Row> {
        self.say(name, "starts with all of them");
        let begun = Instant::now();
        let server: Server = start.run()?;
        let is_there = phones.wait_until_up(true, self.at_most(STARTING))?;
        let took = is_there.then(|| begun.elapsed());
        let each = is_there.then(|| server.memory() as f64 / self.users as f64);
        let seen = if is_there {
            self.look_up(name, phones, self.users)?
        } else {
            println!("   it does not answer");
            None
        };
        server.end()?;
        Ok(Row {
            name,
            contacts: self.users,
            each,
            start: took,
            seen,
        })
    }

    fn look_up(&self, name: &str, phones: &Phones, contacts: u64) -> io::Result<Option<Seen>> {
        if contacts < self.users || Instant::now() + WINDOW * WINDOWS as u32 > self.deadline {
            return Ok(None);
        }
        self.say(name, "look-ups");
        phones.look_up(WINDOWS, WINDOW).map(Some)
    }

    fn say(&self, name: &str, what: &str) {
        let left = self.deadline.saturating_duration_since(Instant::now());
        println!("== {:>3} s  {name}: {what}", (TIME - left).as_secs());
    }

    fn at_most(&self, time: Duration) -> Instant {
        (Instant::now() + time).min(self.deadline)
    }

    fn start(&self, folder: &Path, address: SocketAddr, store: &str, durability: &str) -> io::Result<Start> {
        let config = folder.join("strowger.toml");
        let data = folder.join("data");
        fs::write(
            &config,
            format!(
                "domains = [\"{}\"]\ndata_dir = {:?}\nshards = 2\n[[listen]]\nuri = \"udp:{address}\"\n\
                 [admin]\nlisten = \"off\"\n[auth]\nmethods = []\n[location]\nstore = \"{store}\"\n\
                 durability = \"{durability}\"\n[proxy]\nmode = \"redirect\"\n[log]\nlevel = \"warn\"\n",
                address.ip(),
                data.display().to_string(),
            ),
        )?;
        Ok(Start {
            program: self.program.clone(),
            arguments: ["serve", "--config", &config.display().to_string()]
                .map(str::to_owned)
                .into(),
            log: folder.join("log"),
        })
    }
}

/// The results as a table.
fn table(rows: &[Row]) -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "| | contacts | bytes each | start, s | look-up p50, µs | p99, µs | refreshes/s | lost |\n|---|---|---|---|---|---|---|---|\n",
    );
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for row in rows {
        let each = or_none(row.each.map(|each| format!("{each:.0}")));
        let start = or_none(row.start.map(|start| format!("{:.2}", start.as_secs_f64())));
        let told = |seen: &Seen| {
            let lost = seen.unanswered + seen.wrong + seen.not_refreshed;
            let (half, most) = (seen.quantile(500), seen.quantile(990));
            format!("{half} | {most} | {} | {lost}", seen.refreshed)
        };
        let seen = row.seen.as_ref().map_or_else(|| "- | - | - | -".to_owned(), told);
        let _ = writeln!(
            text,
            "| {} | {} | {each} | {start} | {seen} |",
            row.name, row.contacts
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_left_out_of_the_table() {
        let row = |each, start, seen| Row {
            name: "a server",
            contacts: 10,
            each,
            start,
            seen,
        };
        let seen = Seen {
            windows: vec![vec![40; 100]],
            unanswered: 1,
            wrong: 2,
            refreshed: 2000,
            not_refreshed: 3,
        };
        let rows = [
            row(Some(180.4), Some(Duration::from_millis(1234)), Some(seen)),
            row(None, None, None),
        ];
        let text = table(&rows);
        let lines: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(lines[0], "| a server | 10 | 180 | 1.23 | 40 | 40 | 2000 | 6 |");
        assert_eq!(lines[1], "| a server | 10 | - | - | - | - | - | - |");
    }
}
