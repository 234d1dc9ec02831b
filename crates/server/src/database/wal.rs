//! Looks at a write-ahead log of SQLite before SQLite does. SQLite takes the first frame that does not check for the end of
//! the log, as it has to after a loss of power; so damage in the middle would silently undo what was committed after it.
//!
//! The format: <https://www.sqlite.org/fileformat2.html#walformat>.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// The low bit of the magic number says in which order the checksum reads bytes.
const MAGIC: u32 = 0x377f_0682;

/// What is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No frame, or no file at all.
    Nothing,
    /// Frames. What follows the last good one can be the rest of a commit that was not finished.
    Intact,
    /// A frame does not check although a later commit was begun, or the beginning of the log does not.
    Damaged {
        /// Where, in bytes from the beginning.
        at: u64,
    },
}

/// Reads a log.
///
/// # Errors
/// It is there and can't be read.
pub(super) fn check(path: &Path) -> io::Result<Found> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        opened => opened?,
    };
    scan(&mut BufReader::with_capacity(1 << 16, file))
}

fn scan(log: &mut impl Read) -> io::Result<Found> {
    let mut header = [0; HEADER];
    if !fill(log, &mut header)? {
        return Ok(Found::Nothing);
    }
    let Some(Start { mut sum, salt, page }) = Start::read(&header) else {
        // It is synced before the first frame is written, so where there is a frame, it was there.
        let mut rest = [0; FRAME_HEADER];
        let frames = fill(log, &mut rest)? && rest != [0; FRAME_HEADER];
        return Ok(if frames {
            Found::Damaged { at: 0 }
        } else {
            Found::Nothing
        });
    };
    let mut frame = vec![0; FRAME_HEADER + page];
    let (mut bad, mut commit_after_bad, mut good) = (None, false, false);
    let mut at = HEADER as u64;
    while fill(log, &mut frame)? {
        let ours = frame[8..16] == salt;
        match bad {
            None => {
                sum.add(&frame[..8]);
                sum.add(&frame[FRAME_HEADER..]);
                let checks = ours && frame[16..24] == sum.bytes();
                if checks {
                    good = true;
                } else {
                    bad = Some(at);
                }
            }
            // Frames of a former round have other salts.
            Some(at) if ours && commit_after_bad => return Ok(Found::Damaged { at }),
            Some(_) => {}
        }
        if bad.is_some() && ours && word(&frame, 4) != 0 {
            commit_after_bad = true;
        }
        at += frame.len() as u64;
    }
    Ok(if good { Found::Intact } else { Found::Nothing })
}

/// The beginning of a log.
struct Start {
    sum: Checksum,
    salt: [u8; 8],
    page: usize,
}

impl Start {
    /// `None` when it is damaged.
    fn read(header: &[u8; HEADER]) -> Option<Self> {
        let magic = word(header, 0);
        let page = usize::try_from(word(header, 8)).ok()?;
        let mut sum = Checksum {
            big_endian: magic & 1 == 1,
            sums: (0, 0),
        };
        sum.add(&header[..24]);
        let checks = magic & !1 == MAGIC && page.is_power_of_two() && (512..=65_536).contains(&page);
        (checks && header[24..] == sum.bytes()).then(|| Self {
            sum,
            salt: std::array::from_fn(|at| header[16 + at]),
            page,
        })
    }
}

/// The running checksum of a log.
struct Checksum {
    big_endian: bool,
    sums: (u32, u32),
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            let (mut first, mut second) = (word(pair, 0), word(pair, 4));
            if !self.big_endian {
                (first, second) = (first.swap_bytes(), second.swap_bytes());
            }
            self.sums.0 = self.sums.0.wrapping_add(first).wrapping_add(self.sums.1);
            self.sums.1 = self.sums.1.wrapping_add(second).wrapping_add(self.sums.0);
        }
    }

    fn bytes(&self) -> [u8; 8] {
        (u64::from(self.sums.0) << 32 | u64::from(self.sums.1)).to_be_bytes()
    }
}

/// The big-endian number at an offset; zero beyond the end.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |word| u32::from_be_bytes(*word))
}

/// Fills the buffer; false at the end of the log, also within.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;
    use strowger_testkit::Scratch;

    use super::*;

    /// A log of five commits of one page each, as SQLite wrote it.
    fn log(scratch: &Scratch) -> Vec<u8> {
        let path = scratch.path().join("x.db");
        let connection = Connection::open(&path).expect("opens");
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (n); PRAGMA wal_checkpoint(TRUNCATE)")
            .expect("made");
        for n in 0..5 {
            connection
                .execute("INSERT INTO t VALUES (?)", [n])
                .expect("written");
        }
        fs::read(scratch.path().join("x.db-wal")).expect("there")
    }

    fn found(bytes: &[u8]) -> Found {
        scan(&mut &bytes[..]).expect("read from memory")
    }

    const FRAME: usize = FRAME_HEADER + 4096;

    #[test]
    fn what_sqlite_wrote_is_intact_and_what_is_cut_off_ends_there() {
        let bytes = log(&Scratch::new());
        assert_eq!(bytes.len(), HEADER + 5 * FRAME);
        assert_eq!(found(&bytes), Found::Intact);
        assert_eq!(found(&bytes[..bytes.len() - 1]), Found::Intact);
        assert_eq!(found(&bytes[..HEADER + FRAME - 1]), Found::Nothing);
        assert_eq!(found(&[]), Found::Nothing);
        assert_eq!(found(&[0; HEADER + FRAME]), Found::Nothing);
    }

    #[test]
    fn any_damage_before_the_last_commit_is_seen() {
        let bytes = log(&Scratch::new());
        for at in (0..HEADER).chain(HEADER..HEADER + 3 * FRAME).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            let frame = at.saturating_sub(HEADER) / FRAME;
            let expected = if at < HEADER { 0 } else { HEADER + frame * FRAME };
            assert_eq!(
                found(&damaged),
                Found::Damaged { at: expected as u64 },
                "byte {at}"
            );
        }
    }

    #[test]
    fn a_last_commit_that_does_not_check_was_not_finished() {
        let mut bytes = log(&Scratch::new());
        let last = bytes.len() - 100;
        bytes[last] ^= 1;
        assert_eq!(found(&bytes), Found::Intact);
    }
}
