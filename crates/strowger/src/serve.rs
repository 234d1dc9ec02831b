//! `strowger serve`: from arguments to a running node, and to its end.

use std::future::pending;
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::process;
use std::sync::Arc;

use strowger_server::admin::{Admin as _, Secret};
use strowger_server::config::effective;
use strowger_server::config::{Config, Source};
use strowger_server::data_dir::DataDir;
use strowger_server::running::{Running, StartError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::administration::{Console, Followers, Moves, Place};
use crate::args;
use crate::failed::Failed;
use crate::load::load;
use crate::logging::{self, Logging};
use crate::place::told;
use crate::privileges::{self, Account, account};

pub(crate) fn serve(args: &args::Serve) -> Result<(), Failed> {
    // Before there are threads, and blocks to be kept.
    strowger_net::give_large_blocks_back();
    let config = load(args.config.as_deref(), &args.flags())?;
    let account = args.user.as_deref().map(account).transpose()?;
    let logging = logging::start(config.log.level)?;
    if account.is_none() && privileges::is_root() {
        tracing::warn!("running as root; give --user NAME to go on as that user once every port is bound");
    }
    if let Some(exposure) = effective::exposure(&config) {
        tracing::warn!("{exposure}");
    }
    for unheard in effective::unheard(&config) {
        tracing::warn!("{unheard}");
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
    let source = Source {
        file: args.config.clone(),
        flags: args.flags(),
    };
    runtime.block_on(run(
        config,
        Start {
            data_dir,
            account,
            source,
            logging,
        },
    ))
}

/// What somebody who starts it for the first time wants to know.
fn teach(data_dir: &DataDir) {
    let path = data_dir.path().display();
    eprintln!(
        "Strowger {} with its defaults: phones on this machine, no passwords.\n\
         \x20 data                {path}\n\
         \x20 add a user          strowger user add alice@example.test --data-dir {path}\n\
         \x20 open to the network strowger serve --domain example.test --listen udp:0.0.0.0:5060 --listen tcp:0.0.0.0:5060 --data-dir {path}\n\
         \x20                     (phones then need a user's password; --auth off would leave it open)\n\
         \x20 every setting       strowger check --print-default > strowger.toml",
        env!("CARGO_PKG_VERSION")
    );
}

/// What a server is started with besides its configuration.
struct Start {
    data_dir: DataDir,
    account: Option<Account>,
    source: Source,
    logging: Logging,
}

/// Starts everything, says so, and waits for the end.
async fn run(config: Config, start: Start) -> Result<(), Failed> {
    let Start {
        data_dir,
        account,
        source,
        logging,
    } = start;
    // Before anything is bound, so that no signal meets the default action.
    let mut signals = Signals::new()?;
    tracing::info!(path = %data_dir.path().display(), "data directory");
    let token = Secret::new(data_dir.admin_token().map_err(told)?);
    let place = Place::bind(&config)?;
    let node = Running::start(&config, &data_dir, place.address()).map_err(not_started)?;
    let mut console = Console::start(&place, &node, &token, data_dir.path().to_owned());
    if let Some(account) = &account {
        privileges::hand_over(data_dir.path(), account)?;
    }
    ready(&node, place.address());
    let moves = Moves::new(place);
    let followers = Followers {
        moves: Arc::clone(&moves),
        logging,
    };
    node.follow(source, Box::new(followers));
    let asked = Arc::new(Notify::new());
    let follower = Arc::clone(&node);
    tokio::spawn(reload_when_asked(Arc::clone(&asked), move || {
        reload(Arc::clone(&follower))
    }));
    loop {
        tokio::select! {
            () = wait_for_the_end(&mut signals, &asked, &node) => break,
            () = moves.moved() => console.follow(&moves.place(), &node, &token, data_dir.path().to_owned()),
        }
    }
    let drain = node.drain_time();
    tracing::info!(at_most = ?drain, "draining");
    tokio::select! {
        () = node.drained(drain) => {}
        () = signals.end() => {
            tracing::warn!("a second signal: ending at once");
            process::exit(1);
        }
    }
    console.stop().await;
    tracing::info!("ended");
    Ok(())
}

fn not_started(error: StartError) -> Failed {
    if let StartError::Users(wrong) = error {
        return Failed::Config(wrong);
    }
    Failed::new(&error, error.mend())
}

/// The one line that says that every listener is bound. Who closed standard output does not want it.
fn ready(node: &Running, admin: Option<SocketAddr>) {
    let mut line = String::from("strowger ready:");
    for uri in node.listeners() {
        line.push(' ');
        line.push_str(&uri);
    }
    match admin {
        Some(address) => line.push_str(&format!(" admin=http://{address}")),
        None => line.push_str(" admin=off"),
    }
    let mut out = stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Reloads as often as it is asked to; asked any number of times while a reload goes on, once more after that.
async fn reload_when_asked<R: Future<Output = ()>>(asked: Arc<Notify>, mut reload: impl FnMut() -> R) {
    loop {
        asked.notified().await;
        reload().await;
    }
}

/// Reads the node's configuration again; what comes of it is in the log.
async fn reload(node: Arc<Running>) {
    tracing::info!("SIGHUP: reading the configuration again");
    let _ = node.reload(None).await;
}

async fn wait_for_the_end(signals: &mut Signals, reload: &Notify, node: &Running) {
    loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::End => return,
                Wish::Reload => reload.notify_one(),
            },
            () = node.drain_asked() => return,
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn signals_that_come_while_it_reloads_lead_to_one_more_reload() {
        let (asked, may_end) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let begun = Arc::new(AtomicU32::new(0));
        let (ends, begins) = (Arc::clone(&may_end), Arc::clone(&begun));
        tokio::spawn(reload_when_asked(Arc::clone(&asked), move || {
            let ends = Arc::clone(&ends);
            begins.fetch_add(1, Ordering::Relaxed);
            async move { ends.acquire().await.expect("it is open").forget() }
        }));
        // Whatever can go on has gone on then: there is one thread.
        let settled = || tokio::time::sleep(Duration::from_millis(1));
        for (signals, reloads) in [(1, 1), (5, 1), (0, 2), (0, 2), (1, 3)] {
            (0..signals).for_each(|_| asked.notify_one());
            settled().await;
            assert_eq!(begun.load(Ordering::Relaxed), reloads);
            if signals != 1 {
                may_end.add_permits(1);
                settled().await;
            }
        }
    }
}
