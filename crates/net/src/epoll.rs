//! Readiness of sockets, and the bell that other threads ring.
#![expect(unsafe_code, reason = "epoll and eventfd system calls")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// What one wants to hear about a socket. Errors and hang-ups are always told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Errors only.
    Nothing,
    /// That there is something to read, or that the peer has closed its side.
    Read,
    /// That there is room to write.
    Write,
    /// Both.
    ReadWrite,
    /// Each ringing of a bell, once, so that nobody has to silence it.
    Ringing,
}

impl Interest {
    fn bits(self) -> u32 {
        let bits = match self {
            Self::Nothing => 0,
            Self::Read => libc::EPOLLIN | libc::EPOLLRDHUP,
            Self::Write => libc::EPOLLOUT,
            Self::ReadWrite => libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLOUT,
            Self::Ringing => libc::EPOLLIN | libc::EPOLLET,
        };
        bits as u32
    }
}

/// What became of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    /// What the socket was registered as.
    pub(crate) token: Token,
    bits: u32,
}

impl Readiness {
    pub(crate) fn is_readable(self) -> bool {
        self.bits & libc::EPOLLIN as u32 != 0
    }

    pub(crate) fn is_writable(self) -> bool {
        self.bits & libc::EPOLLOUT as u32 != 0
    }

    /// Whether the peer has closed its side, behind what there is to read.
    pub(crate) fn is_ended(self) -> bool {
        self.bits & libc::EPOLLRDHUP as u32 != 0
    }

    pub(crate) fn is_error(self) -> bool {
        self.bits & (libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0
    }
}

/// What a registered descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The shard's bell.
    Bell,
    /// The UDP socket of a listener.
    Udp(u16),
    /// The socket of the group that is heard at a listener.
    Group(u16),
    /// The listening socket of a listener.
    Acceptor(u16),
    /// A connection. The generation is cut to 24 bits: enough to tell it from its predecessor in the same place.
    Connection {
        /// Its place.
        index: u32,
        /// The low bits of its generation.
        generation: u32,
    },
}

/// The bits of a generation that a token carries.
pub(crate) const GENERATION_BITS: u32 = 0x00FF_FFFF;

impl Token {
    fn pack(self) -> u64 {
        match self {
            Self::Bell => 0,
            Self::Udp(listener) => 1 << 56 | u64::from(listener),
            Self::Acceptor(listener) => 2 << 56 | u64::from(listener),
            Self::Group(listener) => 4 << 56 | u64::from(listener),
            Self::Connection { index, generation } => {
                3 << 56 | u64::from(generation & GENERATION_BITS) << 32 | u64::from(index)
            }
        }
    }

    fn unpack(value: u64) -> Self {
        match value >> 56 {
            1 => Self::Udp(value as u16),
            2 => Self::Acceptor(value as u16),
            4 => Self::Group(value as u16),
            3 => Self::Connection {
                index: value as u32,
                generation: (value >> 32) as u32 & GENERATION_BITS,
            },
            _ => Self::Bell,
        }
    }
}

/// An epoll instance. Level-triggered but for bells: what is not taken in one turn is told again in the next.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(Self {
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
        })
    }

    /// Registers a descriptor. Closing it takes it out again.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, interest: Interest, token: Token) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, token)
    }

    /// Changes what one wants to hear about a descriptor.
    pub(crate) fn modify(&self, fd: BorrowedFd<'_>, interest: Interest, token: Token) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, token)
    }

    fn control(
        &self,
        operation: i32,
        fd: BorrowedFd<'_>,
        interest: Interest,
        token: Token,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest.bits(),
            u64: token.pack(),
        };
        // SAFETY: `event` is valid for the duration of the call, and both descriptors are open.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd.as_raw_fd(), &raw mut event) })?;
        Ok(())
    }

    /// Waits for readiness: `timeout_ms` at most, for ever when it is -1. An interrupting signal ends the wait.
    pub(crate) fn wait(&self, events: &mut Events, timeout_ms: i32) {
        // As a plain system call, because the C library's function is a cancellation point; and epoll_pwait, because
        // not every architecture has epoll_wait.
        // SAFETY: the buffer is valid for writes of as many events as its length says; there is no signal mask.
        let result = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait,
                self.fd.as_raw_fd(),
                events.buffer.as_mut_ptr(),
                events.buffer.len() as libc::c_int,
                timeout_ms,
                ptr::null::<libc::sigset_t>(),
                size_of::<u64>(),
            )
        };
        // The only failure that open descriptors and a valid buffer leave is an interrupting signal.
        events.len = usize::try_from(result).unwrap_or(0);
    }
}

/// The result of a wait.
pub(crate) struct Events {
    buffer: Box<[libc::epoll_event]>,
    len: usize,
}

impl Events {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            buffer: vec![libc::epoll_event { events: 0, u64: 0 }; capacity].into(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, position: usize) -> Readiness {
        let event = self.buffer[position];
        Readiness {
            token: Token::unpack(event.u64),
            bits: event.events,
        }
    }
}

/// Wakes a thread that waits in [`Epoll::wait`].
#[derive(Debug)]
pub(crate) struct Bell {
    fd: OwnedFd,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(Self {
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
        })
    }

    /// Ends the wait of who waits for its [`Ringing`](Interest::Ringing), or their next one. It fails only when it has been
    /// rung 2^64 times.
    pub(crate) fn ring(&self) {
        let one = 1u64;
        // SAFETY: eight bytes are readable at `one`.
        unsafe { libc::write(self.fd.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_way_through_the_kernel() {
        let tokens = [
            Token::Bell,
            Token::Udp(7),
            Token::Group(8),
            Token::Acceptor(65_535),
            Token::Connection {
                index: u32::MAX,
                generation: GENERATION_BITS,
            },
        ];
        for token in tokens {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }

    #[test]
    fn a_bell_rung_before_the_wait_ends_it_at_once() {
        let epoll = Epoll::new().expect("epoll");
        let bell = Bell::new().expect("eventfd");
        epoll
            .add(bell.as_fd(), Interest::Ringing, Token::Bell)
            .expect("register");
        let mut events = Events::new(4);
        for _ in 0..2 {
            bell.ring();
            epoll.wait(&mut events, 5000);
            assert_eq!(events.len(), 1);
            epoll.wait(&mut events, 0);
            assert_eq!(events.len(), 0);
        }
    }
}
