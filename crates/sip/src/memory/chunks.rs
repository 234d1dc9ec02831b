//! Things of one size, by number, in chunks that are given back when they are empty.

use super::CHUNK_BYTES;
use super::rooms::Rooms;

const NONE: u32 = u32::MAX;

/// How many places of an empty chunk may have been touched that stays where it is: things that come and go one at a time
/// open and close no chunk.
const FEW: usize = 16;

#[derive(Clone, Debug)]
enum Place<T> {
    Used(T),
    /// With the next free place of the chunk.
    Free(u32),
}

#[derive(Clone, Debug)]
struct Chunk<T> {
    /// Those that were used since it was empty. A chunk's memory is touched only as far as somebody filled it. Without memory
    /// there is no chunk here.
    places: Vec<Place<T>>,
    free: u32,
    used: u32,
}

/// Things by number. Chunks fill from the first one with room on; one that is empty is freed, but for one that is kept
/// ready, so that a load that goes up and down a little allocates nothing.
#[derive(Clone, Debug)]
pub struct Chunks<T> {
    chunks: Vec<Chunk<T>>,
    rooms: Rooms,
    spare: Option<Chunk<T>>,
    len: usize,
    /// Places that were touched.
    touched: usize,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            rooms: Rooms::default(),
            spare: None,
            len: 0,
            touched: 0,
        }
    }
}

impl<T> Chunks<T> {
    /// How many places a chunk has: a power of two, so that a number is split by shifting.
    const PLACES: usize = CHUNK_BYTES.div_ceil(size_of::<Place<T>>()).next_power_of_two();

    const fn split(index: u32) -> (usize, usize) {
        (index as usize / Self::PLACES, index as usize % Self::PLACES)
    }

    /// The number that the next thing gets.
    pub fn next_index(&self) -> u32 {
        let (place, at) = match self.rooms.first() {
            Some(place) => (place, self.chunks[place].next()),
            None => (self.vacancy(), 0),
        };
        (place * Self::PLACES + at) as u32
    }

    /// Where the next chunk is put.
    fn vacancy(&self) -> usize {
        let vacant = self.chunks.iter().position(Chunk::is_none);
        vacant.unwrap_or(self.chunks.len())
    }

    /// Adds what `make` makes of its number.
    pub fn insert_with(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        let place = self.rooms.first().unwrap_or_else(|| self.open());
        let chunk = &mut self.chunks[place];
        if chunk.is_none() {
            *chunk = self.spare.take().unwrap_or_else(Chunk::new);
        }
        let at = chunk.next();
        let index = (place * Self::PLACES + at) as u32;
        let value = Place::Used(make(index));
        match chunk.places.get_mut(at) {
            Some(free) => {
                if let Place::Free(next) = *free {
                    chunk.free = next;
                }
                *free = value;
            }
            None => {
                chunk.places.push(value);
                self.touched += 1;
            }
        }
        chunk.used += 1;
        self.len += 1;
        if chunk.used as usize == Self::PLACES {
            self.rooms.close(place);
        }
        index
    }

    fn open(&mut self) -> usize {
        let place = self.vacancy();
        if place == self.chunks.len() {
            self.chunks.push(Chunk::none());
        }
        self.rooms.open(place);
        place
    }

