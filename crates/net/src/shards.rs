//! Starting, telling, draining and stopping the shards: what the control side sees of them.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::affinity::{allowed_cpus, pin};
use crate::application::Application;
use crate::change::{Change, Joining, Listening, NotTaken, by_shard};
use crate::clock;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::epoll::Epoll;
use crate::listener::{Listen, Listener};
use crate::options::{Options, Pinning};
use crate::ring::{Doorbell, Links};
use crate::shard::{Inbox, Seed, Shard};
use crate::sources::Connected;
use crate::tcp::Surroundings;

/// Where the shards are in their life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Running,
    Draining,
    Stopped,
}

/// What all shards and the control side share.
#[derive(Debug)]
pub(crate) struct Shared {
    phase: AtomicU8,
    drain_until: AtomicU64,
    /// One for each shard.
    pub(crate) doorbells: Vec<Arc<Doorbell>>,
    /// There are more shards than CPUs that they may run on.
    pub(crate) share_cpus: bool,
}

impl Shared {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Running,
            1 => Phase::Draining,
            _ => Phase::Stopped,
        }
    }

    /// When draining ends at the latest; monotonic nanoseconds.
    pub(crate) fn drain_until(&self) -> u64 {
        self.drain_until.load(Ordering::SeqCst)
    }

    pub(crate) fn are_all_idle(&self) -> bool {
        self.doorbells.iter().all(|doorbell| doorbell.is_idle())
    }

    pub(crate) fn stop(&self) {
        self.enter(Phase::Stopped);
    }

    fn drain(&self, at_most: Duration) {
        let ns = u64::try_from(at_most.as_nanos()).unwrap_or(u64::MAX);
        self.drain_until
            .store(clock::mono_ns().saturating_add(ns), Ordering::SeqCst);
        self.enter(Phase::Draining);
    }

    /// Phases follow each other in one direction only.
    fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
        for doorbell in &self.doorbells {
            doorbell.wake();
        }
    }
}

/// The control side's end of the shards; clones are the same.
#[derive(Debug)]
pub struct Handle<C> {
    shared: Arc<Shared>,
    controls: Arc<[SyncSender<C>]>,
    changes: Arc<[SyncSender<Box<Change<C>>>]>,
    epolls: Arc<[Arc<Epoll>]>,
    counters: Arc<[Arc<Counters>]>,
    listeners: Arc<[Listen]>,
}

impl<C> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            controls: Arc::clone(&self.controls),
            changes: Arc::clone(&self.changes),
            epolls: Arc::clone(&self.epolls),
            counters: Arc::clone(&self.counters),
            listeners: Arc::clone(&self.listeners),
        }
    }
}

impl<C> Handle<C> {
    /// Sends something to one shard's [`Application::control`]. It never waits.
    ///
    /// # Errors
    /// What was to be sent comes back when too much waits for the shard already, when it has ended, or when there is
    /// no such shard.
    pub fn send(&self, shard: u16, control: C) -> Result<(), C> {
        let position = usize::from(shard);
        let (Some(queue), Some(doorbell)) =
            (self.controls.get(position), self.shared.doorbells.get(position))
        else {
            return Err(control);
        };
        match queue.try_send(control) {
            Ok(()) => {
                doorbell.announce_control();
                doorbell.wake();
                Ok(())
            }
            Err(TrySendError::Full(control) | TrySendError::Disconnected(control)) => Err(control),
        }
    }

    /// Makes a bound listener known to the shards under a number, which no other listener has had.
    ///
    /// # Errors
    /// `InvalidInput` when it was bound for another number of shards; else what the operating system refused.
    pub fn introduce(&self, number: u16, listener: Listener) -> io::Result<Joining> {
        Joining::new(number, listener, &self.epolls)
    }

    /// Sends a shard its part of a change. It has a place of its own there, whatever else waits for the shard.
    ///
    /// # Errors
    /// It comes back when the last change still waits for the shard, and does not when the shard has ended.
    pub fn change(&self, shard: u16, change: Box<Change<C>>) -> Result<(), NotTaken<C>> {
        let position = usize::from(shard);
        let (Some(place), Some(doorbell)) = (self.changes.get(position), self.shared.doorbells.get(position))
        else {
            return Err(NotTaken::Ended);
        };
        match place.try_send(change) {
            Ok(()) => {
                doorbell.announce_control();
                doorbell.wake();
                Ok(())
            }
            Err(TrySendError::Full(change)) => Err(NotTaken::Busy(change)),
            Err(TrySendError::Disconnected(_)) => Err(NotTaken::Ended),
        }
    }

    /// Stops accepting connections, and ends the shards once all of them are idle
    /// ([`Application::is_idle`]) and have sent what they had to send, or when the time is over.
    pub fn drain(&self, at_most: Duration) {
        self.shared.drain(at_most);
    }

    /// Ends the shards after the turn that each of them is in.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// How many shards there are.
    pub fn count(&self) -> u16 {
        self.controls.len() as u16
    }

    /// The counts of each shard.
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// The listeners of the start, in the order that [`Source::listener`](strowger_sip::Source) counts them.
    pub fn listeners(&self) -> &[Listen] {
        &self.listeners
    }
}

/// The running shards. Dropping it stops them, without waiting for their end.
#[derive(Debug)]
pub struct Shards<C> {
    handle: Handle<C>,
    threads: Vec<JoinHandle<()>>,
}

impl<C> Shards<C> {
    /// Another end for the control side.
    pub fn handle(&self) -> Handle<C> {
        self.handle.clone()
    }

