//! RFC 3261 §17.2.2 with RFC 4320 §4.

use strowger_sip::transaction::Timers;

#[test]
fn the_time_of_the_100_follows_t1_and_t2() {
    for (t1_ms, t2_ms, due) in [
        (500, 4000, 3500),
        (500, 3000, 3500),
        (250, 4000, 3750),
        (1000, 1000, 0),
    ] {
        assert_eq!(
            Timers {
                t1_ms,
                t2_ms,
                ..Timers::DEFAULT
            }
            .trying_after_ms(),
            due,
            "{t1_ms} {t2_ms}"
        );
    }
}