    /// The thing with that number.
    pub fn get(&self, index: u32) -> Option<&T> {
        let (place, at) = Self::split(index);
        match self.chunks.get(place)?.places.get(at)? {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// The thing with that number, to change it.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (place, at) = Self::split(index);
        match self.chunks.get_mut(place)?.places.get_mut(at)? {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// Takes the thing with that number out.
    pub fn remove(&mut self, index: u32) -> Option<T> {
        let (place, at) = Self::split(index);
        let chunk = self.chunks.get_mut(place)?;
        let entry = chunk.places.get_mut(at)?;
        if let Place::Free(_) = entry {
            return None;
        }
        let taken = std::mem::replace(entry, Place::Free(chunk.free));
        self.freed(place, at);
        match taken {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// Drops the thing with that number where it is.
    pub fn discard(&mut self, index: u32) {
        let (place, at) = Self::split(index);
        if let Some(chunk) = self.chunks.get_mut(place)
            && let Some(entry @ Place::Used(_)) = chunk.places.get_mut(at)
        {
            *entry = Place::Free(chunk.free);
            self.freed(place, at);
        }
    }

    /// Puts a place that was freed before the others.
    #[inline]
    fn freed(&mut self, place: usize, at: usize) {
        let chunk = &mut self.chunks[place];
        chunk.free = at as u32;
        if chunk.used as usize == Self::PLACES {
            self.rooms.open(place);
        }
        chunk.used -= 1;
        self.len -= 1;
        if chunk.used == 0 && chunk.places.len() > FEW {
            self.close(place);
        }
    }

    fn close(&mut self, place: usize) {
        self.rooms.close(place);
        let mut empty = std::mem::replace(&mut self.chunks[place], Chunk::none());
        self.touched -= empty.places.len();
        empty.places.clear();
        empty.free = NONE;
        while self.chunks.pop_if(|last| last.is_none()).is_some() {}
        self.spare.get_or_insert(empty);
    }

    /// How many things there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every thing with its number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.chunks.iter().enumerate().flat_map(|(place, chunk)| {
            let places = chunk.places.iter().enumerate();
            places.filter_map(move |(at, entry)| match entry {
                Place::Used(value) => Some(((place * Self::PLACES + at) as u32, value)),
                Place::Free(_) => None,
            })
        })
    }

    /// Bytes of all places that were touched, without the chunk that is kept ready.
    pub fn bytes(&self) -> usize {
        self.touched * size_of::<Place<T>>()
    }
}

impl<T> Chunk<T> {
    fn new() -> Self {
        Self {
            places: Vec::with_capacity(Chunks::<T>::PLACES),
            free: NONE,
            used: 0,
        }
    }

    /// What stands where there is no chunk.
    const fn none() -> Self {
        Self {
            places: Vec::new(),
            free: NONE,
            used: 0,
        }
    }

    fn is_none(&self) -> bool {
        self.places.capacity() == 0
    }

    fn next(&self) -> usize {
        if self.free == NONE {
            self.places.len()
        } else {
            self.free as usize
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Thing = [u8; 200];

    #[test]
    fn a_number_is_told_before_it_is_given() {
        let mut chunks = Chunks::default();
        for round in 0..3 * Chunks::<Thing>::PLACES as u32 {
            let told = chunks.next_index();
            assert_eq!(chunks.insert_with(|index| [index as u8; 200]), told);
            if round % 3 == 0 {
                chunks.remove(told / 2);
            }
        }
        for (index, thing) in chunks.iter() {
            assert_eq!(thing[199], index as u8);
        }
        assert_eq!(chunks.iter().count(), chunks.len());
    }

    #[test]
    fn chunks_are_given_back_but_for_one() {
        let mut chunks = Chunks::default();
        let many = 10 * Chunks::<Thing>::PLACES;
        let indices: Vec<_> = (0..many).map(|_| chunks.insert_with(|_| [1; 200])).collect();
        assert!(chunks.bytes() >= many * 200);
        for &index in &indices {
            assert!(chunks.remove(index).is_some() && chunks.get(index).is_none());
            assert!(chunks.remove(index).is_none());
        }
        assert!(chunks.is_empty() && chunks.chunks.is_empty());
        assert_eq!(chunks.bytes(), 0);
    }

    #[test]
    fn what_has_room_is_filled_before_a_chunk_is_opened() {
        let mut chunks = Chunks::default();
        let places = Chunks::<Thing>::PLACES;
        let indices: Vec<_> = (0..3 * places)
            .map(|_| chunks.insert_with(|_| [1; 200]))
            .collect();
        for &index in indices[..places].iter().chain(&indices[2 * places..][..7]) {
            chunks.remove(index);
        }
        for _ in 0..7 {
            assert_eq!(chunks.insert_with(|_| [2; 200]) as usize / places, 2);
        }
        assert_eq!(chunks.insert_with(|_| [2; 200]) as usize / places, 0);
    }
}
