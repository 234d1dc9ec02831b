//! What would become of a request whose sender has answered its challenge (RFC 3261 §22.2, §22.3).

use strowger_server::explain::{CredentialsOutcome, Explanation, Outcome, Step, Unclear};
use strowger_sip::auth::Algorithm;
use strowger_testkit::message::{authorize, registration, request};
use strowger_testkit::{Plan, Site};

fn digest() -> Site {
    Site::of(Plan {
        challenged: &["REGISTER", "INVITE"],
        algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        ..Plan::default()
    })
}

/// Of alice.
fn invite() -> String {
    request('a', "INVITE", "sip:bob@example.test", 1)
}

fn explain_as(site: &Site, user: &str, text: &str) -> Result<Explanation, Unclear> {
    site.explain_as(Some(user), 'a', text.as_bytes(), false, "")
}

fn credentials(explained: &Explanation) -> Option<&CredentialsOutcome> {
    explained.steps.iter().find_map(|step| match step {
        Step::Credentials { outcome, .. } => Some(outcome),
        _ => None,
    })
}

#[test]
fn a_registration_goes_on_past_its_challenge() {
    let mut site = digest();
    let text = registration('a', "sip:alice@example.test", "<sip:alice@192.0.2.10>", 1);
    let ends = site.explain('a', text.as_bytes(), false, "");
    assert_eq!(ends.verdict.outcome, Outcome::Challenged);
    for user in ["alice", "alice@example.test", "alice@Example.TEST"] {
        let explained = explain_as(&site, user, &text).expect("explained");
        assert_eq!(explained.verdict.outcome, Outcome::Answered, "{explained:?}");
        assert_eq!(explained.changed[0].added.len(), 1);
        assert_eq!(credentials(&explained), Some(&CredentialsOutcome::Right));
        assert!(
            explained
                .arrival
                .assumed
                .iter()
                .any(|said| said.contains("has answered 401"))
        );
        assert_eq!(
            explained.message.length,
            text.len(),
            "it is the message that was given"
        );
    }
    assert!(
        site.ask('a', &text).starts_with("SIP/2.0 401 "),
        "nothing has changed"
    );
}

#[test]
fn a_call_goes_on_whatever_credentials_it_had_and_shows_none() {
    let mut site = Site::of(Plan {
        challenged: &["INVITE"],
        ..Plan::default()
    });
    site.register('b');
    let text = invite();
    let challenge = site.explain('a', text.as_bytes(), false, "");
    let wrong = authorize(&text, &challenge.sent[0].text, "alice", 1).replace("response=\"", "response=\"0");
    for text in [&text, &wrong] {
        let explained = explain_as(&site, "alice", text).expect("explained");
        assert_eq!(explained.verdict.outcome, Outcome::Forwarded, "{explained:?}");
        assert!(explained.log.is_empty(), "{:?}", explained.log);
        let shown = format!("{explained:?}");
        assert!(
            !shown.contains("Authorization: Digest") && !shown.contains("response="),
            "{shown}"
        );
    }
}

#[test]
fn whose_address_it_is_counts_as_ever() {
    let site = digest();
    let explained = explain_as(&site, "bob", &invite()).expect("explained");
    assert_eq!(explained.verdict.status, Some(403), "{explained:?}");
    assert_eq!(credentials(&explained), Some(&CredentialsOutcome::NotOwner));
}

#[test]
fn a_phone_with_the_address_as_its_domain_is_told_which_it_should_have() {
    let site = digest();
    let text = registration('a', "sip:alice@192.0.2.1", "<sip:alice@192.0.2.10>", 1);
    let explained = site.explain('a', text.as_bytes(), false, "");
    let domain = "example.test".to_owned();
    assert!(explained.steps.contains(&Step::AddressAsDomain { domain }));
    assert!(
        explained.verdict.line.ends_with("should be example.test"),
        "{}",
        explained.verdict.line
    );
}

#[test]
fn who_has_no_password_here_is_unclear() {
    let site = digest();
    for user in ["nobody", "1001", "alice@other.test", "", "@"] {
        let unclear = explain_as(&site, user, &invite()).expect_err(user);
        assert!(unclear.what.contains("of example.test"), "{unclear:?}");
    }
}

#[test]
fn where_nobody_asks_that_is_told() {
    let site = Site::of(Plan::default());
    let explained = explain_as(&site, "nobody", &invite()).expect("explained");
    assert!(
        explained
            .arrival
            .assumed
            .iter()
            .any(|said| said.starts_with("there was no challenge"))
    );
    // What is no message is nobody's either.
    assert!(explain_as(&site, "alice", "INVITE\r\n\r\n").is_ok());
}
