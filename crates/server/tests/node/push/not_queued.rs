//! RFC 3841: callers who do not want to wait until a device has been woken.

use strowger_testkit::message::{registration, request, with};
use strowger_testkit::{Plan, Site};

use super::{DEVICE, SERVICES, call_with_purr, device, invite, later, register, site};

const NOT_QUEUED: &str = "Request-Disposition: no-queue";

// RFC 3841 §9.1: whoever is out of reach for the moment is not waited for; nobody is pushed.
#[test]
fn a_call_that_is_not_to_be_queued_is_refused_at_once() {
    let mut site = site();
    register(&mut site, DEVICE, 1);
    let text = with(&invite(1), NOT_QUEUED);
    let explained = site.explain('a', text.as_bytes(), false, "");
    let steps: Vec<_> = explained.steps.iter().map(|step| step.line().text).collect();
    assert!(
        steps
            .iter()
            .any(|step| step.ends_with("its device sleeps, and the caller does not want to wait")),
        "{steps:#?}"
    );
    let line = explained.verdict.line;
    assert!(
        line.contains("480") && line.ends_with("the caller does not want to wait"),
        "{line}"
    );
    site.send('a', &text);
    assert_eq!(site.log(), "a 480");
    assert!(site.push().is_none());
    // Neither does the next caller find it pushed already.
    site.send('a', &with(&invite(2), "d: queue, parallel"));
    assert_eq!(site.log(), "a 100");
    assert!(site.push().is_some());
    site.assert_ends();
}

// RFC 3841 §9.1: those who can be reached ring, and the device does not when it wakes by itself.
#[test]
fn a_call_that_is_not_to_be_queued_rings_at_phones_that_are_awake() {
    let mut site = site();
    register(&mut site, DEVICE, 1);
    let desk = registration('c', "sip:bob@example.test", "<sip:bob@192.0.2.12:5060>", 1);
    site.ask('c', &desk);
    site.send('a', &with(&invite(1), NOT_QUEUED));
    assert_eq!(site.log(), "a 100, c INVITE");
    assert!(site.push().is_none());
    site.answer('c', 180);
    site.pass(1000);
    site.send('b', &device(DEVICE, 2));
    assert_eq!(site.log(), "a 180, b 200");
    site.answer('c', 486);
    assert_eq!(site.log(), "c ACK, a 486");
    site.assert_ends();
}

// RFC 3841 §9.1, RFC 3261 §16.7 step 4: it is no reason to wait that somebody else sent the call on.
#[test]
fn a_call_that_is_sent_on_is_not_queued_either() {
    let mut site = Site::of(Plan {
        routing: SERVICES,
        recurse: true,
        ..Plan::default()
    });
    register(&mut site, DEVICE, 1);
    site.register('c');
    let text = request('a', "INVITE", "sip:carol@example.test", 1);
    site.send('a', &with(&text, NOT_QUEUED));
    site.log();
    let moved = site.response('c', 302, "Contact: <sip:bob@example.test>");
    site.send('c', &moved);
    assert!(site.push().is_none());
    assert_eq!(site.log(), "c ACK, a 302");
    site.assert_ends();
}

// RFC 8599 §6.2.3: within a dialog there is nobody who might be called later instead.
#[test]
fn a_request_within_a_dialog_waits_whatever_it_says() {
    let mut site = site();
    let (ok, reference) = call_with_purr(&mut site);
    site.send('a', &with(&later("BYE", &ok, &reference), NOT_QUEUED));
    assert_eq!(site.log(), "");
    assert!(site.push().is_some());
}
