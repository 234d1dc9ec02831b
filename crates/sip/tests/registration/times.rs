//! When a registration is refreshed, and when one that failed is tried again.

use strowger_sip::ua::{Standing, Why};

use crate::registrar::{Scene, settings};

/// The time from now to the next REGISTER, which is made.
fn next(scene: &mut Scene) -> u64 {
    let before = scene.now_ms;
    let count = scene.sent.len();
    while scene.sent.len() == count {
        let due = scene.registration.deadline().expect("it goes on");
        scene.go_to(due);
    }
    scene.now_ms - before
}

fn granted(expires: u32) -> String {
    format!("Contact: <sip:12345@192.0.2.1:5060>;expires={expires}")
}

/// RFC 3261 §10.2.4: it is refreshed before it expires, however long that is, and never in a rush.
#[test]
fn a_registration_is_refreshed_well_before_it_expires() {
    for expires in [1, 2, 10, 59, 60, 1200, 1201, 3600] {
        let mut scene = Scene::of(settings());
        scene.go_to(0);
        for _ in 0..20 {
            scene.answer(200, &[&granted(expires)]);
            let after = next(&mut scene);
            let ms = 1000 * u64::from(expires);
            let latest = if expires > 1200 { ms - 600_000 } else { ms / 2 }.max(1000);
            assert!(after <= latest && after >= latest * 9 / 10, "{expires}: {after}");
        }
    }
}

/// RFC 3261 §10.3 step 7 lets nobody grant more than was asked for, nor a number that is none.
#[test]
fn more_than_was_asked_for_counts_as_that() {
    for value in ["4294967295", "99999999999999999999", "x", "3600"] {
        let mut scene = Scene::of(settings());
        scene.go_to(0);
        scene.answer(
            200,
            &[&format!("Contact: <sip:12345@192.0.2.1:5060>;expires={value}")],
        );
        assert_eq!(scene.registration.given().expires, 3600, "{value}");
        assert_eq!(scene.registration.bound_until_ms(), Some(3_600_000));
    }
}

/// RFC 5626 §4.5: the first retry 30 to 60 s after the failure, each later one up to twice as late, up to half an hour.
#[test]
fn a_registrar_that_fails_is_asked_less_and_less_often() {
    let mut scene = Scene::of(settings());
    scene.go_to(0);
    for failure in 1..12 {
        scene.no_answer(Why::Silent);
        let upper = (30_000u64 << failure).min(1_800_000);
        let after = next(&mut scene);
        assert!(
            after >= upper / 2 && after <= upper,
            "{failure}: {after} of {upper}"
        );
    }
    scene.answer(200, &[&granted(3600)]);
    next(&mut scene);
    scene.no_answer(Why::Silent);
    let after = next(&mut scene);
    assert!(
        (30_000..=60_000).contains(&after),
        "it counts from the last success: {after}"
    );
}

/// A provider that comes back is registered with within the time of one registration, however long it was gone.
#[test]
fn a_registrar_that_is_gone_is_asked_within_each_interval() {
    for expires in [8, 60, 600] {
        let mut scene = Scene::of(settings());
        scene.set(|settings| settings.expires = expires);
        scene.go_to(0);
        for _ in 0..30 {
            scene.no_answer(Why::Unreachable);
            let after = next(&mut scene);
            assert!(after <= 1000 * u64::from(expires), "{expires}: {after}");
        }
    }
}

/// What has refused us is left alone for longer, also by a short registration.
#[test]
fn a_refusal_is_not_answered_with_a_storm() {
    let mut scene = Scene::of(settings());
    scene.set(|settings| settings.expires = 60);
    scene.go_to(0);
    for failure in 1..8 {
        scene.answer(403, &[]);
        let upper = (30_000u64 << failure).min(1_800_000);
        assert!(next(&mut scene) >= upper / 2, "{failure}");
    }
    assert!(matches!(
        scene.registration.standing(),
        Standing::Failing(Why::Answered(_))
    ));
}

/// RFC 3261 §20.33: as long as a Retry-After says, within reason.
#[test]
fn retry_after_is_obeyed() {
    for (said, least, most) in [
        ("120", 120_000, 120_000),
        ("4294967295", 86_400_000, 86_400_000),
        ("0 (now)", 30_000, 60_000),
    ] {
        let mut scene = Scene::of(settings());
        scene.go_to(0);
        scene.answer(503, &[&format!("Retry-After: {said}")]);
        let after = next(&mut scene);
        assert!(after >= least && after <= most, "{said}: {after}");
    }
}

/// Many that begin at once do not refresh at once: the times are a function of who they are.
#[test]
fn registrations_do_not_keep_step() {
    let mut times = Vec::new();
    for number in 0..50 {
        let mut scene = Scene::of(settings());
        scene.set(|settings| settings.aor = format!("sip:{number}@provider.example").into_bytes().into());
        scene.go_to(0);
        scene.answer(200, &[&granted(3600)]);
        times.push(next(&mut scene));
    }
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 45, "{times:?}");
}
