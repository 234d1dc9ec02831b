//! A row of the log: all that one transaction commits, packed, so that a batch of commits costs the database one insert.
//!
//! ```text
//! 8 bytes    checksum of what follows; 0 where there is none: rows of one commit, from a log without checksums
//! then for each commit, in the order in which they were decided:
//! 2 bytes    length of the address-of-record, little-endian
//! 2 bytes    length of the record; 0 is a removal
//! ...        the address-of-record, the record
//! ```

use siphasher::sip::SipHasher13;

use crate::location::{MAX_AOR, MAX_RECORD};

const CHECKSUM: usize = 8;
const LENGTHS: usize = 4;

const _: () = assert!(MAX_AOR <= u16::MAX as usize);
const _: () = assert!(MAX_RECORD <= u16::MAX as usize);

/// A row that is being packed. Its buffer is used for one row after the other.
#[derive(Debug)]
pub(super) struct RowWriter {
    bytes: Vec<u8>,
}

impl RowWriter {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; CHECKSUM],
        }
    }

    /// Adds a commit, which is no longer than a store takes.
    pub(super) fn push(&mut self, aor: &[u8], record: &[u8]) {
        debug_assert!(!aor.is_empty() && aor.len() <= MAX_AOR && record.len() <= MAX_RECORD);
        self.bytes.extend_from_slice(&(aor.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(&(record.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(aor);
        self.bytes.extend_from_slice(record);
    }

    /// The bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The whole row; `None` when nothing was added.
    pub(super) fn seal(&mut self) -> Option<&[u8]> {
        let (sum, commits) = self.bytes.split_first_chunk_mut::<CHECKSUM>()?;
        if commits.is_empty() {
            return None;
        }
        *sum = checksum(commits).to_le_bytes();
        Some(&self.bytes)
    }

    /// Begins the next row.
    pub(super) fn clear(&mut self) {
        self.bytes.truncate(CHECKSUM);
    }
}

/// A row that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// Visits every commit of a row (address-of-record, record), in order, and tells how many there are; none is visited of a
/// row whose checksum says that it is damaged.
pub(super) fn for_each(row: &[u8], mut visit: impl FnMut(&[u8], &[u8])) -> Result<u64, Damaged> {
    let (sum, mut rest) = row.split_first_chunk::<CHECKSUM>().ok_or(Damaged)?;
    let sum = u64::from_le_bytes(*sum);
    if sum != 0 && sum != checksum(rest) {
        return Err(Damaged);
    }
    let mut count = 0;
    while !rest.is_empty() {
        if sum == 0 && count == 1 {
            return Err(Damaged);
        }
        let ([a, b, c, d], texts) = rest.split_first_chunk::<LENGTHS>().ok_or(Damaged)?;
        let aor = usize::from(u16::from_le_bytes([*a, *b]));
        let record = usize::from(u16::from_le_bytes([*c, *d]));
        let (aor, texts) = texts.split_at_checked(aor).ok_or(Damaged)?;
        if aor.is_empty() {
            return Err(Damaged);
        }
        let (record, behind) = texts.split_at_checked(record).ok_or(Damaged)?;
        visit(aor, record);
        count += 1;
        rest = behind;
    }
    Ok(count)
}

/// Never 0. Without a key: it is there against disks, not against people, and must not depend on a secret that may be made
/// anew.
fn checksum(commits: &[u8]) -> u64 {
    SipHasher13::new().hash(commits).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(commits: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut row = RowWriter::new();
        row.push(b"an earlier row", b"");
        row.clear();
        for (aor, record) in commits {
            row.push(aor, record);
        }
        row.seal().expect("not empty").to_vec()
    }

    type Commits = Vec<(Vec<u8>, Vec<u8>)>;

    fn read(row: &[u8]) -> Result<Commits, Damaged> {
        let mut all = Vec::new();
        let count = for_each(row, |aor, record| all.push((aor.to_vec(), record.to_vec())))?;
        assert_eq!(count as usize, all.len());
        Ok(all)
    }

    #[test]
    fn what_is_packed_is_read_in_order() {
        let row = row(&[(b"a@x", b"one"), (b"b@x", b""), (b"a@x", &[9; MAX_RECORD])]);
        let all = read(&row).expect("whole");
        assert_eq!(all[0], (b"a@x".to_vec(), b"one".to_vec()));
        assert_eq!(all[1], (b"b@x".to_vec(), Vec::new()));
        assert_eq!(all[2].1.len(), MAX_RECORD);
        assert_eq!(RowWriter::new().seal(), None);
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let whole = row(&[(b"alice@example.test", b"record"), (b"b", b"")]);
        for at in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert_eq!(read(&changed), Err(Damaged), "bit {at}");
        }
        for len in 0..whole.len() {
            assert_eq!(read(&whole[..len]), Err(Damaged), "cut at {len}");
        }
    }

    #[test]
    fn a_row_without_a_checksum_is_read_as_far_as_it_makes_sense() {
        let mut old = row(&[(b"a@x", b"one")]);
        old[..CHECKSUM].fill(0);
        assert_eq!(read(&old).expect("taken").len(), 1);
        old.pop();
        assert_eq!(read(&old), Err(Damaged));
        let mut two = row(&[(b"a@x", b"one"), (b"b@x", b"two")]);
        two[..CHECKSUM].fill(0);
        assert_eq!(read(&two), Err(Damaged));
        assert_eq!(read(&[0; 2056]), Err(Damaged));
    }
}
