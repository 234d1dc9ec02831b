//! The command line, and the help that teaches it.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use strowger_server::config::{Flags, Switch};

const EXAMPLES: &str = "\
First call, on this machine, without any configuration:
  strowger serve
  (register two phones as sip:anyone@127.0.0.1 and let one call the other)

For an office:
  strowger user add alice@example.test
  strowger serve --domain example.test --listen udp:0.0.0.0:5060 --listen tcp:0.0.0.0:5060

Exit codes: 0 done; 1 it could not be done, or the configuration has errors; 2 wrong usage; 3 no server answers.";

/// Strowger, the SIP telephone system.
///
/// One program that registers phones, connects calls between them and keeps the list of users.
#[derive(Debug, Parser)]
#[command(name = "strowger", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Serve),
    User(User),
    Ctl(Ctl),
    Explain(Explain),
    Doctor(Doctor),
    Check(Check),
}

/// Run the server.
///
/// With no options at all it serves phones on this machine without passwords: udp and tcp on port 5060 of 127.0.0.1
/// and ::1, administration on 127.0.0.1:8080, data in ./strowger-data. As soon as one listener can be reached from
/// outside, phones need a password (`strowger user add`), unless --auth says otherwise.
///
/// When every listener is bound it prints one line on standard output:
///
///   strowger ready: udp:127.0.0.1:5060 ... admin=http://127.0.0.1:8080
///
/// Logs go to standard error; STROWGER_LOG in the environment (`warn`, or `info,strowger_server=debug`) goes before the
/// configured level. SIGHUP reads the configuration file again (see `strowger ctl reload`). SIGTERM and SIGINT let calls that are being set up end (see `drain` in the configuration), a
/// second signal ends at once.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  strowger serve
  strowger serve --domain example.test --listen udp:0.0.0.0:5060 --listen tcp:0.0.0.0:5060
  strowger serve --config strowger.toml
  strowger serve --listen udp:127.0.0.1:0 --admin off --data-dir try

`strowger check --print-default` writes a configuration file with every setting explained.

Exit codes: 0 it ran and has ended; 1 it could not start or go on, or the configuration has errors; 2 wrong usage.")]
pub(crate) struct Serve {
    /// Read settings from this TOML file; the options below go before what it says.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Listen here: udp:HOST:PORT or tcp:HOST:PORT, IPv6 in brackets, port 0 picks one. Repeatable.
    #[arg(long, value_name = "URI")]
    pub(crate) listen: Vec<String>,
    /// A domain this server is responsible for. Repeatable.
    #[arg(long, value_name = "NAME")]
    pub(crate) domain: Vec<String>,
    /// Where users, registrations and keys are kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where administration listens (loopback only), or "off".
    #[arg(long, value_name = "ADDR:PORT|off")]
    pub(crate) admin: Option<String>,
    /// Ask phones for passwords, or not.
    #[arg(long, value_enum, value_name = "on|off", hide_possible_values = true)]
    pub(crate) auth: Option<OnOff>,
    /// Once every port is bound, go on as this user instead of root.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum OnOff {
    On,
    Off,
}

impl Serve {
    pub(crate) fn flags(&self) -> Flags {
        Flags {
            listen: self.listen.clone(),
            domain: self.domain.clone(),
            data_dir: self.data_dir.clone(),
            admin: self.admin.clone(),
            auth: self.auth.map(|auth| match auth {
                OnOff::On => Switch::On,
                OnOff::Off => Switch::Off,
            }),
        }
    }

    /// True when nothing at all is configured, so that the first lines teach.
    pub(crate) fn is_bare(&self) -> bool {
        self.config.is_none() && self.listen.is_empty() && self.domain.is_empty() && self.auth.is_none()
    }
}

/// Check a configuration and tell every error in it.
///
/// Each error is one line: file:line:column, what is wrong, how to mend it. The exit code is 0 when there is none,
/// else 1.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  strowger check --config strowger.toml
  strowger check --print-default > strowger.toml      a file to begin with, every setting explained")]
pub(crate) struct Check {
    /// The file to check; without it, the defaults.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Tell the errors as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a complete configuration file with the defaults and what each setting does.
    #[arg(long, conflicts_with_all = ["config", "json"])]
    pub(crate) print_default: bool,
}

