//! The least that a SIP server costs over TCP: whatever is ready is read, then whatever was read is answered, with one
//! system call for each and nothing done to a message but to find its end.
//!
//! `stream_floor ADDRESS` answers every request that has no body with a 200 that has all of its header fields. What a
//! server takes under the same load, divided by what this takes, is how far it is from the kernel's floor.
#![expect(unsafe_code, reason = "epoll system calls")]

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

const EVENTS: usize = 256;
const STATUS_LINE: &[u8] = b"SIP/2.0 200 OK\r\n";

fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = std::env::args()
        .nth(1)
        .ok_or("usage: stream_floor ADDRESS")?
        .parse()?;
    let listener = TcpListener::bind(address)?;
    let epoll = Epoll::new()?;
    epoll.add(listener.as_raw_fd())?;
    let mut connections = HashMap::new();
    let mut landing = vec![0; 16 << 10];
    let (mut answers, mut written) = (Vec::new(), Vec::new());
    loop {
        for fd in epoll.wait()? {
            if fd == listener.as_raw_fd() {
                let (connection, _) = listener.accept()?;
                connection.set_nodelay(true)?;
                connection.set_nonblocking(true)?;
                epoll.add(connection.as_raw_fd())?;
                connections.insert(connection.as_raw_fd(), connection);
            } else if let Some(count) = read(&connections, fd, &mut landing) {
                let start = answers.len();
                answer(&landing[..count], &mut answers);
                written.push((fd, start..answers.len()));
            } else {
                connections.remove(&fd);
            }
        }
        for (fd, span) in written.drain(..) {
            if let Some(mut connection) = connections.get(&fd) {
                connection.write_all(&answers[span])?;
            }
        }
        answers.clear();
    }
}

/// The bytes that were read; `None` at the end of the stream.
fn read(connections: &HashMap<RawFd, TcpStream>, fd: RawFd, landing: &mut [u8]) -> Option<usize> {
    let mut connection = connections.get(&fd)?;
    connection.read(landing).ok().filter(|&count| count > 0)
}

/// Answers the messages of a read that ends where the last one ends, as it does for peers that wait for their answer.
fn answer(mut requests: &[u8], answers: &mut Vec<u8>) {
    while let Some(end) = memchr::memmem::find(requests, b"\r\n\r\n") {
        let (request, rest) = requests.split_at(end + 4);
        let fields = memchr::memchr(b'\n', request).map_or(0, |at| at + 1);
        answers.extend_from_slice(STATUS_LINE);
        answers.extend_from_slice(&request[fields..]);
        requests = rest;
    }
}

struct Epoll(OwnedFd);

impl Epoll {
    fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    fn add(&self, fd: RawFd) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: fd as u64,
        };
        // SAFETY: `event` is valid for the duration of the call.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) })?;
        Ok(())
    }

    /// What is ready; it waits until something is.
    fn wait(&self) -> io::Result<impl Iterator<Item = RawFd>> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // SAFETY: the buffer is valid for writes of as many events as are asked for.
        let count =
            check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, -1) })?;
        Ok(events
            .into_iter()
            .take(count as usize)
            .map(|event| event.u64 as RawFd))
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
