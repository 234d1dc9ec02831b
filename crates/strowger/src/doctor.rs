//! `strowger doctor`: which address each peer will see, and what is wrong.

use std::io::{self, Write, stdout};
use std::path::PathBuf;

use strowger_server::admin::{Ban, Page, Status};
use strowger_server::config::{Config, Flags};
use strowger_server::doctor::{self, Counted, Finding, Live, Report, Severity};

use crate::args;
use crate::client::{Client, Content};
use crate::failed::Failed;
use crate::load::load;
use crate::place::{Found, find};
use crate::table::{Table, is_coloured};

pub(crate) fn doctor(args: &args::Doctor) -> Result<(), Failed> {
    let mut flags = Flags {
        data_dir: args.data_dir.clone(),
        ..Flags::default()
    };
    let mut config = load(args.config.as_deref(), &flags)?;
    let live = live(&config);
    if let Some(status) = live.as_ref().and_then(|live| live.status.as_ref()) {
        config = as_it_runs(args, &mut flags, status, config)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::new(format!("cannot start: {error}"), ""))?;
    let report = runtime.block_on(doctor::examine(&config, live.as_ref()));
    let mut out = stdout().lock();
    if args.json {
        let json = serde_json::to_string_pretty(&report).map_err(|error| Failed::new(error, ""))?;
        writeln!(out, "{json}")?;
    } else {
        write(&report, &mut out)?;
    }
    if report.has_errors() {
        return Err(Failed::Silent);
    }
    Ok(())
}

/// The server that runs on the data directory, if one does. One that does not answer is told of as a finding.
fn live(config: &Config) -> Option<Live> {
    let client = match find(&config.data_dir) {
        Ok(Found::Nobody) => return None,
        Ok(Found::Server(client)) => client,
        // Somebody holds it, or it cannot be read, which is found when it is looked at.
        Err(_) => return Some(Live::default()),
    };
    let metrics = client
        .request("GET", "/metrics", &Content::None)
        .unwrap_or_default();
    let bans: Option<Page<Ban>> = client.ask("GET", "/api/v1/bans", &Content::None).ok();
    Some(Live {
        bans: bans.map(|page| page.items).unwrap_or_default(),
        status: status(&client),
        metrics: String::from_utf8_lossy(&metrics).into_owned(),
    })
}

fn status(client: &Client) -> Option<Status> {
    client.ask("GET", "/api/v1/status", &Content::None).ok()
}

/// The configuration that the server runs with: its file, if none was named, and what was said on its command line.
fn as_it_runs(
    args: &args::Doctor,
    flags: &mut Flags,
    status: &Status,
    config: Config,
) -> Result<Config, Failed> {
    let file = args.config.clone().or_else(|| {
        let file = PathBuf::from(status.config.file.as_ref()?);
        file.exists().then_some(file)
    });
    flags.data_dir.get_or_insert_with(|| config.data_dir.clone());
    let config = load(file.as_deref(), flags)?;
    if config.listen.is_empty() {
        flags.listen.clone_from(&status.listeners);
    }
    if config.domains.is_empty() {
        flags.domain.clone_from(&status.domains);
    }
    load(file.as_deref(), flags)
}

fn write(report: &Report, out: &mut impl Write) -> Result<(), Failed> {
    let mut table = Table::new(["LISTENER", "PEERS", "ARE TOLD"]);
    let rows: Vec<_> = report
        .listeners
        .iter()
        .flat_map(|seen| {
            let row = |told: &doctor::Told| [seen.listener.clone(), told.peer.clone(), told.address.clone()];
            seen.told.iter().map(row)
        })
        .collect();
    table.write(out, &rows)?;
    if let Some(counted) = &report.server {
        write_counted(counted, out)?;
    }
    for finding in &report.findings {
        write_finding(finding, out)?;
    }
    let count = |severity: Severity| {
        let all = report.findings.iter();
        all.filter(|finding| finding.severity == severity).count()
    };
    let counts = [
        (count(Severity::Error), "error"),
        (count(Severity::Warning), "warning"),
        (count(Severity::Note), "note"),
    ];
    let words = counts.map(|(count, word)| match count {
        0 => format!("no {word}s"),
        1 => format!("1 {word}"),
        several => format!("{several} {word}s"),
    });
    writeln!(out, "\n{}", words.join(", "))?;
    Ok(())
}

fn write_counted(counted: &Counted, out: &mut impl Write) -> io::Result<()> {
    let Counted {
        contacts,
        keep_alives_sent,
        keep_alives_answered,
        phones_unanswered,
        keep_alives_received,
        stun_answered,
        pings_answered,
        datagrams_dropped,
        refused,
    } = counted;
    writeln!(
        out,
        "\nthe server runs: {contacts} contacts; keep-alives: {keep_alives_sent} sent, {keep_alives_answered} answered, \
         {phones_unanswered} phones silent; {keep_alives_received} empty datagrams, {stun_answered} STUN requests and \
         {pings_answered} pings came; {datagrams_dropped} datagrams dropped"
    )?;
    if refused.is_empty() {
        return Ok(());
    }
    let refused: Vec<_> = refused
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    writeln!(out, "refused since its start: {}", refused.join(", "))
}

fn write_finding(finding: &Finding, out: &mut impl Write) -> io::Result<()> {
    let (word, colour) = match finding.severity {
        Severity::Error => ("ERROR", "31"),
        Severity::Warning => ("WARNING", "33"),
        Severity::Note => ("NOTE", "36"),
    };
    let word = if is_coloured() {
        format!("\x1b[1;{colour}m{word}\x1b[0m")
    } else {
        word.to_owned()
    };
    let clean = |text: &str| -> String {
        let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        text.chars().map(visible).collect()
    };
    writeln!(out, "\n{word} {}: {}", finding.about, clean(&finding.what))?;
    writeln!(out, "  why:  {}", clean(&finding.why))?;
    if finding.mend.is_empty() {
        return Ok(());
    }
    writeln!(out, "  mend: {}", clean(&finding.mend))
}
