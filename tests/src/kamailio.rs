//! Kamailio as a neighbour: a proxy that records its route and sends every new request to one next hop.

use std::net::SocketAddr;
use std::time::Duration;

use crate::process::Process;
use crate::{Scratch, wait};

/// How long it may take to start.
const START: Duration = Duration::from_secs(20);

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    _process: Process,
    _scratch: Scratch,
}

impl Kamailio {
    /// Listens at `listen` (`udp:127.0.0.1:5060`), and sends what belongs to no dialog to the URI `next`.
    #[track_caller]
    pub fn start(listen: &[String], next: &str) -> Self {
        let scratch = Scratch::new();
        let config = scratch.write("kamailio.cfg", config(listen, next));
        let folder = scratch.path().to_string_lossy().into_owned();
        let config = config.to_string_lossy();
        let pid = scratch.join("pid");
        let pid = pid.to_string_lossy();
        let words = [
            "-DD", "-E", "-f", &config, "-P", &pid, "-Y", &folder, "-w", &folder, "-m", "64", "-M", "8",
        ];
        let process = Process::server("kamailio", &words, |_| {});
        let ready = wait::until_true(START, || listen.iter().all(|uri| is_bound(uri)));
        assert!(ready, "kamailio does not start:\n{}", process.output());
        Self {
            _process: process,
            _scratch: scratch,
        }
    }
}

/// Whether somebody has this address.
fn is_bound(uri: &str) -> bool {
    let (transport, address) = uri.split_once(':').expect("a transport");
    let address: SocketAddr = address.parse().expect("an address");
    match transport {
        "udp" => std::net::UdpSocket::bind(address).is_err(),
        _ => std::net::TcpStream::connect(address).is_ok(),
    }
}

fn config(listen: &[String], next: &str) -> String {
    let listen: String = listen.iter().map(|uri| format!("listen={uri}\n")).collect();
    format!(
        "debug=0\nlog_stderror=yes\nchildren=2\ntcp_children=2\nmhomed=1\nauto_aliases=no\ndns=no\nrev_dns=no\n{listen}\
         loadmodule \"tm.so\"\nloadmodule \"sl.so\"\nloadmodule \"rr.so\"\nloadmodule \"pv.so\"\nloadmodule \"maxfwd.so\"\n\
         loadmodule \"textops.so\"\nloadmodule \"siputils.so\"\n\
         request_route {{\n\
         if (!mf_process_maxfwd_header(\"70\")) {{ sl_send_reply(\"483\", \"Too Many Hops\"); exit; }}\n\
         if (is_method(\"CANCEL\")) {{ if (t_check_trans()) t_relay(); exit; }}\n\
         if (has_totag()) {{\n\
         if (loose_route()) {{ t_relay(); exit; }}\n\
         if (is_method(\"ACK\")) {{ if (t_check_trans()) t_relay(); exit; }}\n\
         sl_send_reply(\"481\", \"No Route Of Mine\"); exit;\n\
         }}\n\
         t_check_trans();\n\
         record_route();\n\
         $du = \"{next}\";\n\
         t_relay();\n\
         }}\n"
    )
}
