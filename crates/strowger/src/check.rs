//! `strowger check`.

use std::io::{Write, stdout};

use serde_json::json;
use strowger_server::config::{self, Config, Diagnostic, SecretPlace, UserSource, effective};
use strowger_server::subscriber::read_file;

use crate::args;
use crate::failed::Failed;
use crate::load;

pub(crate) fn check(args: &args::Check) -> Result<(), Failed> {
    let mut out = stdout().lock();
    if args.print_default {
        out.write_all(config::reference().as_bytes())?;
        return Ok(());
    }
    let Some(path) = &args.config else {
        return tell(&[], args.json, "no file was named; the defaults are in order");
    };
    let text = match load::read(path) {
        Err(Failed::Told { what, mend }) if args.json => {
            writeln!(
                out,
                "{}",
                json!({ "ok": false, "errors": [{ "what": what, "mend": mend }] })
            )?;
            return Err(Failed::Silent);
        }
        read => read?,
    };
    match config::check(text, &path.display().to_string()) {
        Ok(config) => match wrong_users(&config) {
            wrong if wrong.is_empty() => {
                // They keep nobody from starting, so they are no errors.
                let unheard = effective::unheard(&config);
                for warning in unheard
                    .into_iter()
                    .chain(effective::without_domain(&config))
                    .chain(unread(&config))
                {
                    eprintln!("warning: {warning}");
                }
                tell(&[], args.json, &format!("{} is in order", path.display()))
            }
            wrong => tell_wrong(&wrong, args.json),
        },
        Err(wrong) => tell_wrong(&wrong, args.json),
    }
}

/// Push providers whose file with the Authorization field cannot be read now; it is read each time that they are asked.
fn unread(config: &Config) -> impl Iterator<Item = String> {
    config.push.provider.iter().filter_map(|provider| {
        let place = provider.authorization.as_ref()?;
        let SecretPlace::File(_) = place else { return None };
        let error = place.read().err()?;
        Some(format!(
            "push provider {}: {error}; write the value there",
            provider.name
        ))
    })
}

/// What is wrong with the file of users, if they come from one.
fn wrong_users(config: &Config) -> Vec<Diagnostic> {
    match &config.auth.users {
        UserSource::File(users) => read_file(users, &config.auth.algorithms)
            .err()
            .unwrap_or_default(),
        UserSource::Kept | UserSource::Server(_) => Vec::new(),
    }
}

fn tell_wrong(wrong: &[Diagnostic], json: bool) -> Result<(), Failed> {
    tell(wrong, json, "")?;
    Err(Failed::Silent)
}

/// Tells what is wrong with a configuration, a line each, or that nothing is.
pub(crate) fn tell(wrong: &[Diagnostic], json: bool, fine: &str) -> Result<(), Failed> {
    let mut out = stdout().lock();
    if json {
        writeln!(out, "{}", json!({ "ok": wrong.is_empty(), "errors": wrong }))?;
        return Ok(());
    }
    for diagnostic in wrong {
        writeln!(out, "{diagnostic}")?;
    }
    match wrong.len() {
        0 => writeln!(out, "{fine}")?,
        1 => eprintln!("1 error"),
        count => eprintln!("{count} errors"),
    }
    Ok(())
}
