//! Binding addresses.

use std::net::{TcpListener, UdpSocket};

use strowger_net::{BindFault, Listener};

use crate::echo::{listen, options};

#[test]
fn a_second_server_on_the_same_address_is_refused() {
    for transport in ["udp", "tcp"] {
        for shards in [1, 2] {
            let first = Listener::bind(listen(&format!("{transport}:127.0.0.1:0")), &options(shards));
            let first = first.expect("a free port");
            assert_eq!(first.shards(), shards);
            let second = Listener::bind(first.listen(), &options(shards));
            let error = second.expect_err("it is taken");
            assert!(matches!(error.fault, BindFault::InUse), "{error:?}");
            assert_eq!(error.listen, first.listen());
            assert!(error.to_string().contains(&first.listen().to_string()));
        }
    }
}

#[test]
fn an_address_that_another_program_uses_is_refused() {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let asked = [("udp", udp.local_addr()), ("tcp", tcp.local_addr())];
    for (transport, address) in asked {
        let uri = format!("{transport}:{}", address.expect("an address"));
        let error = Listener::bind(listen(&uri), &options(2)).expect_err("it is taken");
        assert!(matches!(error.fault, BindFault::InUse), "{error:?}");
    }
}

#[test]
fn an_address_that_no_interface_has_is_refused() {
    let error = Listener::bind(listen("udp:198.51.100.77:0"), &options(1)).expect_err("not ours");
    assert!(matches!(error.fault, BindFault::NotAvailable), "{error:?}");
}

#[test]
fn a_transport_that_is_not_carried_is_refused() {
    let error = Listener::bind(listen("tls:127.0.0.1:0"), &options(1)).expect_err("not carried");
    assert!(matches!(error.fault, BindFault::Transport), "{error:?}");
}

#[test]
fn the_granted_receive_buffer_is_told() {
    let asked = options(1);
    let listener = Listener::bind(listen("udp:127.0.0.1:0"), &asked).expect("a free port");
    let granted = listener.receive_buffer().expect("UDP has one");
    assert!(granted > 0 && granted <= asked.udp_buffer, "{granted}");
}
