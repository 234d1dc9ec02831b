//! Where a password comes from: the option, the terminal (twice, without echo), or the first line of standard input.

use std::io::{IsTerminal, stdin};

use strowger_server::admin::{Secret, UserId};

use crate::failed::Failed;

pub(crate) fn read(option: Option<String>, user: &UserId) -> Result<Secret, Failed> {
    if let Some(password) = option {
        return Ok(Secret::new(password));
    }
    if !stdin().is_terminal() {
        let mut line = String::new();
        stdin()
            .read_line(&mut line)
            .map_err(|error| cannot_read(&error))?;
        let password = line.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(Failed::new(
                "standard input has no password",
                "give it there, or with --password",
            ));
        }
        return Ok(Secret::new(password));
    }
    let ask = |prompt: String| rpassword::prompt_password(prompt).map_err(|error| cannot_read(&error));
    let password = ask(format!("Password for {user}: "))?;
    if ask("Once more: ".to_owned())? != password {
        return Err(Failed::new("the two passwords differ", "try again"));
    }
    Ok(Secret::new(password))
}

fn cannot_read(error: &std::io::Error) -> Failed {
    Failed::new(
        format!("cannot read the password: {error}"),
        "give it with --password or on standard input",
    )
}
