//! `strowger explain`: what would become of a message, by a running server or by one that would be.

mod text;

use std::fs::File;
use std::io::{Read, Write, stdin, stdout};
use std::path::Path;

use strowger_server::admin::{Explain, MESSAGE_LIMIT};
use strowger_server::config::Flags;
use strowger_server::explain::{Candidate, Circumstances, Explanation, Names, Unclear, check_time};

use crate::args;
use crate::client::{Client, Content};
use crate::failed::Failed;
use crate::load::load;
use crate::place::{Found, administration, find};
use crate::table::is_coloured;

/// Bytes of a file of DNS records.
const RECORDS_LIMIT: usize = 1 << 20;

const RECORDS: &str = "write records as `sip.example.test A 192.0.2.7`, one to a line";

pub(crate) fn explain(args: &args::Explain) -> Result<(), Failed> {
    let message = read(&args.message, MESSAGE_LIMIT)?;
    if let Some(at) = &args.at {
        check_time(at, strowger_net::now()).map_err(|Unclear { what, mend }| Failed::Usage { what, mend })?;
    }
    let dns = args.dns.as_deref().map(records).transpose()?;
    let explanation = match server(args)? {
        Some(client) => live(&client, args, &message, dns)?,
        None => candidate(args, &message, dns.as_deref())?,
    };
    let mut out = stdout().lock();
    if args.json {
        let json = serde_json::to_string_pretty(&explanation).map_err(|error| Failed::new(error, ""))?;
        writeln!(out, "{json}")?;
    } else {
        text::write(&explanation, args.user.is_none(), is_coloured(), &mut out)?;
    }
    Ok(())
}

/// The running server that is meant, if one is.
fn server(args: &args::Explain) -> Result<Option<Client>, Failed> {
    if args.config.is_some() {
        return Ok(None);
    }
    let dir = load(None, &flags(args))?.data_dir;
    match &args.admin {
        Some(address) => administration(address, &dir).map(Some),
        None => Ok(match find(&dir)? {
            Found::Server(client) => Some(client),
            Found::Nobody => None,
        }),
    }
}

fn flags(args: &args::Explain) -> Flags {
    Flags {
        data_dir: args.data_dir.clone(),
        ..Flags::default()
    }
}

fn live(
    client: &Client,
    args: &args::Explain,
    message: &[u8],
    dns: Option<String>,
) -> Result<Explanation, Failed> {
    let asked = Explain {
        source: args.source.clone(),
        listener: args.listener.clone(),
        at: args.at.clone(),
        user: args.user.clone(),
        dns,
        ..Explain::of(message)
    };
    let body = serde_json::to_value(&asked).map_err(|error| Failed::new(error, ""))?;
    client.ask("POST", "/api/v1/explain", &Content::Json(body))
}

fn candidate(args: &args::Explain, message: &[u8], dns: Option<&str>) -> Result<Explanation, Failed> {
    let config = load(args.config.as_deref(), &flags(args))?;
    let wanted = Circumstances {
        source: args.source.as_deref(),
        listener: args.listener.as_deref(),
        at: args.at.as_deref(),
        user: args.user.as_deref(),
    };
    let names = Names::of(dns, &config.dns).map_err(|error| {
        let file = args.dns.as_deref().unwrap_or_else(|| Path::new("-"));
        Failed::new(format!("{}: {error}", file.display()), RECORDS)
    })?;
    let now = strowger_net::now();
    let candidate =
        Candidate::open(&config, &config.data_dir, now).map_err(|error| Failed::new(error, ""))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::new(format!("cannot start: {error}"), ""))?;
    let explained = runtime.block_on(candidate.explain(message, &wanted, now, &names));
    explained.map_err(|Unclear { what, mend }| Failed::Usage { what, mend })
}

fn records(path: &Path) -> Result<String, Failed> {
    String::from_utf8(read(path, RECORDS_LIMIT)?).map_err(|_| {
        let what = format!("{} is no text", path.display());
        Failed::new(what, RECORDS)
    })
}

/// Reads a file, or standard input.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failed> {
    let unread = |error: std::io::Error| {
        let what = format!("cannot read {}: {error}", path.display());
        Failed::new(what, "name a file, or - for standard input")
    };
    let mut bytes = Vec::new();
    let most = limit as u64 + 1;
    if path == Path::new("-") {
        stdin()
            .lock()
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(unread)?;
    } else {
        let file = File::open(path).map_err(unread)?;
        file.take(most).read_to_end(&mut bytes).map_err(unread)?;
    }
    if bytes.len() > limit {
        let what = format!("{} has more than {limit} bytes", path.display());
        return Err(Failed::new(what, "no message is that large"));
    }
    Ok(bytes)
}
