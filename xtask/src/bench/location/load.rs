//! Phones of the project's own: they register, refresh their registrations at a rate, and look each other up.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many requests are under way while everybody registers: as many as a socket's buffer holds without a setting.
const WINDOW: u64 = 96;
/// A request that is not answered for so long is sent again (it may have been lost where a buffer was full).
const AGAIN: Duration = Duration::from_millis(500);
/// Look-ups a second.
const LOOK_UPS: u32 = 250;
/// Refreshes a second.
const REFRESHES: u32 = 2_000;

/// A phone for each of so many users, in front of one server.
pub(super) struct Phones {
    server: SocketAddr,
    users: u64,
    /// The number of the CSeq of the next REGISTER: one that the server has not seen.
    cseq: AtomicU64,
}

/// What came of look-ups while registrations were refreshed.
#[derive(Debug)]
pub(super) struct Seen {
    /// Microseconds of each look-up, sorted, for each of the windows.
    pub(super) windows: Vec<Vec<u64>>,
    pub(super) unanswered: u64,
    /// Answers other than a redirect.
    pub(super) wrong: u64,
    /// Refreshes answered in a second.
    pub(super) refreshed: u64,
    /// Refreshes that were not answered, or not with 200.
    pub(super) not_refreshed: u64,
}

impl Seen {
    /// The time below which so many in a thousand look-ups stay, in microseconds: the median of all windows, so that it
    /// does not say what else this machine had to do once.
    pub(super) fn quantile(&self, thousandths: usize) -> u64 {
        let of = |sorted: &Vec<u64>, thousandths: usize| {
            let last = sorted.len().saturating_sub(1);
            sorted.get(last * thousandths / 1000).copied().unwrap_or_default()
        };
        let mut all: Vec<_> = self
            .windows
            .iter()
            .map(|window| of(window, thousandths))
            .collect();
        all.sort_unstable();
        of(&all, 500)
    }
}

fn socket(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    Ok(socket)
}

impl Phones {
    pub(super) fn new(server: SocketAddr, users: u64) -> Self {
        Self {
            server,
            users,
            cseq: AtomicU64::new(2),
        }
    }

