//! `strowger serve`: from arguments to a running node, and to its end.

use std::future::pending;
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::process;
use std::sync::Arc;

use strowger_console::{Access, serve as serve_console};
use strowger_server::admin::Secret;
use strowger_server::config::Config;
use strowger_server::config::effective::{self, Asked};
use strowger_server::data_dir::DataDir;
use strowger_server::running::{Running, StartError};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::args;
use crate::failed::Failed;
use crate::load::load;
use crate::logging;
use crate::place::{AddressFile, told};
use crate::privileges::{self, Account, account};

pub(crate) fn serve(args: &args::Serve) -> Result<(), Failed> {
    // Before there are threads, and blocks to be kept.
    strowger_net::give_large_blocks_back();
    let config = load(args.config.as_deref(), &args.flags())?;
    let account = args.user.as_deref().map(account).transpose()?;
    logging::start(config.log.level);
    if account.is_none() && privileges::is_root() {
        tracing::warn!("running as root; give --user NAME to go on as that user once every port is bound");
    }
    if let Some(exposure) = effective::exposure(&config) {
        tracing::warn!("{exposure}");
    }
    let data_dir = DataDir::open(&config.data_dir).map_err(told)?;
    data_dir
        .warnings()
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    if args.is_bare() {
        teach(&data_dir);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failed::new(format!("cannot start: {error}"), "look at the limits (ulimit -a)"))?;
    runtime.block_on(run(config, data_dir, account))
}

/// What somebody who starts it for the first time wants to know.
fn teach(data_dir: &DataDir) {
    let path = data_dir.path().display();
    eprintln!(
        "Strowger {} with its defaults: phones on this machine, no passwords.\n\
         \x20 data                {path}\n\
         \x20 add a user          strowger user add alice@example.test --data-dir {path}\n\
         \x20 open to the network strowger serve --domain example.test --listen udp:0.0.0.0:5060 --listen tcp:0.0.0.0:5060\n\
         \x20                     (phones then need a user's password; --auth off would leave it open)\n\
         \x20 every setting       strowger check --print-default > strowger.toml",
        env!("CARGO_PKG_VERSION")
    );
}

/// Starts everything, says so, and waits for the end.
async fn run(config: Config, data_dir: DataDir, account: Option<Account>) -> Result<(), Failed> {
    // Before anything is bound, so that no signal meets the default action.
    let mut signals = Signals::new()?;
    tracing::info!(path = %data_dir.path().display(), "data directory");
    let token = Secret::new(data_dir.admin_token().map_err(told)?);
    let admin = bind_admin(&config).await?;
    let admin_address = admin.as_ref().map(|(_, address)| *address);
    let node = Running::start(&config, &data_dir, admin_address).map_err(not_started)?;
    let _address_file = admin_address.and_then(|address| leave_address(&data_dir, address));
    if let Some(account) = &account {
        privileges::hand_over(data_dir.path(), account)?;
    }

    let (stop_console, stopped) = oneshot::channel::<()>();
    let access = Access {
        token,
        names: config.admin.names.clone(),
    };
    let console = admin.map(|(listener, _)| {
        let stopped = async {
            let _ = stopped.await;
        };
        tokio::spawn(serve_console(listener, Arc::clone(&node), access, stopped))
    });

    ready(&node, admin_address);
    wait_for_the_end(&mut signals, &node).await;
    tracing::info!(at_most = ?config.drain, "draining");
    tokio::select! {
        () = node.drained(config.drain) => {}
        () = signals.end() => {
            tracing::warn!("a second signal: ending at once");
            process::exit(1);
        }
    }
    drop(stop_console);
    if let Some(console) = console {
        let _ = console.await;
    }
    tracing::info!("ended");
    Ok(())
}

fn not_started(error: StartError) -> Failed {
    Failed::new(&error, error.mend())
}

/// The one line that says that every listener is bound. Who closed standard output does not want it.
fn ready(node: &Running, admin: Option<SocketAddr>) {
    let mut line = String::from("strowger ready:");
    for uri in node.listeners() {
        line.push(' ');
        line.push_str(uri);
    }
    match admin {
        Some(address) => line.push_str(&format!(" admin=http://{address}")),
        None => line.push_str(" admin=off"),
    }
    let mut out = stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

async fn wait_for_the_end(signals: &mut Signals, node: &Running) {
    loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::End => return,
                Wish::Reload => {
                    tracing::warn!("SIGHUP: this build cannot reload; restart it to apply a changed configuration");
                }
            },
            () = node.drain_asked() => return,
        }
    }
}

/// Binds the admin address. A default that is taken moves to a free port; what was asked for must bind.
async fn bind_admin(config: &Config) -> Result<Option<(TcpListener, SocketAddr)>, Failed> {
    let Some((address, asked)) = effective::admin(config) else {
        return Ok(None);
    };
    let bound = match (TcpListener::bind(address).await, asked) {
        (Err(error), Asked::Default) => {
            tracing::warn!(%address, %error, "the default admin address cannot be used; taking a free port");
            TcpListener::bind((address.ip(), 0)).await
        }
        (bound, _) => bound,
    };
    let listener = bound.map_err(|error| {
        let mend = "choose another address with --admin, or --admin off";
        Failed::new(format!("cannot bind the admin address {address}: {error}"), mend)
    })?;
    let address = listener.local_addr().map_err(|error| Failed::new(error, ""))?;
    Ok(Some((listener, address)))
}

/// Where there is no room for it, calls are served all the same.
fn leave_address(data_dir: &DataDir, address: SocketAddr) -> Option<AddressFile> {
    AddressFile::write(data_dir.path(), address)
        .inspect_err(|error| {
            let path = data_dir.path().display();
            tracing::warn!(
                "cannot write into {path}: {error}; `ctl` finds this server by --admin {address} only"
            );
        })
        .ok()
}

/// The signals that a server minds.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failed> {
        let listen =
            |kind| signal(kind).map_err(|error| Failed::new(format!("cannot take signals: {error}"), ""));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    async fn next(&mut self) -> Wish {
        tokio::select! {
            Some(()) = self.terminate.recv() => Wish::End,
            Some(()) = self.interrupt.recv() => Wish::End,
            Some(()) = self.hang_up.recv() => Wish::Reload,
            else => pending().await,
        }
    }

    /// Waits for SIGTERM or SIGINT.
    async fn end(&mut self) {
        while self.next().await != Wish::End {}
    }
}

/// What a signal wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    End,
    Reload,
}
