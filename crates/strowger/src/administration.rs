//! Where the server is administered: the listener, the file that tells of it, and what serves it; also when another
//! configuration puts it elsewhere.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use strowger_console::{Access, serve};
use strowger_server::admin::Secret;
use strowger_server::config::effective::{self, Asked};
use strowger_server::config::{Config, Key};
use strowger_server::running::{Obstacle, Ready, Running, Surroundings};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::failed::Failed;
use crate::logging::Logging;
use crate::place::AddressFile;

const MEND: &str = "choose another address with --admin, or --admin off";

/// A listener that is bound, and the host names that may be asked for there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    listener: Option<Arc<TcpListener>>,
    names: Vec<String>,
}

impl Place {
    /// Binds the admin address. A default that is taken moves to a free port; what was asked for must bind.
    pub(crate) fn bind(config: &Config) -> Result<Self, Failed> {
        let names = config.admin.names.clone();
        let Some((address, asked)) = effective::admin(config) else {
            return Ok(Self {
                listener: None,
                names,
            });
        };
        let bound = listen(address).or_else(|error| match asked {
            Asked::Default => {
                tracing::warn!(%address, %error, "the default admin address cannot be used; taking a free port");
                listen(SocketAddr::new(address.ip(), 0))
            }
            Asked::Explicit => Err(error),
        });
        let listener = bound.map_err(|error| {
            Failed::new(format!("cannot bind the admin address {address}: {error}"), MEND)
        })?;
        Ok(Self {
            listener: Some(Arc::new(listener)),
            names,
        })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref()?.local_addr().ok()
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Where it is to be from now on.
#[derive(Debug)]
pub(crate) struct Moves {
    place: Mutex<Place>,
    moved: Notify,
}

impl Moves {
    pub(crate) fn new(place: Place) -> Arc<Self> {
        Arc::new(Self {
            place: Mutex::new(place),
            moved: Notify::new(),
        })
    }

    pub(crate) fn place(&self) -> Place {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, place: Place) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        self.moved.notify_one();
    }

    /// Waits until it is to be elsewhere.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }
}

/// The log and the place of administration follow the configuration.
pub(crate) struct Followers {
    pub(crate) moves: Arc<Moves>,
    pub(crate) logging: Logging,
}

impl Surroundings for Followers {
    fn prepare(&self, former: &Config, next: &Config) -> Result<Ready, Obstacle> {
        let mut place = self.moves.place();
        if former.admin.listen != next.admin.listen {
            place = Place::bind(next).map_err(|failed| Obstacle {
                key: Key::Of("admin", "listen"),
                what: failed.what(),
                mend: "choose another address, or \"off\"".to_owned(),
            })?;
        }
        place.names.clone_from(&next.admin.names);
        let is_other = former.admin != next.admin;
        let (moves, logging, level) = (Arc::clone(&self.moves), self.logging.clone(), next.log.level);
        Ok(Ready {
            admin: place.address(),
            enter: Box::new(move || {
                logging.set_level(level);
                if is_other {
                    moves.set(place);
                }
            }),
        })
    }
}

/// What serves it; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Console {
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
    address: Option<(SocketAddr, Option<AddressFile>)>,
}

impl Console {
    /// Serves at a place, which is told by a file in the data directory. Where it cannot be, calls are served all the same.
    pub(crate) fn start(place: &Place, node: &Arc<Running>, token: &Secret, data_dir: PathBuf) -> Self {
        let mut console = Self {
            stop: None,
            task: None,
            address: None,
        };
        let (Some(listener), Some(address)) = (&place.listener, place.address()) else {
            return console;
        };
        let listener = listener.try_clone().and_then(tokio::net::TcpListener::from_std);
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%address, %error, "the admin listener cannot be served");
                return console;
            }
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let access = Access {
            token: token.clone(),
            names: place.names.clone(),
        };
        let node = Arc::clone(node);
        let serve = async move {
            let stopped = async {
                let _ = stopped.await;
            };
            if let Err(error) = serve(listener, node, access, stopped).await {
                tracing::error!(%address, "{error}");
            }
        };
        console.stop = Some(stop);
        console.task = Some(tokio::spawn(serve));
        console.address = Some((address, leave_address(data_dir, address)));
        console
    }

    /// Serves elsewhere; what is being answered is answered.
    pub(crate) fn follow(&mut self, place: &Place, node: &Arc<Running>, token: &Secret, data_dir: PathBuf) {
        // The next one's file has the same name.
        self.address = None;
        *self = Self::start(place, node, token, data_dir);
        match &self.address {
            Some((address, _)) => tracing::info!(%address, "administration"),
            None => tracing::info!("no administration any more"),
        }
    }

    /// Ends it, and waits until what is being answered is.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

fn leave_address(data_dir: PathBuf, address: SocketAddr) -> Option<AddressFile> {
    AddressFile::write(&data_dir, address)
        .inspect_err(|error| {
            let path = data_dir.display();
            tracing::warn!(
                "cannot write into {path}: {error}; `ctl` finds this server by --admin {address} only"
            );
        })
        .ok()
}
