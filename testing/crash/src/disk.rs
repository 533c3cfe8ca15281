//! What a disk holds while a run goes on: what is there for certain, and what may be.
//!
//! Durable is a write through a synchronous descriptor when it has returned, and everything of a file, or of a folder's
//! names, whose call had returned before a flush of it began, when that flush has returned. Everything else that has
//! begun is *pending*: a crash keeps any part of it. A renaming is one change, kept or lost as a whole; it is durable when
//! the folder of the new name is flushed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    contents::Contents,
    image::Image,
    trace::{Event, Operation, Trace},
};

/// A file or folder, whatever its name.
pub type Inode = usize;

/// The recorded folder itself, which is durable.
const ROOT: Inode = 0;

/// What a call does to one file, or to the names.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Bytes of a file.
    Write {
        /// Where.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// A file's length.
    SetLength(u64),
    /// A file's least length.
    Grow(u64),
    /// Names: folder, name, and what it names from now on.
    Names(Vec<(Inode, String, Option<Inode>)>),
}

/// A change that a crash may keep, lose or tear.
#[derive(Debug, Clone)]
pub struct Change {
    /// The call.
    pub operation: usize,
    /// The file; `None` for names.
    pub file: Option<Inode>,
    /// What it does.
    pub effect: Effect,
    /// Whether a crash keeps it for certain. It waits here for older ones of the same file that are not.
    pub is_durable: bool,
    /// Whether it is about a lock file, which nothing ever needs.
    pub is_of_lock: bool,
}

/// Whether this is a file that only says who uses the database.
#[must_use]
pub fn is_lock_file(name: &str) -> bool {
    name == "LOCK" || name.ends_with("mdbx.lck")
}

/// Names and files, of which a crash leaves some.
#[derive(Debug, Clone, Default)]
struct Tree {
    files: BTreeMap<Inode, Arc<Contents>>,
    names: BTreeMap<(Inode, String), Inode>,
}

impl Tree {
    fn apply(&mut self, change: &Change) {
        let Some(file) = change.file else {
            let Effect::Names(names) = &change.effect else { return };
            for (folder, name, inode) in names {
                let key = (*folder, name.clone());
                match inode {
                    Some(inode) => self.names.insert(key, *inode),
                    None => self.names.remove(&key),
                };
            }
            return;
        };
        let contents = Arc::make_mut(self.files.entry(file).or_default());
        match &change.effect {
            Effect::Write { offset, bytes } => contents.write(*offset, bytes),
            Effect::SetLength(bytes) => contents.set_length(*bytes),
            Effect::Grow(bytes) => contents.grow(*bytes),
            Effect::Names(_) => {}
        }
    }

    fn find(&self, path: &str) -> Option<Inode> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .try_fold(ROOT, |folder, part| self.names.get(&(folder, part.to_owned())).copied())
    }

    /// The folder and the last part of a path.
    fn place(&self, path: &str) -> (Inode, String) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.find(folder).unwrap_or_else(|| panic!("no folder for {path}"));
        (folder, name.to_owned())
    }

    fn image(&self, folders: &BTreeSet<Inode>) -> Image {
        let mut image = Image::default();
        let mut open = vec![(ROOT, String::new())];
        while let Some((folder, path)) = open.pop() {
            for ((_, name), inode) in
                self.names.range((folder, String::new())..(folder + 1, String::new()))
            {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                if folders.contains(inode) {
                    image.folders.insert(path.clone());
                    open.push((*inode, path));
                } else {
                    image.files.insert(path, self.files.get(inode).cloned().unwrap_or_default());
                }
            }
        }
        image
    }
}

/// The disk after some events of a trace.
#[derive(Debug, Clone)]
pub struct Disk {
    /// As if each call were durable at once: what names mean.
    live: Tree,
    /// What a crash keeps for certain, up to the first change of a file that it may lose.
    settled: Tree,
    folders: BTreeSet<Inode>,
    next: Inode,
    /// What comes after, in order, of all files and the names.
    changes: Vec<Change>,
    ended: BTreeSet<usize>,
    /// Flushes under way: what they make durable when they return.
    flushing: BTreeMap<usize, Vec<usize>>,
}

