//! Records with numbers: an index that a branch can carry, and an allocation counter that tells one use of a place
//! from the next.

const CHUNK: usize = 64;

/// Names a record. A stale one finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    /// The record's place.
    pub index: u32,
    /// Which allocation of the slab it was.
    pub counter: u32,
}

#[derive(Debug)]
struct Chunk<T> {
    used: u64,
    entries: Box<[Option<(u32, T)>]>,
}

impl<T> Chunk<T> {
    fn empty() -> Self {
        Self {
            used: 0,
            entries: (0..CHUNK).map(|_| None).collect(),
        }
    }
}

/// Records in chunks of 64. Chunks fill from the front; one that is empty is freed, but for one that is kept ready.
#[derive(Debug)]
pub struct Slab<T> {
    chunks: Vec<Option<Chunk<T>>>,
    spare: Option<Chunk<T>>,
    /// No chunk before this one has room.
    open: usize,
    counter: u32,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            spare: None,
            open: 0,
            counter: 0,
            len: 0,
        }
    }
}

impl<T> Slab<T> {
    /// The name that the next record gets.
    pub fn next_id(&mut self) -> Id {
        self.find_open();
        let used = match self.chunks.get(self.open) {
            Some(Some(chunk)) => chunk.used,
            _ => 0,
        };
        Id {
            index: (self.open * CHUNK + used.trailing_ones() as usize) as u32,
            counter: self.counter.wrapping_add(1),
        }
    }

    /// Finds the first chunk with room.
    fn find_open(&mut self) {
        while matches!(self.chunks.get(self.open), Some(Some(chunk)) if chunk.used == u64::MAX) {
            self.open += 1;
        }
    }

    /// Adds a record; `make` is told its name.
    pub fn insert_with(&mut self, make: impl FnOnce(Id) -> T) -> Id {
        self.find_open();
        if self.open == self.chunks.len() {
            self.chunks.push(None);
        }
        let spare = &mut self.spare;
        let chunk = self.chunks[self.open].get_or_insert_with(|| spare.take().unwrap_or_else(Chunk::empty));
        let at = chunk.used.trailing_ones() as usize;
        self.counter = self.counter.wrapping_add(1);
        let id = Id {
            index: (self.open * CHUNK + at) as u32,
            counter: self.counter,
        };
        chunk.used |= 1 << at;
        chunk.entries[at] = Some((id.counter, make(id)));
        self.len += 1;
        id
    }

    fn entry(&self, index: u32) -> Option<&(u32, T)> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.as_ref()?.entries[index % CHUNK].as_ref()
    }

    /// The record of that name.
    pub fn get(&self, id: Id) -> Option<&T> {
        self.entry(id.index).filter(|e| e.0 == id.counter).map(|e| &e.1)
    }

    /// The record of that name, to change it.
    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        let index = id.index as usize;
        let entry = self.chunks.get_mut(index / CHUNK)?.as_mut()?.entries[index % CHUNK].as_mut();
        entry.filter(|e| e.0 == id.counter).map(|e| &mut e.1)
    }

    /// Takes the record of that name out.
    pub fn remove(&mut self, id: Id) -> Option<T> {
        self.get(id)?;
        let (place, at) = (id.index as usize / CHUNK, id.index as usize % CHUNK);
        let chunk = self.chunks.get_mut(place)?.as_mut()?;
        let (_, value) = chunk.entries[at].take()?;
        chunk.used &= !(1 << at);
        self.len -= 1;
        self.open = self.open.min(place);
        if chunk.used == 0 {
            self.spare = self.chunks[place].take();
            while let Some(None) = self.chunks.last() {
                self.chunks.pop();
            }
            self.open = self.open.min(self.chunks.len());
        }
        Some(value)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every record with its name.
    pub fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.chunks.iter().enumerate().flat_map(|(place, chunk)| {
            chunk.iter().flat_map(move |c| {
                c.entries.iter().enumerate().filter_map(move |(at, entry)| {
                    let (counter, value) = entry.as_ref()?;
                    Some((
                        Id {
                            index: (place * CHUNK + at) as u32,
                            counter: *counter,
                        },
                        value,
                    ))
                })
            })
        })
    }

    /// Bytes of the records' places.
    pub fn bytes(&self) -> usize {
        self.chunks.iter().flatten().count() * CHUNK * size_of::<Option<(u32, T)>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_name_finds_nothing() {
        let mut slab = Slab::default();
        let first = slab.insert_with(|_| "a");
        assert_eq!(slab.remove(first), Some("a"));
        let second = slab.insert_with(|_| "b");
        assert_eq!(
            (first.index, slab.get(first), slab.get(second)),
            (second.index, None, Some(&"b"))
        );
    }

    #[test]
    fn places_fill_from_the_front_and_chunks_are_given_back() {
        let mut slab = Slab::default();
        let ids: Vec<_> = (0..1000).map(|i| slab.insert_with(|_| i)).collect();
        assert_eq!(slab.iter().count(), 1000);
        for &id in &ids[64..] {
            slab.remove(id);
        }
        assert_eq!((slab.len(), slab.chunks.len()), (64, 1));
        slab.remove(ids[10]);
        assert_eq!(slab.insert_with(|_| 7).index, 10);
    }
}
