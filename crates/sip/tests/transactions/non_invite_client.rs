//! RFC 3261 §17.1.2.

use strowger_sip::transaction::Timers;

use crate::bench::{Bench, response, tcp, udp};

#[test]
fn a_provisional_response_shows_that_the_next_hop_is_there() {
    let mut bench = Bench::with(Timers::DEFAULT);
    let client = bench.send("MESSAGE", tcp());
    bench.pass(2999);
    bench.hear(client, &response(100, "MESSAGE"));
    bench.pass(29_000);
    assert_eq!(bench.ended(), []);
    bench.pass(1);
    assert_eq!(bench.ended(), [(32_000, true)]);
}

#[test]
fn a_next_hop_that_says_nothing_is_given_up_after_its_own_time() {
    for to in [udp(), tcp()] {
        let mut bench = Bench::with(Timers::DEFAULT);
        bench.send("MESSAGE", to);
        bench.pass(3999);
        assert_eq!(bench.ended(), []);
        bench.pass(1);
        assert_eq!(bench.ended(), [(4000, true)]);
        bench.assert_empty();
    }
}

// §9.1: a CANCEL should not be sent for anything but INVITE.
#[test]
fn only_an_invite_is_cancelled() {
    let mut bench = Bench::new();
    let client = bench.send("MESSAGE", udp());
    bench.hear(client, &response(100, "MESSAGE"));
    bench.cancel(client);
    assert_eq!(bench.log(), "0 MESSAGE");
}
