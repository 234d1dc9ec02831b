//! Messages made wrong, the same way in every run.

/// xorshift64: the same mutations in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below the limit; 0 when that is 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Pieces that mean something to some parser.
const PIECES: [&[u8]; 40] = [
    b"\r\n",
    b"\r\n ",
    b"\n",
    b"\r",
    b";",
    b",",
    b"=",
    b"\"",
    b"\\",
    b"<",
    b">",
    b":",
    b"@",
    b"%",
    b"%4",
    b"%00",
    b"[",
    b"]",
    b"?",
    b"&",
    b"/",
    b"(",
    b")",
    b" ",
    b"\t",
    b"\0",
    b"\xff",
    b"*",
    b"+",
    b"l: 9\r\n",
    b"Content-Length: 0\r\n",
    b"99999999999999999999",
    b"4294967296",
    b"65536",
    b"-1",
    b"SIP/2.0",
    b"tag=",
    b"rport",
    b"received=",
    b"\r\n\r\n",
];

/// Changes a message in one to five places.
pub(crate) fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => drop(bytes.drain(at..(at + random.below(20)).min(bytes.len()))),
            1 => bytes.truncate(at),
            2 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            3 => {
                let from = random.below(bytes.len() + 1).min(at);
                let piece = bytes[from..at.min(from + 60)].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
}
