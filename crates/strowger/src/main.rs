//! The strowger program: arguments, configuration, wiring.

mod administration;
mod args;
mod check;
mod client;
mod ctl;
mod doctor;
mod explain;
mod failed;
mod load;
mod logging;
mod place;
mod privileges;
mod serve;
mod table;
mod user;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Serve(args) => serve::serve(&args),
        Command::Check(args) => check::check(&args),
        Command::User(args) => user::user(args),
        Command::Ctl(args) => ctl::ctl(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Doctor(args) => doctor::doctor(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => failed.report(),
    }
}
