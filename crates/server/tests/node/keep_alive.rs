//! Datagrams that keep a flow open, and are no SIP messages.

use strowger_sip::Destination;
use strowger_testkit::Site;
use strowger_testkit::peer::address;

const REQUEST: &[u8] = b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl";

// RFC 5626 §8: a Binding request is answered to where it came from, from where it was sent to.
#[test]
fn a_binding_request_is_told_where_it_came_from() {
    let mut site = Site::new();
    for who in ['a', 'l'] {
        site.send_bytes(who, REQUEST);
        let [(to, answer)] = &site.new_messages()[..] else {
            panic!("one answer");
        };
        let Destination::Datagram { from, to, .. } = *to else {
            panic!("by datagram");
        };
        assert_eq!(to, address(who));
        assert_eq!(from.map(|ip| ip.is_loopback()), Some(who == 'l'));
        assert_eq!(answer[..2], [1, 1]);
        assert_eq!(answer[4..20], REQUEST[4..]);
        assert_eq!(answer[20..26], [0, 0x20, 0, 8, 0, 1]);
    }
    site.assert_ends();
}

// RFC 3261 §7.5, RFC 8489 §6.3: nobody waits for an answer, and what is broken gets none.
#[test]
fn what_only_keeps_a_flow_open_is_not_answered() {
    let mut site = Site::new();
    let cut = &REQUEST[..19];
    let indication = [b"\0\x11", &REQUEST[2..]].concat();
    for datagram in [&b""[..], b"\0", b"\r\n", b"\r\n\r\n", b"jaK", cut, &indication] {
        site.send_bytes('a', datagram);
        assert_eq!(site.new_messages(), [], "{datagram:?}");
    }
    site.assert_ends();
}
