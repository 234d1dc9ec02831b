//! Whether a stranger can tell who exists: users who are registered, users who are not, and names that nobody has are
//! answered alike.

use strowger_sip::auth::NONCE_LEN;
use strowger_testkit::message::{authorize, registration, request, start_line};
use strowger_testkit::{Plan, Site};

/// A site where bob is registered, carol is not, and nobody is nobody.
fn site(challenged: &'static [&'static str]) -> Site {
    let mut site = Site::of(Plan {
        challenged,
        ..Plan::default()
    });
    let bob = registration('b', "sip:bob@example.test", "<sip:bob@192.0.2.11:5060>", 1);
    let answer = site.ask('b', &bob);
    if answer.starts_with("SIP/2.0 401 ") {
        let answer = site.ask('b', &authorize(&bob, &answer, "bob", 1));
        assert_eq!(start_line(&answer), "SIP/2.0 200 OK");
    }
    site.log();
    site
}

const METHODS: [&str; 15] = [
    "REGISTER",
    "INVITE",
    "OPTIONS",
    "MESSAGE",
    "SUBSCRIBE",
    "PUBLISH",
    "NOTIFY",
    "REFER",
    "INFO",
    "UPDATE",
    "PRACK",
    "BYE",
    "CANCEL",
    "ACK",
    "FROBNICATE",
];

/// The request of a stranger for, or as, a user.
fn stranger(method: &str, user: &str) -> String {
    if method == "REGISTER" {
        return registration(
            'd',
            &format!("sip:{user}@example.test"),
            "<sip:d@192.0.2.13:5060>",
            1,
        );
    }
    request('d', method, &format!("sip:{user}@example.test"), 1)
}

/// What a stranger sees, without the name and what is random.
fn seen(site: &mut Site, text: &str, user: &str) -> String {
    site.send('d', text);
    let log = site.log();
    if !log.starts_with("d ") {
        return String::new();
    }
    let mut answer = format!("{log}\r\n{}", site.last('d', "SIP/2.0 ")).replace(user, "USER");
    while let Some(at) = answer.find("nonce=\"") {
        answer.replace_range(at..at + "nonce=\"".len() + NONCE_LEN, "NONCE");
    }
    answer
}

#[test]
fn without_credentials_every_method_is_answered_alike_whoever_it_is_for() {
    for method in METHODS {
        let [online, away, nobody] = ["bob", "carol", "nobody"].map(|user| {
            let mut site = site(&["REGISTER", "INVITE"]);
            seen(&mut site, &stranger(method, user), user)
        });
        assert_eq!(nobody.is_empty(), method == "ACK", "{method}: {nobody}");
        assert_eq!(online, nobody, "{method}");
        assert_eq!(away, nobody, "{method}");
    }
}

#[test]
fn nothing_of_a_stranger_reaches_a_phone() {
    for method in METHODS {
        let mut site = site(&["REGISTER", "INVITE"]);
        let before = site.bytes_to('b');
        site.send('d', &stranger(method, "bob"));
        assert_eq!(site.bytes_to('b'), before, "{method}");
    }
}

#[test]
fn a_phone_is_not_asked_for_what_is_not_on_the_list_and_whoever_claims_to_be_it_is() {
    let mut site = site(&["REGISTER", "INVITE"]);
    let text = request('b', "MESSAGE", "sip:bob@example.test", 1);
    site.send('b', &text);
    assert_eq!(site.log(), "b MESSAGE");
    site.send('d', &request('b', "MESSAGE", "sip:bob@example.test", 2));
    assert_eq!(site.log(), "d 407");
}

#[test]
fn with_wrong_credentials_every_method_is_answered_alike_whoever_they_name() {
    for method in METHODS
        .into_iter()
        .filter(|method| !["CANCEL", "ACK"].contains(method))
    {
        let [online, away, nobody] = ["bob", "carol", "nobody"].map(|user| {
            let mut site = site(&["REGISTER", "INVITE"]);
            let text = match method {
                "REGISTER" => stranger(method, user),
                _ => stranger(method, "alice").replace("somebody@", &format!("{user}@")),
            };
            let challenge = site.ask('d', &text);
            let guess = authorize(&text, &challenge, user, 1).replace("cnonce=\"cn\"", "cnonce=\"no\"");
            seen(&mut site, &guess, user)
        });
        assert!(
            online.contains(" 401 ") || online.contains(" 407 "),
            "{method}: {online}"
        );
        assert_eq!(online, nobody, "{method}");
        assert_eq!(away, nobody, "{method}");
    }
}

#[test]
fn where_anybody_may_call_a_user_who_is_away_is_answered_like_nobody() {
    for method in ["INVITE", "MESSAGE", "OPTIONS", "CANCEL", "FROBNICATE"] {
        let [away, nobody] = ["carol", "nobody"].map(|user| {
            let mut site = site(&["REGISTER"]);
            seen(&mut site, &stranger(method, user), user)
        });
        assert_eq!(away, nobody, "{method}");
        assert!(away.contains(" 480 "), "{method}: {away}");
    }
    let mut site = site(&["REGISTER"]);
    site.send('d', &stranger("INVITE", "bob"));
    assert_eq!(site.log(), "d 100, b INVITE");
}

#[test]
fn who_may_know_is_told_whether_a_user_is_away_or_not_there() {
    for (user, answer) in [
        ("carol", "SIP/2.0 480 Temporarily Unavailable"),
        ("nobody", "SIP/2.0 404 Not Found"),
    ] {
        let text = request('a', "MESSAGE", &format!("sip:{user}@example.test"), 1);
        let mut site = site(&["REGISTER", "INVITE"]);
        let challenge = site.ask('a', &text);
        let told = site.ask('a', &authorize(&text, &challenge, "alice", 1));
        assert_eq!(start_line(&told), answer);
    }
}
