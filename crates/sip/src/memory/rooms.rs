//! Which of many chunks have room.

/// One bit for each chunk, set while it has room.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    words: Vec<u64>,
}

impl Rooms {
    /// The first chunk with room.
    pub(super) fn first(&self) -> Option<usize> {
        let word = self.words.iter().position(|&word| word != 0)?;
        Some(word * 64 + self.words[word].trailing_zeros() as usize)
    }

    /// Says whether a chunk has room.
    pub(super) fn set(&mut self, chunk: usize, has_room: bool) {
        if chunk / 64 >= self.words.len() {
            self.words.resize(chunk / 64 + 1, 0);
        }
        let word = &mut self.words[chunk / 64];
        *word = *word & !(1 << (chunk % 64)) | u64::from(has_room) << (chunk % 64);
    }
}