/// Which server or data directory is meant.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Place {
    /// The server's data directory.
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// The server's configuration file, to know its data directory.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
}

/// Add, list, remove and change users.
///
/// A user is an address such as alice@example.test and a password. Works beside a running server (through its
/// administration) and without one. Passwords are not kept, only the hashes that digest authentication needs.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  strowger user add alice@example.test                       asks for the password
  strowger user add bob@example.test --alias 1002 --display-name \"Bob Baker\"
  echo s3cret | strowger user add carol@example.test         reads it from standard input
  strowger user import users.csv                             lines of user@domain,password
  strowger user list")]
pub(crate) struct User {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: UserCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user.
    Add {
        /// The address: user@domain.
        #[arg(value_name = "USER@DOMAIN")]
        address: String,
        #[command(flatten)]
        password: Password,
        /// Another name or extension by which the user is reached, such as 1001. Repeatable.
        #[arg(long, visible_alias = "extension", value_name = "NAME")]
        alias: Vec<String>,
        /// The name that phones show.
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
        /// Tell what came of it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List users.
    List {
        /// Only those whose address, name or alias contains this.
        #[arg(value_name = "TEXT")]
        filter: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a user, and its registrations if the server runs; else those end when they expire.
    Remove {
        /// The address: user@domain.
        #[arg(value_name = "USER@DOMAIN")]
        address: String,
        /// Tell what came of it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change a user's password.
    Passwd {
        /// The address: user@domain.
        #[arg(value_name = "USER@DOMAIN")]
        address: String,
        #[command(flatten)]
        password: Password,
        /// Tell what came of it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Add many users, or change the passwords of those that exist, from lines of user@domain,password.
    Import {
        /// The file, or - for standard input.
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
        /// Tell what came of it as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, ClapArgs)]
pub(crate) struct Password {
    /// The password. Others on this machine can see it while the command runs; better leave it out: it is asked for, or
    /// read from standard input.
    #[arg(long, value_name = "PW")]
    pub(crate) password: Option<String>,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// Ask a running server, and tell it what to do.
///
/// The server is found by its data directory, where it leaves its administration's address and a token.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  strowger ctl status
  strowger ctl registrations alice --json
  strowger ctl unban 192.0.2.7 alice@example.test
  strowger ctl reload --rollback-after 60s      and, if all is well: strowger ctl reload --confirm
  strowger ctl drain --data-dir /var/lib/strowger
  STROWGER_TOKEN=... strowger ctl calls --admin 127.0.0.1:8080")]
pub(crate) struct Ctl {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The server's administration address. The token comes from STROWGER_TOKEN or the data directory.
    #[arg(long, value_name = "ADDR:PORT", global = true)]
    pub(crate) admin: Option<String>,
    /// Answer as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: CtlCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CtlCommand {
    /// How the server is.
    Status,
    /// Who is registered, and where.
    Registrations {
        /// Only those that contain this.
        #[arg(value_name = "TEXT")]
        filter: Option<String>,
    },
    /// Remove the registrations of a user, or one of them, or have them end soon. The phone may register again at once.
    Deregister {
        /// The address: user@domain.
        #[arg(value_name = "USER@DOMAIN")]
        aor: String,
        /// Only this contact, as `registrations` shows it.
        #[arg(value_name = "CONTACT")]
        contact: Option<String>,
        /// Tell subscribers that the phone is not wanted again (`rejected`), instead of that it should register anew
        /// (`deactivated`). It is not kept from it: for that, change the password or remove the user.
        #[arg(long)]
        reject: bool,
        /// Tell subscribers that the phone should register anew after so many seconds (`probation`).
        #[arg(long, value_name = "SECONDS", conflicts_with = "reject")]
        retry_after: Option<u32>,
        /// Do not remove them, but have them end after so many seconds unless the phone registers again, as subscribers are told
        /// (`shortened`).
        #[arg(long, value_name = "SECONDS", conflicts_with_all = ["reject", "retry_after"])]
        after: Option<u32>,
    },
    /// Who subscribes to whose registrations.
    Subscriptions {
        /// Only those that contain this.
        #[arg(value_name = "TEXT")]
        filter: Option<String>,
    },
    /// Calls being set up or established.
    Calls {
        /// Only those that contain this.
        #[arg(value_name = "TEXT")]
        filter: Option<String>,
    },
    /// Who is banned for wrong passwords.
    Bans {
        /// Only those that contain this.
        #[arg(value_name = "TEXT")]
        filter: Option<String>,
    },
    /// Lift the bans of a source, or of one account there.
    Unban {
        /// The source, as `bans` shows it.
        #[arg(value_name = "ADDRESS")]
        source: String,
        /// Only this account.
        #[arg(value_name = "USER@DOMAIN")]
        account: Option<String>,
    },
    /// Put the configuration file as it is now into force, listeners included; no call is lost.
    ///
    /// The whole file is checked first: all of it applies, or nothing. Each error is one line as `strowger check` writes it,
    /// and the exit code 1. What cannot be changed while the server runs (data_dir, shards, location.store,
    /// location.durability, auth.users and [user_lookup]) is such an error. SIGHUP does the same. Options of `strowger serve` stay on top of the file.
    Reload(Reload),
    /// The targets of target groups, and how they are.
    Groups {
        /// Only those that contain this.
        #[arg(value_name = "TEXT")]
        filter: Option<String>,
    },
    /// The providers that the server registers itself with, and how that is.
    Trunks {
        /// Only those that contain this.
        #[arg(value_name = "TEXT")]
        filter: Option<String>,
    },
    /// What DNS has said of names, and next hops that are tried last because they have failed.
    #[command(args_conflicts_with_subcommands = true)]
    Dns {
        /// Only those that contain this.
        #[arg(value_name = "TEXT")]
        filter: Option<String>,
        #[command(subcommand)]
        what: Option<DnsCommand>,
    },
    /// Let a target of a group run empty, or use it again.
    Group {
        /// The group.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(subcommand)]
        what: GroupCommand,
    },
    /// Finish what was begun, then end.
    Drain,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DnsCommand {
    /// Forget it: names are asked for anew, hops tried in their order.
    Flush {
        /// Only this host name and the hops that it leads to, or the hops at this address.
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// It gets no more requests; what it has goes on.
    Drain {
        /// The target, as `ctl groups` shows it.
        #[arg(value_name = "URI")]
        target: String,
    },
    /// It gets requests again.
    Resume {
        /// The target, as `ctl groups` shows it.
        #[arg(value_name = "URI")]
        target: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Reload {
    /// Go back to the former configuration after this time (60s, 5m), unless it is confirmed.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["confirm", "rollback"])]
    pub(crate) rollback_after: Option<String>,
    /// Keep the configuration that would be rolled back.
    #[arg(long, conflicts_with = "rollback")]
    pub(crate) confirm: bool,
    /// Go back to the former configuration now.
    #[arg(long)]
    pub(crate) rollback: bool,
}

/// Explain what would become of a message, and why.
///
/// The message is played through by the code that serves, and nothing is sent or changed. Without --config it is
/// explained by the server that runs on the data directory, with its registrations, calls and bans; with --config, or
/// where none runs, by a server that would start with that configuration, and the registrations and users of the data
/// directory. What is not said of how the message comes is assumed, and told.
///
/// The file is a message as it would come; one whose lines all end with LF alone is taken as if they ended with CRLF.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  strowger explain invite.sip
  strowger explain --as alice invite.sip
  strowger explain --source 192.0.2.7:5060 --json invite.sip
  strowger explain --config new.toml --data-dir /var/lib/strowger --at +2h register.sip
  strowger explain --dns zone.txt - < options.sip      with lines such as: sip.example.test A 192.0.2.7

Exit codes: 0 explained; 1 it could not be done, or the configuration has errors; 2 wrong usage; 3 no server answers.")]
pub(crate) struct Explain {
    /// The message, or - for standard input.
    #[arg(value_name = "MESSAGE-FILE|-")]
    pub(crate) message: PathBuf,
    /// Explain by this configuration instead of a running server's.
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    pub(crate) config: Option<PathBuf>,
    /// The data directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The running server's administration address. The token comes from STROWGER_TOKEN or the data directory.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) admin: Option<String>,
    /// Where the message comes from; else what its top Via says.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) source: Option<String>,
    /// The listener that it comes to, such as udp:192.0.2.1:5060; else the first that fits.
    #[arg(long, value_name = "URI")]
    pub(crate) listener: Option<String>,
    /// Answer names from the records in this file instead of DNS.
    #[arg(long, value_name = "FILE")]
    pub(crate) dns: Option<PathBuf>,
    /// When it comes: Unix seconds, 2026-11-27T23:00:00Z, or from now as +10m.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
    /// Go on where credentials are asked for, as if this user had shown right ones. Those that the message has are left out.
    #[arg(long = "as", value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Explain as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Say which address each peer will see, and what is wrong.
///
/// For each listener: what phones on this machine, in its networks and everywhere else are told of it. Then everything that keeps
/// calls from working, the worst first, each with what it means for calls and how to mend it: addresses that mean nothing outside,
/// DNS that leads elsewhere, ports that another program holds, limits of the machine, a SIP helper in the kernel, a clock that is
/// wrong, who may call without a password. Nothing is changed, and nothing is sent but questions to DNS.
///
/// A server that runs on the data directory is asked how it is; without --config, its own configuration file is looked at.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  strowger doctor --config strowger.toml
  strowger doctor --data-dir /var/lib/strowger --json

Exit codes: 0 no error was found (warnings and notes may be); 1 an error was found, or the configuration has errors; 2 wrong usage.")]
pub(crate) struct Doctor {
    /// The configuration file; else that of the server that runs on the data directory, or the defaults.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Tell it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_its_help_fits_the_contract() {
        Args::command().debug_assert();
        let help = Args::command().render_long_help().to_string();
        let words = ["serve", "user", "ctl", "explain", "doctor", "check", "Exit codes"];
        let places = words.map(|word| help.find(&format!("\n  {word}")).or_else(|| help.find(word)));
        assert!(places.iter().all(Option::is_some), "{help}");
        assert!(places.is_sorted(), "as a newcomer needs them: {help}");
    }

    #[test]
    fn the_forms_of_the_contract_are_accepted() {
        for line in [
            "strowger serve --config f --listen udp:0.0.0.0:1 --listen tcp:0.0.0.0:1 --domain a --data-dir d --admin off --auth on",
            "strowger check --config f",
            "strowger user add alice@example.test --password pw --data-dir d",
            "strowger user --data-dir d import -",
            "strowger user import users.csv --data-dir d",
            "strowger user list --json",
            "strowger user add alice@example.test --password pw --json",
            "strowger user remove alice@example.test --json",
            "strowger user passwd alice@example.test --password pw --json",
            "strowger user passwd alice@example.test --password pw",
            "strowger ctl status --data-dir d --json",
            "strowger ctl --admin 127.0.0.1:8080 registrations",
            "strowger ctl drain",
            "strowger explain --config f --data-dir d --source 127.0.0.1:5060 --listener udp:127.0.0.1:5060 --dns z --at -1h --as alice --json m",
            "strowger explain --admin 127.0.0.1:8080 -",
            "strowger doctor --config f --data-dir d --json",
            "strowger ctl reload --json",
            "strowger ctl reload --rollback-after 60s --data-dir d",
            "strowger ctl reload --confirm",
            "strowger ctl reload --rollback",
            "strowger ctl deregister alice@example.test sip:alice@192.0.2.7 --reject --data-dir d",
            "strowger ctl deregister alice@example.test --json",
            "strowger ctl deregister alice@example.test --retry-after 300",
            "strowger ctl deregister alice@example.test --after 60",
            "strowger ctl subscriptions alice",
            "strowger ctl bans --json",
            "strowger ctl groups --json",
            "strowger ctl dns --json",
            "strowger ctl dns far.test --data-dir d",
            "strowger ctl dns flush",
            "strowger ctl dns flush far.test --json --data-dir d",
            "strowger ctl trunks --json",
            "strowger ctl group trunks drain sip:gw1.example.test",
            "strowger ctl group trunks resume sip:gw1.example.test --data-dir d",
            "strowger ctl unban 192.0.2.7 alice@example.test --data-dir d",
        ] {
            assert!(Args::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn debug_output_of_arguments_hides_passwords() {
        let args = Args::try_parse_from(["strowger", "user", "add", "a@b.test", "--password", "hunter2"]);
        assert!(args.is_ok());
        assert!(!format!("{args:?}").contains("hunter2"));
    }
}