impl Disk {
    /// A disk that holds this for certain.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        let mut disk = Self {
            live: Tree::default(),
            settled: Tree::default(),
            folders: BTreeSet::from([ROOT]),
            next: ROOT + 1,
            changes: Vec::new(),
            ended: BTreeSet::new(),
            flushing: BTreeMap::new(),
        };
        // In the order of their paths, so that a folder comes before what it holds.
        for path in &image.folders {
            let place = disk.settled.place(path);
            let inode = disk.new_inode();
            disk.folders.insert(inode);
            disk.settled.names.insert(place, inode);
        }
        for (path, contents) in &image.files {
            let place = disk.settled.place(path);
            let inode = disk.new_inode();
            disk.settled.names.insert(place, inode);
            disk.settled.files.insert(inode, Arc::clone(contents));
        }
        disk.live = disk.settled.clone();
        disk
    }

    /// Goes on by one event.
    pub fn step(&mut self, trace: &Trace, event: &Event) {
        match event {
            Event::Begin(number) => self.begin(*number, &trace.operations[*number]),
            Event::End(number) => self.end(*number, &trace.operations[*number]),
            Event::Said(_) => {}
        }
    }

    /// What a crash may lose now.
    pub fn pending(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| !change.is_durable)
    }

    /// Whether a call has begun and not returned.
    #[must_use]
    pub fn is_under_way(&self, operation: usize) -> bool {
        !self.ended.contains(&operation)
    }

    /// What the disk holds if of the pending changes happened what `chosen` makes of each.
    pub fn image(&self, mut chosen: impl FnMut(&Change) -> Vec<Effect>) -> Image {
        let mut tree = self.settled.clone();
        for change in &self.changes {
            if change.is_durable {
                tree.apply(change);
                continue;
            }
            for effect in chosen(change) {
                tree.apply(&Change { effect, ..change.clone() });
            }
        }
        tree.image(&self.folders)
    }

    /// Length of a file if all that is pending but this change happened.
    #[must_use]
    pub fn length_without(&self, without: &Change) -> u64 {
        let Some(file) = without.file else { return 0 };
        let mut contents = self.settled.files.get(&file).map_or(0, |contents| contents.length());
        let others = self
            .changes
            .iter()
            .filter(|change| change.file == Some(file) && change.operation != without.operation);
        for change in others {
            contents = match &change.effect {
                Effect::Write { offset, bytes } => contents.max(offset + bytes.len() as u64),
                Effect::SetLength(bytes) => *bytes,
                Effect::Grow(bytes) => contents.max(*bytes),
                Effect::Names(_) => contents,
            };
        }
        contents
    }

    fn new_inode(&mut self) -> Inode {
        self.next += 1;
        self.next - 1
    }

    fn begin(&mut self, number: usize, operation: &Operation) {
        let (file, effect) = match operation {
            Operation::MakeFolder { path } | Operation::Create { path } => {
                let (folder, name) = self.live.place(path);
                let inode = self.new_inode();
                if matches!(operation, Operation::MakeFolder { .. }) {
                    self.folders.insert(inode);
                }
                (None, Effect::Names(vec![(folder, name, Some(inode))]))
            }
            Operation::Rename { from, to } => {
                let inode = self.live.find(from).unwrap_or_else(|| panic!("{from} is not there"));
                let ((from, old), (to, new)) = (self.live.place(from), self.live.place(to));
                (None, Effect::Names(vec![(from, old, None), (to, new, Some(inode))]))
            }
            Operation::Link { from, to } => {
                let inode = self.live.find(from).unwrap_or_else(|| panic!("{from} is not there"));
                let (folder, name) = self.live.place(to);
                (None, Effect::Names(vec![(folder, name, Some(inode))]))
            }
            Operation::Remove { path } => {
                let (folder, name) = self.live.place(path);
                (None, Effect::Names(vec![(folder, name, None)]))
            }
            Operation::Write { path, offset, bytes, .. } => {
                let effect = Effect::Write { offset: *offset, bytes: Arc::clone(bytes) };
                (self.live.find(path), effect)
            }
            Operation::SetLength { path, bytes } => {
                (self.live.find(path), Effect::SetLength(*bytes))
            }
            Operation::Grow { path, bytes } => (self.live.find(path), Effect::Grow(*bytes)),
            Operation::Flush { path } => {
                let flushed = self.live.find(path);
                let flushes = |change: &&Change| {
                    self.ended.contains(&change.operation) && flushed_by(change) == flushed
                };
                let made = self.changes.iter().filter(flushes).map(|change| change.operation);
                self.flushing.insert(number, made.collect());
                return;
            }
        };
        assert!(file.is_some() || matches!(effect, Effect::Names(_)), "no file for {operation:?}");
        let is_of_lock = is_lock_file(operation.path().rsplit('/').next().unwrap_or_default());
        let change = Change { operation: number, file, effect, is_durable: false, is_of_lock };
        self.live.apply(&change);
        self.changes.push(change);
    }

    fn end(&mut self, number: usize, operation: &Operation) {
        self.ended.insert(number);
        let durable = match operation {
            Operation::Flush { .. } => self.flushing.remove(&number).unwrap_or_default(),
            Operation::Write { is_synced: true, .. } => vec![number],
            _ => return,
        };
        for change in &mut self.changes {
            change.is_durable |= durable.contains(&change.operation);
        }
        // What comes before all that may be lost of the same file, or of the names, needs no choice any more.
        let mut blocked = BTreeSet::new();
        let changes = std::mem::take(&mut self.changes);
        for change in changes {
            if change.is_durable && !blocked.contains(&change.file) {
                self.settled.apply(&change);
            } else {
                blocked.insert(change.file);
                self.changes.push(change);
            }
        }
    }
}

