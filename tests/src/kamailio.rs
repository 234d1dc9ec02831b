//! Kamailio as a neighbour: a proxy that records its route and sends every new request to one next hop; or as a provider, with
//! a registrar, accounts and a gateway.

use std::net::SocketAddr;
use std::time::Duration;

use crate::process::{Process, Signal};
use crate::{Scratch, wait};

/// How long it may take to start.
const START: Duration = Duration::from_secs(20);

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    process: Process,
    listen: Vec<String>,
    scratch: Scratch,
}

impl Kamailio {
    /// Listens at `listen` (`udp:127.0.0.1:5060`), and sends what belongs to no dialog to the URI `next`.
    #[track_caller]
    pub fn start(listen: &[String], next: &str) -> Self {
        Self::of(listen, config(listen, next))
    }

    /// A provider of one account, 4711 with the password `secret` in the realm `provider.example`: whoever registers with it
    /// is challenged, and so are its calls out, which come from port `client` and go to the gateway. What comes from elsewhere is
    /// for the account.
    #[track_caller]
    pub fn provider(listen: &[String], client: u16, gateway: SocketAddr) -> Self {
        Self::of(listen, provider(listen, client, gateway))
    }

    #[track_caller]
    fn of(listen: &[String], config: String) -> Self {
        let scratch = Scratch::new();
        scratch.write("kamailio.cfg", config);
        Self {
            process: run(&scratch, listen),
            listen: listen.to_owned(),
            scratch,
        }
    }

    /// Ends it at once.
    #[track_caller]
    pub fn kill(&mut self) {
        self.process.signal(Signal::Kill);
        let ended = self.process.wait(START);
        assert!(ended.is_some(), "kamailio does not end");
    }

    /// Starts it again after it has ended, with nothing of what it knew.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.process = run(&self.scratch, &self.listen);
    }
}

#[track_caller]
fn run(scratch: &Scratch, listen: &[String]) -> Process {
    let folder = scratch.path().to_string_lossy().into_owned();
    let (config, pid) = (scratch.join("kamailio.cfg"), scratch.join("pid"));
    let (config, pid) = (config.to_string_lossy(), pid.to_string_lossy());
    let words = [
        "-DD", "-E", "-f", &config, "-P", &pid, "-Y", &folder, "-w", &folder, "-m", "64", "-M", "8",
    ];
    let process = Process::server("kamailio", &words, |_| {});
    let ready = wait::until_true(START, || listen.iter().all(|uri| is_bound(uri)));
    assert!(ready, "kamailio does not start:\n{}", process.output());
    process
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

/// A provider's configuration.
fn provider(listen: &[String], client: u16, gateway: SocketAddr) -> String {
    let listen: String = listen.iter().map(|uri| format!("listen={uri}\n")).collect();
    format!(
        "debug=0\nlog_stderror=yes\nchildren=2\ntcp_children=2\nmhomed=1\nauto_aliases=no\ndns=no\nrev_dns=no\n{listen}\
         loadmodule \"tm.so\"\nloadmodule \"sl.so\"\nloadmodule \"rr.so\"\nloadmodule \"pv.so\"\nloadmodule \"maxfwd.so\"\n\
         loadmodule \"textops.so\"\nloadmodule \"siputils.so\"\nloadmodule \"usrloc.so\"\nloadmodule \"registrar.so\"\n\
         loadmodule \"auth.so\"\n\
         request_route {{\n\
         if (!mf_process_maxfwd_header(\"70\")) {{ sl_send_reply(\"483\", \"Too Many Hops\"); exit; }}\n\
         if (is_method(\"CANCEL\")) {{ if (t_check_trans()) t_relay(); exit; }}\n\
         if (has_totag()) {{\n\
         if (loose_route()) {{ t_relay(); exit; }}\n\
         if (is_method(\"ACK\")) {{ if (t_check_trans()) t_relay(); exit; }}\n\
         sl_send_reply(\"481\", \"No Route Of Mine\"); exit;\n\
         }}\n\
         t_check_trans();\n\
         if (is_method(\"REGISTER\")) {{\n\
         if (!pv_www_authenticate(\"provider.example\", \"secret\", \"0\")) {{ www_challenge(\"provider.example\", \"1\"); exit; }}\n\
         if ($au != $tU) {{ sl_send_reply(\"403\", \"Not Yours\"); exit; }}\n\
         save(\"location\");\n\
         exit;\n\
         }}\n\
         if ($sp == {client}) {{\n\
         if (!pv_proxy_authenticate(\"provider.example\", \"secret\", \"0\")) {{ proxy_challenge(\"provider.example\", \"1\"); exit; }}\n\
         consume_credentials();\n\
         record_route();\n\
         $du = \"sip:{gateway}\";\n\
         t_relay();\n\
         exit;\n\
         }}\n\
         $ru = \"sip:4711@provider.example\";\n\
         if (!lookup(\"location\")) {{ sl_send_reply(\"404\", \"Not Registered\"); exit; }}\n\
         record_route();\n\
         t_relay();\n\
         }}\n"
    )
}