    /// Registers everybody, until a deadline. How many are.
    pub(super) fn register_all(&self, deadline: Instant) -> io::Result<u64> {
        let socket = socket(self.server)?;
        socket.set_read_timeout(Some(AGAIN))?;
        let (mut next, mut registered) = (0, 0);
        let mut under_way = HashSet::new();
        let (mut text, mut answer) = (String::new(), [0; 4096]);
        while registered < self.users && Instant::now() < deadline {
            while next < self.users && (under_way.len() as u64) < WINDOW {
                register(&mut text, next, 1, self.server);
                socket.send(text.as_bytes())?;
                under_way.insert(next);
                next += 1;
            }
            match socket.recv(&mut answer) {
                Ok(len) => {
                    let answered = is_status(&answer[..len], b"200").then(|| user_of(&answer[..len]));
                    let is_new = answered.flatten().is_some_and(|user| under_way.remove(&user));
                    registered += u64::from(is_new);
                }
                Err(error) if is_timeout(&error) => {
                    for &user in &under_way {
                        register(&mut text, user, 1, self.server);
                        socket.send(text.as_bytes())?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(registered)
    }

    /// Waits until a look-up of somebody is answered: the server is up. With a redirect, if it has them.
    pub(super) fn wait_until_up(&self, has_them: bool, deadline: Instant) -> io::Result<bool> {
        let (mut text, mut answer) = (String::new(), [0; 4096]);
        // The last to register is the last to be read, as a rule.
        let user = self.users - 1;
        for attempt in 0.. {
            if Instant::now() > deadline {
                break;
            }
            let socket = socket(self.server)?;
            socket.set_read_timeout(Some(Duration::from_millis(20)))?;
            invite(&mut text, user, attempt, self.server);
            // Nobody may be there to take it yet.
            if socket.send(text.as_bytes()).is_ok()
                && let Ok(len) = socket.recv(&mut answer)
                && (!has_them || is_status(&answer[..len], b"302"))
            {
                acknowledge(&mut text, &answer[..len]);
                socket.send(text.as_bytes())?;
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(false)
    }

    /// Looks users up in so many windows of time, while registrations are refreshed.
    pub(super) fn look_up(&self, windows: usize, time: Duration) -> io::Result<Seen> {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let refreshing = scope.spawn(|| self.refresh(&is_over));
            // What is measured begins when the refreshes are under way.
            thread::sleep(Duration::from_millis(500));
            let looked_up = self.ask(windows, time);
            is_over.store(true, Ordering::Relaxed);
            let (answered, refused, seconds) = refreshing
                .join()
                .map_err(|_| io::Error::other("refreshing has panicked"))??;
            let mut seen = looked_up?;
            seen.refreshed = (answered as f64 / seconds).round() as u64;
            seen.not_refreshed = refused;
            Ok(seen)
        })
    }

    fn ask(&self, windows: usize, time: Duration) -> io::Result<Seen> {
        let mut seen = Seen {
            windows: Vec::new(),
            unanswered: 0,
            wrong: 0,
            refreshed: 0,
            not_refreshed: 0,
        };
        let socket = socket(self.server)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        let (mut text, mut answer) = (String::new(), [0; 4096]);
        let mut pace = Pace::of(LOOK_UPS);
        let begun_at = Instant::now();
        let mut number = 1_000_000;
        seen.windows = vec![Vec::new(); windows];
        while let Some(window) = seen
            .windows
            .get_mut((begun_at.elapsed().as_micros() / time.as_micros()) as usize)
        {
            // If the answer before came too late for this one to be sent in time, it has waited since then.
            let begun = pace.wait().unwrap_or_else(Instant::now);
            number += 1;
            invite(&mut text, drawn(number, self.users), number, self.server);
            socket.send(text.as_bytes())?;
            let status = loop {
                match socket.recv(&mut answer) {
                    Ok(len) if !is_of(&answer[..len], number) || is_status(&answer[..len], b"100") => {}
                    Ok(len) => break Some(is_status(&answer[..len], b"302").then_some(len)),
                    Err(error) if is_timeout(&error) => break None,
                    Err(error) => return Err(error),
                }
            };
            window.push(begun.elapsed().as_micros() as u64);
            match status {
                None => seen.unanswered += 1,
                Some(None) => seen.wrong += 1,
                Some(Some(len)) => {
                    acknowledge(&mut text, &answer[..len]);
                    socket.send(text.as_bytes())?;
                }
            }
        }
        seen.windows.iter_mut().for_each(|window| window.sort_unstable());
        Ok(seen)
    }

    /// Refreshes registrations at the rate. How many were answered with 200, how many were not, and in how many seconds.
    fn refresh(&self, is_over: &AtomicBool) -> io::Result<(u64, u64, f64)> {
        let socket = socket(self.server)?;
        socket.set_nonblocking(true)?;
        let begun = Instant::now();
        let (mut sent, mut answered) = (0_u64, 0_u64);
        let (mut text, mut answer) = (String::new(), [0; 4096]);
        // As phones do, several within a few milliseconds.
        let mut pace = Pace::of(REFRESHES / 10);
        while !is_over.load(Ordering::Relaxed) {
            pace.wait();
            for _ in 0..10 {
                let cseq = self.cseq.fetch_add(1, Ordering::Relaxed);
                register(&mut text, drawn(cseq, self.users), cseq, self.server);
                sent += u64::from(socket.send(text.as_bytes()).is_ok());
            }
            while let Ok(len) = socket.recv(&mut answer) {
                answered += u64::from(is_status(&answer[..len], b"200"));
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        let late = Instant::now() + Duration::from_secs(1);
        while answered < sent && Instant::now() < late {
            match socket.recv(&mut answer) {
                Ok(len) => answered += u64::from(is_status(&answer[..len], b"200")),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
        Ok((answered, sent - answered, seconds))
    }
}

/// So many times a second, evenly.
struct Pace {
    next: Instant,
    every: Duration,
}

impl Pace {
    fn of(rate: u32) -> Self {
        let every = Duration::from_secs(1) / rate;
        Self {
            next: Instant::now() + every,
            every,
        }
    }

    /// Waits until it is time; since when it has been if it was before.
    fn wait(&mut self) -> Option<Instant> {
        let (now, due) = (Instant::now(), self.next);
        self.next += self.every;
        if now < due {
            thread::sleep(due - now);
            None
        } else {
            Some(due)
        }
    }
}

/// One of the users, spread over all.
fn drawn(number: u64, users: u64) -> u64 {
    let mut hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (hash ^ (hash >> 29)) % users
}

/// A REGISTER of a user, for an hour.
fn register(text: &mut String, user: u64, cseq: u64, server: SocketAddr) {
    use std::fmt::Write as _;
    text.clear();
    let host = server.ip();
    let _ = write!(
        text,
        "REGISTER sip:{host} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:6000;branch=z9hG4bK{user:08}{cseq};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:u{user:07}@{host}>;tag=f{user:08}\r\n\
         To: <sip:u{user:07}@{host}>\r\n\
         Call-ID: 7f3a-{user:08}@192.168.100.1\r\n\
         CSeq: {cseq} REGISTER\r\n\
         Contact: <sip:u{user:07}@127.0.0.1:6000>\r\n\
         Expires: 3600\r\n\
         User-Agent: phone/1.2\r\n\
         Content-Length: 0\r\n\r\n"
    );
}

fn invite(text: &mut String, user: u64, number: u64, server: SocketAddr) {
    use std::fmt::Write as _;
    text.clear();
    let host = server.ip();
    let _ = write!(
        text,
        "INVITE sip:u{user:07}@{host} SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:6000;branch=z9hG4bKi{number};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:caller@{host}>;tag=c{number}\r\n\
         To: <sip:u{user:07}@{host}>\r\n\
         Call-ID: look-{number}@192.168.100.1\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:caller@127.0.0.1:6000>\r\n\
         Content-Length: 0\r\n\r\n"
    );
}

/// The ACK of an answer that is no 2xx: the same Via, From, To and Call-ID.
fn acknowledge(text: &mut String, answer: &[u8]) {
    let answer = String::from_utf8_lossy(answer);
    let line = |name: &str| {
        let found = answer.lines().find(|line| line.starts_with(name));
        found.unwrap_or_default()
    };
    let via = line("Via:").split(";received").next().unwrap_or_default();
    let to = line("To:");
    let uri = to.split(['<', '>']).nth(1).unwrap_or_default();
    let (from, call_id) = (line("From:"), line("Call-ID:"));
    *text = format!(
        "ACK {uri} SIP/2.0\r\n{via}\r\nMax-Forwards: 70\r\n{from}\r\n{to}\r\n{call_id}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
    );
}

fn is_status(answer: &[u8], code: &[u8; 3]) -> bool {
    answer
        .strip_prefix(b"SIP/2.0 ")
        .is_some_and(|rest| rest.starts_with(code))
}

/// Whether an answer is that to the look-up of this number.
fn is_of(answer: &[u8], number: u64) -> bool {
    number_behind(answer, b"look-") == Some(number)
}

/// Whose REGISTER an answer is for.
fn user_of(answer: &[u8]) -> Option<u64> {
    number_behind(answer, b"7f3a-")
}

fn number_behind(answer: &[u8], mark: &[u8]) -> Option<u64> {
    let at = answer.windows(mark.len()).position(|window| window == mark)?;
    let digits = answer[at + mark.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number, digit| {
        Some(number.unwrap_or(0) * 10 + u64::from(digit - b'0'))
    })
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_known_by_the_number_in_their_call_id() {
        let mut text = String::new();
        let server = (Ipv4Addr::LOCALHOST, 5060).into();
        register(&mut text, 1_234_567, 9, server);
        assert_eq!(user_of(text.as_bytes()), Some(1_234_567));
        invite(&mut text, 5, 77, server);
        assert!(is_of(text.as_bytes(), 77) && !is_of(text.as_bytes(), 7));
        assert_eq!(user_of(text.as_bytes()), None);
    }

    #[test]
    fn an_ack_takes_from_the_answer_what_it_has_to() {
        let answer =
            b"SIP/2.0 302 Moved\r\nVia: SIP/2.0/UDP 127.0.0.1:6000;branch=z9hG4bKi1;received=127.0.0.1\r\n\
            From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\nCall-ID: look-1\r\nCSeq: 1 INVITE\r\n\r\n";
        let mut text = String::new();
        acknowledge(&mut text, answer);
        assert!(
            text.starts_with("ACK sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:6000;branch=z9hG4bKi1\r\n"),
            "{text}"
        );
        assert!(text.contains("\r\nTo: <sip:b@x>;tag=2\r\n"), "{text}");
        assert!(is_status(answer, b"302") && !is_status(answer, b"200"));
    }

    #[test]
    fn quantiles_are_of_what_was_measured() {
        let seen = |windows| Seen {
            windows,
            unanswered: 0,
            wrong: 0,
            refreshed: 0,
            not_refreshed: 0,
        };
        let window = |first| (first..first + 1001).collect();
        let all = seen(vec![window(1), window(900_000), window(3)]);
        assert_eq!((all.quantile(500), all.quantile(990)), (503, 993));
        assert_eq!(seen(Vec::new()).quantile(500), 0);
    }
}