    /// Waits until all shards have ended, which they do after [`Handle::drain`] or [`Handle::stop`].
    ///
    /// # Errors
    /// What a shard's thread panicked with.
    pub fn join(mut self) -> thread::Result<()> {
        let mut result = Ok(());
        for thread in std::mem::take(&mut self.threads) {
            let ended = thread.join();
            result = result.and(ended);
        }
        result
    }
}

impl<C> Deref for Shards<C> {
    type Target = Handle<C>;

    fn deref(&self) -> &Self::Target {
        &self.handle
    }
}

impl<C> Drop for Shards<C> {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// Starts one thread per shard. `make` is called here, once for each shard, with its number. A listener's place in
/// `listeners` is its number in [`Source`](strowger_sip::Source) and
/// [`Destination`](strowger_sip::Destination).
///
/// # Errors
/// `InvalidInput` when a listener was bound for another number of shards than `options.shards`; else what the
/// operating system refused: descriptors, memory or threads.
pub fn start<A: Application + Send + 'static>(
    listeners: Vec<Listener>,
    options: &Options,
    mut make: impl FnMut(u16) -> A,
) -> io::Result<Shards<A::Control>> {
    let count = options.shards;
    if count == 0 || listeners.iter().any(|listener| listener.shards() != count) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let listens: Arc<[Listen]> = listeners.iter().map(Listener::listen).collect();
    let mut seeds = seeds(&listens, options)?;
    let shared = Arc::clone(&seeds[0].shared);
    let counters: Arc<[Arc<Counters>]> = seeds
        .iter()
        .map(|seed| Arc::clone(&seed.around.counters))
        .collect();
    for (seed, all) in seeds.iter_mut().zip(by_shard((0..).zip(listeners), count)) {
        all.into_iter()
            .for_each(|sockets| seed.take_sockets(sockets, options));
    }
    let epolls = seeds.iter().map(|seed| Arc::clone(&seed.around.epoll)).collect();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count)
        .map(|_| mpsc::sync_channel(options.control.max(1)))
        .unzip();
    let (changes, changing): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::sync_channel(1)).unzip();
    let handle = Handle {
        shared,
        controls: senders.into(),
        changes: changes.into(),
        epolls,
        counters,
        listeners: listens,
    };
    // From here on dropping it stops the shards that were started before one fails to.
    let mut shards = Shards {
        handle,
        threads: Vec::with_capacity(usize::from(count)),
    };
    let cpus = cpus_for(options);
    let inboxes = receivers
        .into_iter()
        .zip(changing)
        .map(|(control, changes)| Inbox { control, changes });
    for (seed, inbox) in seeds.into_iter().zip(inboxes) {
        let shard = seed.around.shard;
        let app = make(shard);
        let cpu = cpus.get(usize::from(shard)).copied();
        shards
            .threads
            .push(spawn(seed, app, inbox, options.clone(), cpu)?);
    }
    Ok(shards)
}

fn seeds(listeners: &[Listen], options: &Options) -> io::Result<Vec<Seed>> {
    let count = options.shards;
    let doorbells = (0..count)
        .map(|_| Doorbell::new().map(Arc::new))
        .collect::<io::Result<Vec<_>>>()?;
    let links = Links::mesh(&doorbells, options.ring.max(1));
    let shared = Arc::new(Shared {
        phase: AtomicU8::new(Phase::Running as u8),
        drain_until: AtomicU64::new(u64::MAX),
        doorbells,
        share_cpus: (1..usize::from(count)).contains(&allowed_cpus().len()),
    });
    let directory = Arc::new(Directory::default());
    let connected = Arc::new(Connected::default());
    let listening = Arc::new(Listening::first(listeners));
    let seed = |(shard, links)| {
        let around = Surroundings {
            shard,
            epoll: Arc::new(Epoll::new()?),
            directory: Arc::clone(&directory),
            connected: Arc::clone(&connected),
            counters: Arc::new(Counters::default()),
            listening: Arc::clone(&listening),
        };
        let shared = Arc::clone(&shared);
        Ok(Seed {
            around,
            udp: Vec::new(),
            groups: Vec::new(),
            acceptors: Vec::new(),
            links,
            shared,
        })
    };
    (0..count).zip(links).map(seed).collect()
}

/// The CPU of each shard; none when they are not kept to one.
fn cpus_for(options: &Options) -> Vec<usize> {
    let cpus = match options.pinning {
        Pinning::OneCpu => allowed_cpus(),
        Pinning::Off => Vec::new(),
    };
    if cpus.len() < usize::from(options.shards) {
        Vec::new()
    } else {
        cpus
    }
}

fn spawn<A: Application + Send + 'static>(
    seed: Seed,
    app: A,
    inbox: Inbox<A::Control>,
    options: Options,
    cpu: Option<usize>,
) -> io::Result<JoinHandle<()>> {
    let shard = seed.around.shard;
    // What the loop points the kernel at must not move to another thread, so it is made on its own; whether that
    // succeeded is waited for.
    let (report, outcome) = mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name(format!("shard-{shard}"))
        .spawn(move || {
            if let Some(cpu) = cpu {
                // Without it the shard runs all the same.
                let _: io::Result<()> = pin(cpu);
            }
            match Shard::new(seed, app, inbox, &options) {
                Ok(shard) => {
                    let _: Result<(), _> = report.send(Ok(()));
                    shard.run();
                }
                Err(error) => {
                    let _: Result<(), _> = report.send(Err(error));
                }
            }
        })?;
    outcome
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the shard's thread ended")))?;
    Ok(thread)
}
