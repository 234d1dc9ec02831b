//! Spans of a text, and edits of it that are written out by copying what lies between them.

/// A range of a text of at most 65,535 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u16,
    /// One behind the last byte.
    pub end: u16,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u16,
            end: end as u16,
        }
    }

    /// The bytes it covers; empty when it reaches past the end.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(usize::from(self.start)..usize::from(self.end))
            .unwrap_or(&[])
    }
}

#[derive(Clone, Copy, Debug)]
struct Edit {
    /// What is taken out of the original; empty for an insert.
    cut: Span,
    /// What comes in its place, in [`Edits::text`].
    from: u32,
    to: u32,
}

/// Storage for a draft's edits; reused from text to text.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    edits: Vec<Edit>,
    text: Vec<u8>,
}

impl Edits {
    pub(crate) fn clear(&mut self) {
        self.edits.clear();
        self.text.clear();
    }

    /// Puts text in the place of a span. What replaces the same span again wins; inserts at the same place keep the
    /// order in which they were made.
    pub(crate) fn replace(&mut self, cut: Span, write: impl FnOnce(&mut Vec<u8>)) {
        let from = self.text.len() as u32;
        write(&mut self.text);
        let edit = Edit {
            cut,
            from,
            to: self.text.len() as u32,
        };
        let at = self
            .edits
            .iter()
            .rposition(|e| e.cut.start <= cut.start)
            .map_or(0, |i| i + 1);
        match at.checked_sub(1).and_then(|before| self.edits.get_mut(before)) {
            Some(before) if before.cut == cut && cut.start < cut.end => *before = edit,
            _ => self.edits.insert(at, edit),
        }
    }

    /// Writes the text out: ranges of the original and the edits' texts between them.
    pub(crate) fn finish(&self, bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(bytes.len() + self.text.len());
        let mut at = 0;
        for edit in &self.edits {
            let start = usize::from(edit.cut.start);
            if start > at {
                out.extend_from_slice(&bytes[at..start]);
            }
            out.extend_from_slice(&self.text[edit.from as usize..edit.to as usize]);
            at = at.max(usize::from(edit.cut.end));
        }
        out.extend_from_slice(&bytes[at..]);
    }
}