/// The file or folder whose flush makes a change durable.
fn flushed_by(change: &Change) -> Option<Inode> {
    match &change.effect {
        Effect::Names(names) => names.last().map(|(folder, ..)| *folder),
        _ => change.file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &str, byte: u8, is_synced: bool) -> Operation {
        Operation::Write {
            path: path.to_owned(),
            offset: 0,
            bytes: vec![byte; 4].into(),
            is_synced,
        }
    }

    fn none(_: &Change) -> Vec<Effect> {
        Vec::new()
    }

    fn run(operations: Vec<Operation>) -> Disk {
        let mut trace = Trace::default();
        operations.into_iter().for_each(|operation| trace.push(operation));
        let mut disk = Disk::of(&Image::default());
        trace.events.iter().for_each(|event| disk.step(&trace, event));
        disk
    }

    fn path(name: &str) -> String {
        name.to_owned()
    }

    #[test]
    fn a_file_is_there_for_certain_once_it_and_its_folder_were_flushed() {
        let mut operations = vec![Operation::Create { path: path("a") }, write("a", 1, false)];
        assert!(run(operations.clone()).image(none).files.is_empty());
        operations.push(Operation::Flush { path: path("a") });
        assert!(run(operations.clone()).image(none).files.is_empty(), "the name is pending");
        operations.push(Operation::Flush { path: String::new() });
        let files = run(operations.clone()).image(none).files;
        assert_eq!(files["a"].bytes(), [1; 4]);
        // Renamed, and neither name nor new bytes are certain.
        operations.push(Operation::Rename { from: path("a"), to: path("b") });
        operations.push(write("b", 2, false));
        let disk = run(operations);
        assert_eq!(disk.image(none).files["a"].bytes(), [1; 4]);
        let all = disk.image(|change| vec![change.effect.clone()]);
        assert_eq!((all.files.len(), all.files["b"].bytes()), (1, vec![2; 4]));
    }

    #[test]
    fn a_synchronous_write_is_durable_at_its_return_and_orders_nothing_else() {
        let operations = vec![
            Operation::Create { path: path("a") },
            Operation::Flush { path: String::new() },
            Operation::Write {
                path: path("a"),
                offset: 4096,
                bytes: vec![9; 4].into(),
                is_synced: false,
            },
            write("a", 1, true),
        ];
        let disk = run(operations);
        assert_eq!(disk.image(none).files["a"].bytes(), [1; 4]);
        assert_eq!(disk.pending().count(), 1);
    }

    #[test]
    fn a_flush_takes_only_what_had_returned_when_it_began() {
        let mut trace = Trace::default();
        trace.push(Operation::Create { path: path("a") });
        trace.push(Operation::Flush { path: String::new() });
        trace.operations.push(write("a", 1, false));
        trace.operations.push(Operation::Flush { path: path("a") });
        trace.events.extend([Event::Begin(2), Event::Begin(3), Event::End(2), Event::End(3)]);
        let mut disk = Disk::of(&Image::default());
        trace.events.iter().for_each(|event| disk.step(&trace, event));
        assert_eq!(disk.pending().count(), 1);
    }
}
