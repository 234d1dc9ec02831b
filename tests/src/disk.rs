//! A disk that remembers only what it was made to: files and names as they are after a loss of power. What was synced is
//! there; of what was not, any part may be, in sectors.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Random;
use crate::trace::{Call, Event};

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// What becomes of that which was not synced.
#[derive(Clone, Debug)]
pub enum Fate {
    /// All of it is lost.
    Lost,
    /// All of it is there, as after the end of the process alone.
    Kept,
    /// Each write and each name by chance.
    Chance(Random),
    /// The same, and of a write each sector by chance.
    Torn(Random),
}

impl Fate {
    fn keeps(&mut self) -> bool {
        match self {
            Self::Lost => false,
            Self::Kept => true,
            Self::Chance(random) | Self::Torn(random) => random.one_in(2),
        }
    }

    fn tears(&mut self) -> bool {
        match self {
            Self::Torn(random) => random.one_in(2),
            _ => false,
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Truncate(usize),
    Write(usize, Vec<u8>),
}

impl Change {
    fn apply(&self, data: &mut Vec<u8>, mut keeps_sector: impl FnMut() -> bool) {
        match self {
            Self::Truncate(len) => data.resize(*len, 0),
            Self::Write(at, bytes) => {
                let mut from = 0;
                while from < bytes.len() {
                    let to = bytes.len().min(from + SECTOR - (at + from) % SECTOR);
                    if keeps_sector() {
                        data.resize(data.len().max(at + to), 0);
                        data[at + from..at + to].copy_from_slice(&bytes[from..to]);
                    }
                    from = to;
                }
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Node {
    durable: Vec<u8>,
    /// With the number of the event.
    unsynced: Vec<(usize, Change)>,
    /// As the running program sees it.
    len: usize,
}

#[derive(Clone, Debug)]
enum Entry {
    Directory,
    File(usize),
}

#[derive(Clone, Debug)]
enum Naming {
    Add(PathBuf, Entry),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Entry>) {
        match self {
            Self::Add(path, entry) => {
                names.insert(path.clone(), entry.clone());
            }
            Self::Rename(from, to) => {
                if let Some(entry) = names.remove(from) {
                    names.insert(to.clone(), entry);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }

    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Add(path, _) | Self::Remove(path) | Self::Rename(path, _) => path.parent(),
        }
    }
}

/// What is under one directory.
#[derive(Clone, Debug)]
pub struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    durable: BTreeMap<PathBuf, Entry>,
    /// With the number of the event.
    unsynced: Vec<(usize, Naming)>,
    /// As the running program sees them.
    names: BTreeMap<PathBuf, Entry>,
}

impl Disk {
    /// An empty directory, which itself is durable.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            nodes: Vec::new(),
            durable: BTreeMap::new(),
            unsynced: Vec::new(),
            names: BTreeMap::new(),
        }
    }

    /// Does what the event with this number did, if it was under the root. SQLite's `-shm` is memory, not a file.
    pub fn play(&mut self, number: usize, event: &Event) {
        match &event.call {
            Call::Create { path, truncate } if self.keeps(path) => self.create(number, path, *truncate),
            Call::Truncate { path, len } => {
                if let Some(node) = self.node(path) {
                    node.len = *len;
                    node.unsynced.push((number, Change::Truncate(*len)));
                }
            }
            Call::Write { path, at, bytes } => {
                if let Some(node) = self.node(path) {
                    let at = at.unwrap_or(node.len);
                    node.len = node.len.max(at + bytes.len());
                    node.unsynced.push((number, Change::Write(at, bytes.clone())));
                }
            }
            Call::Sync { path, asked } => self.sync(path, *asked),
            // Linux marks what it could not write as clean: no later sync tries again.
            Call::SyncFailed { path, asked } => {
                if let Some(node) = self.node(path) {
                    node.unsynced.retain(|(number, _)| number >= asked);
                }
            }
            Call::MakeDirectory(path) if self.keeps(path) => {
                self.name(number, Naming::Add(path.clone(), Entry::Directory));
            }
            Call::Rename(from, to) if self.keeps(from) => {
                self.name(number, Naming::Rename(from.clone(), to.clone()));
            }
            Call::Remove(path) if self.keeps(path) => self.name(number, Naming::Remove(path.clone())),
            _ => {}
        }
    }

    fn keeps(&self, path: &Path) -> bool {
        path.starts_with(&self.root) && !path.to_string_lossy().ends_with("-shm")
    }

    fn create(&mut self, number: usize, path: &Path, truncate: bool) {
        if !self.names.contains_key(path) {
            let entry = Entry::File(self.nodes.len());
            self.nodes.push(Node::default());
            self.name(number, Naming::Add(path.to_owned(), entry));
        } else if truncate && let Some(node) = self.node(path) {
            node.len = 0;
            node.unsynced.push((number, Change::Truncate(0)));
        }
    }

    fn name(&mut self, number: usize, naming: Naming) {
        naming.apply(&mut self.names);
        self.unsynced.push((number, naming));
    }

    fn node(&mut self, path: &Path) -> Option<&mut Node> {
        match self.names.get(path)? {
            Entry::File(node) => self.nodes.get_mut(*node),
            Entry::Directory => None,
        }
    }

    /// A file's content, or a directory's names; neither makes the other durable.
    fn sync(&mut self, path: &Path, asked: usize) {
        if let Some(node) = self.node(path) {
            let durable = &mut node.durable;
            node.unsynced.retain(|(number, change)| {
                let synced = *number < asked;
                if synced {
                    change.apply(durable, || true);
                }
                !synced
            });
            return;
        }
        let durable = &mut self.durable;
        self.unsynced.retain(|(number, naming)| {
            let synced = *number < asked && naming.directory() == Some(path);
            if synced {
                naming.apply(durable);
            }
            !synced
        });
    }

    /// Writes what a loss of power leaves of the disk into another directory.
    pub fn cut(&self, fate: &mut Fate, into: &Path) {
        let mut names = self.durable.clone();
        for (_, naming) in &self.unsynced {
            if fate.keeps() {
                naming.apply(&mut names);
            }
        }
        // In this order a directory comes before what is in it.
        for (path, entry) in &names {
            let at = into.join(path.strip_prefix(&self.root).expect("it is under the root"));
            match entry {
                Entry::Directory => fs::create_dir_all(&at).expect("a directory"),
                Entry::File(node) => {
                    // A file whose directory is lost cannot be found.
                    if at.parent().is_some_and(Path::is_dir) {
                        fs::write(&at, self.nodes[*node].after(fate)).expect("a file");
                    }
                }
            }
        }
    }
}

impl Node {
    fn after(&self, fate: &mut Fate) -> Vec<u8> {
        let mut data = self.durable.clone();
        for (_, change) in &self.unsynced {
            if fate.keeps() {
                let tears = fate.tears();
                change.apply(&mut data, || !tears || fate.keeps());
            }
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Scratch;

    fn disk(calls: Vec<Call>) -> Disk {
        let mut disk = Disk::new(Path::new("/d"));
        for (number, call) in calls.into_iter().enumerate() {
            let at = Duration::ZERO;
            disk.play(number, &Event { at, call });
        }
        disk
    }

    fn left(disk: &Disk, mut fate: Fate) -> Option<Vec<u8>> {
        let scratch = Scratch::new();
        disk.cut(&mut fate, scratch.path());
        fs::read(scratch.join("f")).ok()
    }

    #[test]
    fn only_what_was_synced_before_is_sure_to_be_left() {
        let file = PathBuf::from("/d/f");
        let write = |at, bytes: &[u8]| Call::Write {
            path: file.clone(),
            at: Some(at),
            bytes: bytes.to_vec(),
        };
        let sync = |path: &str, asked| Call::Sync {
            path: path.into(),
            asked,
        };
        let create = Call::Create {
            path: file.clone(),
            truncate: false,
        };
        let mut calls = vec![create, write(0, b"one"), sync("/d/f", 2)];
        assert_eq!(
            left(&disk(calls.clone()), Fate::Lost),
            None,
            "its name was not synced"
        );
        calls.push(sync("/d", 3));
        assert_eq!(left(&disk(calls.clone()), Fate::Lost), Some(b"one".to_vec()));
        // Written after the sync was asked for, before it returned.
        calls.extend([write(3, b"two"), sync("/d/f", 4)]);
        assert_eq!(left(&disk(calls.clone()), Fate::Lost), Some(b"one".to_vec()));
        assert_eq!(left(&disk(calls), Fate::Kept), Some(b"onetwo".to_vec()));
    }

    #[test]
    fn a_torn_write_is_there_in_sectors() {
        let path = PathBuf::from("/d/f");
        let create = Call::Create {
            path: path.clone(),
            truncate: false,
        };
        let write = Call::Write {
            path,
            at: Some(0),
            bytes: vec![1; 100 * SECTOR],
        };
        let sync = Call::Sync {
            path: "/d".into(),
            asked: 1,
        };
        let disk = disk(vec![create, sync, write]);
        let torn = (0..).find_map(|seed| {
            let data = left(&disk, Fate::Torn(Random::seeded(seed)))?;
            (data.contains(&0) && data.contains(&1)).then_some(data)
        });
        for sector in torn.expect("one of them").chunks(SECTOR) {
            assert!(sector.iter().all(|byte| *byte == sector[0]));
        }
    }
}
