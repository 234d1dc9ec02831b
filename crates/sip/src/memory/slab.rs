//! Records with numbers: an index that a branch can carry, and an allocation counter that tells one use of a place
//! from the next.

use super::Chunks;

/// Names a record. A stale one finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    /// The record's place.
    pub index: u32,
    /// Which allocation of the slab it was.
    pub counter: u32,
}

/// Records in chunks that are given back after a peak.
#[derive(Clone, Debug)]
pub struct Slab<T> {
    entries: Chunks<(u32, T)>,
    counter: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            entries: Chunks::default(),
            counter: 0,
        }
    }
}

impl<T> Slab<T> {
    /// The name that the next record gets.
    pub fn next_id(&self) -> Id {
        Id {
            index: self.entries.next_index(),
            counter: self.counter.wrapping_add(1),
        }
    }

    /// Adds a record; `make` is told its name.
    pub fn insert_with(&mut self, make: impl FnOnce(Id) -> T) -> Id {
        self.counter = self.counter.wrapping_add(1);
        let counter = self.counter;
        let index = self
            .entries
            .insert_with(|index| (counter, make(Id { index, counter })));
        Id { index, counter }
    }

    /// The record of that name.
    pub fn get(&self, id: Id) -> Option<&T> {
        self.entries
            .get(id.index)
            .filter(|e| e.0 == id.counter)
            .map(|e| &e.1)
    }

    /// The record of that name, to change it.
    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.entries
            .get_mut(id.index)
            .filter(|e| e.0 == id.counter)
            .map(|e| &mut e.1)
    }

    /// The record at a place, whichever it is, with its name.
    pub fn at(&self, index: u32) -> Option<(Id, &T)> {
        let (counter, value) = self.entries.get(index)?;
        let counter = *counter;
        Some((Id { index, counter }, value))
    }

    /// Takes the record of that name out.
    pub fn remove(&mut self, id: Id) -> Option<T> {
        self.get(id)?;
        self.entries.remove(id.index).map(|e| e.1)
    }

    /// Drops the record of that name where it is.
    pub fn discard(&mut self, id: Id) {
        if self.get(id).is_some() {
            self.entries.discard(id.index);
        }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every record with its name.
    pub fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.entries.iter().map(|(index, (counter, value))| {
            let counter = *counter;
            (Id { index, counter }, value)
        })
    }

    /// Bytes of the records' places.
    pub fn bytes(&self) -> usize {
        self.entries.bytes()
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
    fn every_record_has_its_name() {
        let mut slab = Slab::default();
        let ids: Vec<_> = (0..1000).map(|i| slab.insert_with(|_| i)).collect();
        assert!(
            slab.iter()
                .zip(&ids)
                .all(|(a, b)| a.0 == *b && slab.get(*b) == Some(a.1))
        );
        assert_eq!(slab.at(ids[10].index), Some((ids[10], &10)));
        slab.remove(ids[10]);
        let next = slab.next_id();
        assert_eq!((slab.insert_with(|_| 7), next.index), (next, 10));
    }
}
