//! What changes while the shards run: which addresses are listened at, and what can be set.
//!
//! A listener has its number for good. One that is *retired* accepts no connections any more, but its UDP socket and its
//! connections go on; once it is *closed*, its heir sends what is to be sent by it.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use socket2::Socket;
use strowger_syntax::Transport;

use crate::epoll::{Epoll, Interest, Token};
use crate::listener::{Group, Listen, Listener};
use crate::options::Options;

/// Which numbers stand for which listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// The listeners that are neither retired nor closed, with their numbers. The first that will do stands for us on a
    /// connection that we open.
    pub live: Vec<(u16, Listen)>,
    /// Closed listeners, each with the one whose socket sends for it.
    pub heirs: Vec<(u16, u16)>,
}

impl Listening {
    /// The listeners of a start, numbered in their order.
    pub(crate) fn first(listens: &[Listen]) -> Self {
        Self {
            live: (0..).zip(listens.iter().copied()).collect(),
            heirs: Vec::new(),
        }
    }

    /// What sends for a closed listener.
    pub(crate) fn heir_of(&self, listener: u16) -> Option<u16> {
        let found = self.heirs.iter().find(|(closed, _)| *closed == listener);
        found.map(|&(_, heir)| heir)
    }
}

/// A bound listener that all shards know of, and that nothing is taken from before the change that it is part of. Dropping
/// it closes it.
#[derive(Debug)]
pub struct Joining {
    number: u16,
    listener: Listener,
}

impl Joining {
    /// Makes it known to the shards; the only step of a change that can fail.
    pub(crate) fn new(number: u16, listener: Listener, epolls: &[Arc<Epoll>]) -> io::Result<Self> {
        if listener.sockets.len() != epolls.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (socket, epoll) in listener.sockets.iter().zip(epolls) {
            epoll.add(
                socket.as_fd(),
                Interest::Nothing,
                token_of(number, listener.transport()),
            )?;
        }
        if let (Some(group), Some(epoll)) = (&listener.group, epolls.first()) {
            epoll.add(group.socket.as_fd(), Interest::Nothing, Token::Group(number))?;
        }
        Ok(Self { number, listener })
    }
}

/// What epoll tells of a listener's socket.
pub(crate) fn token_of(listener: u16, transport: Transport) -> Token {
    match transport {
        Transport::Udp => Token::Udp(listener),
        _ => Token::Acceptor(listener),
    }
}

/// One shard's sockets of a listener.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) number: u16,
    pub(crate) listen: Listen,
    pub(crate) socket: Socket,
    /// The first shard has it.
    pub(crate) group: Option<Group>,
}

/// Each shard's sockets of listeners, by their numbers.
pub(crate) fn by_shard(listeners: impl Iterator<Item = (u16, Listener)>, shards: u16) -> Vec<Vec<Sockets>> {
    let mut by_shard: Vec<Vec<_>> = (0..shards).map(|_| Vec::new()).collect();
    for (number, listener) in listeners {
        let (listen, mut group) = (listener.listen(), listener.group);
        for (sockets, socket) in by_shard.iter_mut().zip(listener.sockets) {
            sockets.push(Sockets {
                number,
                listen,
                socket,
                group: group.take(),
            });
        }
    }
    by_shard
}

/// A change of all shards.
#[derive(Debug)]
pub struct Changes {
    /// What holds once it is done.
    pub listening: Listening,
    /// Listeners that are new, or listened at again.
    pub joining: Vec<Joining>,
    /// Those that accept nothing any more.
    pub retired: Vec<u16>,
    /// Those that end. A connection at whose address another one listens is that one's.
    pub closed: Vec<u16>,
    /// Settings. The number of shards, buffers and queues stay as they are.
    pub options: Options,
}

impl Changes {
    /// Each shard's part of it, which ends with what the application is told: the sockets that are new are there by then, and
    /// those that end are gone.
    pub fn split<C>(self, shards: u16, mut control: impl FnMut(u16) -> C) -> Vec<Change<C>> {
        let joining = self.joining.into_iter();
        let sockets = by_shard(joining.map(|joining| (joining.number, joining.listener)), shards);
        let listening = Arc::new(self.listening);
        let (retired, closed): (Arc<[u16]>, Arc<[u16]>) = (self.retired.into(), self.closed.into());
        let options = Arc::new(self.options);
        let part = |(shard, sockets)| Change {
            sockets,
            listening: Arc::clone(&listening),
            retired: Arc::clone(&retired),
            closed: Arc::clone(&closed),
            options: Arc::clone(&options),
            control: control(shard),
        };
        (0..shards).zip(sockets).map(part).collect()
    }
}

/// One shard's part of a change.
#[derive(Debug)]
pub struct Change<C> {
    pub(crate) sockets: Vec<Sockets>,
    pub(crate) listening: Arc<Listening>,
    pub(crate) retired: Arc<[u16]>,
    pub(crate) closed: Arc<[u16]>,
    pub(crate) options: Arc<Options>,
    pub(crate) control: C,
}

/// Why a shard has not taken a change.
#[derive(Debug)]
pub enum NotTaken<C> {
    /// It has not begun with the last one yet.
    Busy(Box<Change<C>>),
    /// It has ended, or there is none.
    Ended,
}
