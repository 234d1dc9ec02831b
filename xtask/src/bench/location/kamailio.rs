//! Debian's Kamailio, doing what Strowger is measured at: REGISTER saved, INVITE answered with where the user is.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::server::Start;

/// Where Debian has the modules and the tables, by module.
const MODULES: &str = "/usr/lib/x86_64-linux-gnu/kamailio/modules";
const TABLES: &str = "/usr/share/kamailio/db_sqlite";

/// Where its registrations are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// In memory alone.
    Memory,
    /// In a file of SQLite, written before it answers.
    Sqlite(PathBuf),
}

/// What is missing to measure it with this store, if anything.
pub(super) fn missing(store: &Store) -> Option<&'static str> {
    if !crate::needs::on_path("kamailio") {
        return Some("kamailio is not installed: apt-get install kamailio");
    }
    if *store == Store::Memory {
        return None;
    }
    if !Path::new(MODULES).join("db_sqlite.so").exists() {
        return Some("its SQLite is not installed: apt-get install kamailio-sqlite-modules");
    }
    (!crate::needs::on_path("sqlite3")).then_some("sqlite3 is not installed: apt-get install sqlite3")
}

pub(super) fn start(folder: &Path, address: SocketAddr, store: &Store) -> io::Result<Start> {
    let config = folder.join("kamailio.cfg");
    fs::write(&config, configuration(address, store))?;
    let path = |name: &str| folder.join(name).display().to_string();
    let arguments = [
        "-DD",
        "-E",
        "-m",
        "4096",
        "-M",
        "256",
        "-w",
        &path(""),
        "-Y",
        &path(""),
    ];
    let arguments = arguments.iter().map(|&text| text.to_owned());
    Ok(Start {
        program: "kamailio".into(),
        arguments: arguments
            .chain([
                "-P".to_owned(),
                path("pid"),
                "-f".to_owned(),
                path("kamailio.cfg"),
            ])
            .collect(),
        log: folder.join("log"),
    })
}

fn configuration(address: SocketAddr, store: &Store) -> String {
    let (modules, database) = match store {
        Store::Memory => ("", "modparam(\"usrloc\", \"db_mode\", 0)\n".to_owned()),
        Store::Sqlite(file) => (
            "loadmodule \"db_sqlite.so\"\n",
            format!(
                "modparam(\"usrloc\", \"db_mode\", 1)\nmodparam(\"usrloc\", \"db_url\", \"sqlite:///{0}\")\n\
                 modparam(\"db_sqlite\", \"db_set_journal_mode\", \"{0}=WAL\")\n",
                file.display()
            ),
        ),
    };
    format!(
        r#"debug=-1
log_stderror=yes
fork=yes
children=2
auto_aliases=no
dns=no
rev_dns=no
disable_tcp=yes
listen=udp:{address}
loadmodule "corex.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "siputils.so"
loadmodule "textops.so"
{modules}modparam("usrloc", "hash_size", 16)
modparam("usrloc", "timer_interval", 60)
{database}modparam("registrar", "max_expires", 7200)
request_route {{
	if (is_method("REGISTER")) {{
		save("location");
		exit;
	}}
	if (is_method("ACK")) exit;
	if (!lookup("location")) {{
		sl_send_reply("404", "Not Found");
		exit;
	}}
	append_branch();
	sl_send_reply("302", "Moved Temporarily");
	exit;
}}
"#
    )
}

/// Makes the file with so many users, as they would be there if they had registered.
pub(super) fn fill(file: &Path, users: u64, domain: &str) -> io::Result<bool> {
    let tables = ["standard-create.sql", "usrloc-create.sql"];
    let mut sql = String::from("PRAGMA journal_mode=WAL;\nBEGIN;\n");
    for table in tables {
        sql.push_str(&fs::read_to_string(Path::new(TABLES).join(table))?);
    }
    // Its times are days since noon in Greenwich, 4714 BC.
    sql.push_str(&format!(
        "INSERT INTO location (ruid, username, contact, expires, q, callid, cseq, last_modified, user_agent, socket, methods)
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {users})
         SELECT printf('uloc-1-%x', i), printf('u%07d', i), printf('sip:u%07d@127.0.0.1:6000', i),
            julianday('now', '+1 hour'), -1.0, printf('7f3a-%08d@192.168.100.1', i), 1, julianday('now'), 'phone/1.2',
            'udp:{domain}', 8191 FROM n;\nCOMMIT;\n"
    ));
    let script = file.with_extension("sql");
    fs::write(&script, sql)?;
    let input = fs::File::open(script)?;
    let filled = Command::new("sqlite3")
        .arg(file)
        .stdin(input)
        .stdout(Stdio::null())
        .status()?;
    Ok(filled.success())
}
