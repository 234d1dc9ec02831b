//! RFC 5627 through the node, rule by rule: what the registrar gives, and where the proxy sends what is for a GRUU.

mod registrar;

use strowger_testkit::Site;
use strowger_testkit::message::{lines, registration, with};
use strowger_testkit::peer::address;

/// A clause, what it wants, and that it is so.
type Rule = (&'static str, &'static str, fn());

/// Checks every rule; what fails is the last one that was printed.
fn check(rules: &[Rule]) {
    for (clause, rule, holds) in rules {
        println!("{clause}: {rule}");
        holds();
    }
}

const BOB: &str = "sip:bob@example.test";
const ONE: &str = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
const TWO: &str = "urn:uuid:00000000-0000-1000-8000-000a95a0e128";

/// A contact of an instance, where a peer gets its datagrams.
fn contact(who: char, instance: &str) -> String {
    format!("<sip:x@{}>;+sip.instance=\"<{instance}>\"", address(who))
}

/// A REGISTER for bob by a phone that knows of GRUUs.
fn register(who: char, contact: &str, n: u32) -> String {
    with(&registration(who, BOB, contact, n), "Supported: gruu")
}

/// The same of another Call-ID.
fn of_call(text: &str, call_id: &str) -> String {
    let own = format!("Call-ID: {}\r\n", lines(text, "Call-ID")[0]);
    text.replace(&own, &format!("Call-ID: {call_id}\r\n"))
}

/// What a REGISTER is answered.
#[track_caller]
fn ok(site: &mut Site, who: char, register: &str) -> String {
    let answer = site.ask(who, register);
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    answer
}

/// The value of a parameter of each Contact, if it has one.
fn given(answer: &str, param: &str) -> Vec<Option<String>> {
    let begin = format!(";{param}=\"");
    let value = |line: &str| {
        let (_, rest) = line.split_once(&begin)?;
        Some(rest.split('"').next()?.to_owned())
    };
    lines(answer, "Contact").into_iter().map(value).collect()
}

/// The temporary GRUU of the only contact.
#[track_caller]
fn temporary(answer: &str) -> String {
    match &given(answer, "temp-gruu")[..] {
        [Some(gruu)] => gruu.clone(),
        other => panic!("{other:?}"),
    }
}

fn public(instance: &str) -> String {
    format!("{BOB};gr={instance}")
}
