//! What is said of trunks that are wrong, and what one means that says little.

use std::io::Write as _;
use std::time::Duration;

use super::super::effective::unheard;
use super::super::{Config, check};

const OPEN: &str = "[[listen]]\nuri = \"udp:0.0.0.0:5060\"\n";

/// A trunk with these lines more.
fn trunk(more: &str) -> String {
    format!(
        "[[register]]\nname = \"p\"\naor = \"sip:12345@provider.example:5070\"\npassword = \"x\"\n{more}\n"
    )
}

#[track_caller]
fn accepted(text: &str) -> Config {
    check(text, "f").unwrap_or_else(|wrong| panic!("{text}\n{wrong:?}"))
}

#[track_caller]
fn complaints(text: &str) -> Vec<String> {
    let wrong = check(text, "f").expect_err(text);
    wrong
        .iter()
        .map(|wrong| wrong.to_string().trim_start_matches("f:").to_owned())
        .collect()
}

#[test]
fn what_is_not_said_comes_from_the_address_of_record() {
    let config = accepted(&trunk(""));
    let register = &config.register[0];
    assert_eq!(register.registrar, "sip:provider.example:5070");
    assert_eq!((&*register.username, &*register.contact_user), ("12345", "12345"));
    assert_eq!(register.expires, Duration::from_secs(3600));
    assert_eq!(register.written.line, 1);
    assert!(!register.trusted && register.to.is_empty() && register.realm.is_none());
}

#[test]
fn each_mistake_is_told_with_its_place_and_mend() {
    for (text, expected) in [
        (
            "[[register]]\nname = \"p\"\naor = \"sip:12345@p.example\"\n".to_owned(),
            "1:1: there is no password; add password = \"...\", or password_file = \"...\"",
        ),
        (
            trunk("registrar = \"sip:user@p.example\""),
            "5:13: `sip:user@p.example` is no registrar: that is a sip: URI without user and `lr`; write it as \
             \"sip:registrar.provider.example\"",
        ),
        (
            trunk("outbound = \"sip:p.example\""),
            "5:12: `sip:p.example` is no loose router (RFC 3261 §16.6 step 6); write \"sip:p.example;lr\"",
        ),
        (
            trunk("to = [\"sip:p.example\"]"),
            "5:6: `sip:p.example` names no user; write it as \"sip:reception@example.test\"",
        ),
        (
            trunk("contact_user = \"a b\""),
            "5:16: `a b` is no user of a URI; write it as it stands before the `@`, such as \"12345\"",
        ),
        (
            trunk("expires = \"1s\""),
            "5:11: `register.expires` = 1s is out of range; write a duration from 5s to 7d",
        ),
        (
            trunk("listener = \"udp:127.0.0.1:1\"") + OPEN,
            "5:12: nothing listens on `udp:127.0.0.1:1`; name one of [[listen]]",
        ),
        (
            trunk("") + &trunk("trusted = true"),
            "7:8: there are two trunks `p`; give one another name",
        ),
        (
            trunk("") + "[[group]]\nname = \"p\"\ntargets = [\"sip:a.example\"]\n",
            "2:8: `p` is also the name of a group, and `to` of routes would mean both; give one another name",
        ),
        (
            "domains = [\"a.example\"]\n[[register]]\nname = \"p\"\naor = \"sip:1@A.example\"\npassword = \"x\"\n".to_owned(),
            "4:7: `sip:A.example` is a domain of this node, which cannot register with itself; write the provider's address",
        ),
        (
            trunk("") + "[[route]]\nto = \"p\"\nmode = \"stateless\"\n",
            "7:6: the challenges of trunk `p` are answered by a stateful proxy only (RFC 3261 §16.7); write mode = \"stateful\"",
        ),
        (
            trunk("") + "[[route]]\nto = \"q\"\n",
            "7:6: there is no target group `q`; did you mean `p`?",
        ),
        (
            trunk("password_file = \"there/is/none\""),
            "5:17: the password cannot be read: there/is/none: No such file or directory (os error 2); name a file that has \
             nothing but the password, and that the server may read",
        ),
    ] {
        assert!(complaints(&text).iter().any(|told| told == expected), "{text}\n{:?}", complaints(&text));
    }
    for (aor, why) in [
        ("sips:1@p.example", "sips needs TLS"),
        ("sip:p.example", "it names no user"),
        ("sip:1@p.example;a=b", "neither password, parameters nor headers"),
        ("tel:+491234", "it is no sip: URI"),
    ] {
        let text = format!("[[register]]\nname = \"p\"\naor = \"{aor}\"\npassword = \"x\"\n");
        assert!(complaints(&text).iter().any(|told| told.contains(why)), "{aor}");
    }
}

#[test]
fn a_password_is_read_from_its_file_and_shown_nowhere() {
    let mut file = tempfile();
    writeln!(file.0, "pa ss").expect("written");
    let path = file.1.display();
    let text = format!("[[register]]\nname = \"p\"\naor = \"sip:1@p.example\"\npassword_file = \"{path}\"\n");
    let config = accepted(&text);
    assert_eq!(config.register[0].password.expose(), "pa ss");
    assert!(!format!("{config:?}").contains("pa ss"));
    std::fs::remove_file(&file.1).expect("removed");
    for wrong in ["password = 5", "password = \"hunter2\"\nexpires = \"1s\""] {
        let text = format!("[[register]]\nname = \"p\"\naor = \"sip:1@p.example\"\n{wrong}\n");
        assert!(complaints(&text).iter().all(|told| !told.contains("hunter2")));
    }
}

fn tempfile() -> (std::fs::File, std::path::PathBuf) {
    let path = std::env::temp_dir().join(format!("strowger-password-{}", std::process::id()));
    (std::fs::File::create(&path).expect("a file"), path)
}

#[test]
fn a_provider_whose_calls_would_be_challenged_is_told_of() {
    let address = "registrar = \"sip:192.0.2.9\"";
    for (text, count) in [
        (OPEN.to_owned() + &trunk(address), 1),
        (OPEN.to_owned() + &trunk(""), 1),
        (OPEN.to_owned() + &trunk("trusted = true"), 0),
        (
            "trusted = [\"192.0.2.0/24\"]\n".to_owned() + OPEN + &trunk(address),
            0,
        ),
        (
            "trusted = [\"198.51.100.0/24\"]\n".to_owned() + OPEN + &trunk(address),
            1,
        ),
        // Which addresses a name has is not known here.
        (
            "trusted = [\"198.51.100.0/24\"]\n".to_owned() + OPEN + &trunk(""),
            0,
        ),
        (
            "trusted = [\"192.0.2.0/24\"]\n".to_owned() + OPEN + &trunk("outbound = \"sip:192.0.2.9;lr\""),
            0,
        ),
        (OPEN.to_owned() + "[auth]\nmethods = []\n" + &trunk(address), 0),
        // Only this machine: nobody is asked.
        (trunk(address), 0),
    ] {
        let told = unheard(&accepted(&text));
        assert_eq!(told.len(), count, "{text}\n{told:?}");
        assert!(
            told.iter()
                .all(|told| told.contains("trusted = true") && told.starts_with("f:"))
        );
    }
}
