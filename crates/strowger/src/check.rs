//! `strowger check`.

use std::io::{Write, stdout};

use serde_json::json;
use strowger_server::config::{self, Diagnostic, effective};

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
        Ok(config) => {
            // They keep nobody from starting, so they are no errors.
            for unheard in effective::unheard(&config) {
                eprintln!("warning: {unheard}");
            }
            tell(&[], args.json, &format!("{} is in order", path.display()))
        }
        Err(wrong) => {
            tell(&wrong, args.json, "")?;
            Err(Failed::Silent)
        }
    }
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
