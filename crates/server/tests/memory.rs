//! What calls take of memory while they ring and after they have ended, with messages as large as phones write them, and that
//! it is given back.

use strowger_testkit::message::{in_dialog, request, routed, with};
use strowger_testkit::{Plan, Site};

const CALLS: u32 = 5_000;
/// Of what every message is followed by on a wire that is not a test's.
const LINES: &str = "Contact: <sip:uac@192.0.2.10:5060>\r\n\
    Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, MESSAGE\r\nSupported: timer, replaces\r\n\
    User-Agent: Phone/1.2.3\r\nContent-Type: application/sdp";
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8 101\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";

fn site() -> Site {
    let mut site = Site::of(Plan {
        max_transactions: 1 << 20,
        ..Plan::default()
    });
    site.register('b');
    site
}

fn invite(n: u32) -> String {
    let text = with(&request('a', "INVITE", "sip:1002@example.test", n), LINES);
    text.replace("z9hG4bK", "z9hG4bK-0123456789-0123-").replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Length: {}\r\n\r\n{SDP}", SDP.len()),
    )
}

/// The bytes that each of so many calls takes, and of what.
fn each(site: &Site, calls: u32) -> u64 {
    let parts = site.memory();
    for (part, bytes) in &parts {
        println!("{part}: {}", bytes / u64::from(calls));
    }
    parts.values().sum::<u64>() / u64::from(calls)
}

#[test]
fn a_call_that_rings_takes_2_kilobytes() {
    let mut site = site();
    for n in 1..=CALLS {
        site.send('a', &invite(n));
        site.answer('b', 180);
        site.pass(1);
    }
    site.pass(1000);
    let bytes = each(&site, CALLS);
    assert!(bytes <= 2048, "{bytes}");
}

#[test]
fn a_call_that_has_ended_takes_1_kilobyte_until_its_timers_do_too() {
    let mut site = site();
    for n in 1..=CALLS {
        site.send('a', &invite(n));
        site.answer('b', 180);
        let ok = site.pick_up();
        for method in ["ACK", "BYE"] {
            site.send('a', &routed(&in_dialog(method, &ok, n), &ok));
        }
        site.answer('b', 200);
        site.pass(4);
    }
    let bytes = each(&site, CALLS);
    assert!(bytes <= 1024, "{bytes}");
    site.pass(40_000);
    let left = site.memory().values().sum::<u64>();
    assert!(left < 2 << 20, "{left}");
}
