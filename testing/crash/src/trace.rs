//! What a run did to its files and what it said, in order. Paths are relative to the recorded folder.

use std::sync::Arc;

/// One call that changed files or flushed them, and succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A folder was made.
    MakeFolder {
        /// The folder.
        path: String,
    },
    /// A file was made, empty.
    Create {
        /// The file.
        path: String,
    },
    /// Bytes were written.
    Write {
        /// The file.
        path: String,
        /// Where in it.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
        /// Whether the call's return says that they are durable (`O_DSYNC`). It says nothing of any other write.
        is_synced: bool,
    },
    /// The file was cut or made longer.
    SetLength {
        /// The file.
        path: String,
        /// Its length from now on.
        bytes: u64,
    },
    /// The file was made at least so long.
    Grow {
        /// The file.
        path: String,
        /// Its least length from now on.
        bytes: u64,
    },
    /// A file's bytes and length, or a folder's names, were flushed.
    Flush {
        /// The file or folder.
        path: String,
    },
    /// A name was given to another's file, in place of the one that had it.
    Rename {
        /// The name before.
        from: String,
        /// The name now.
        to: String,
    },
    /// A file got another name beside the one that it has.
    Link {
        /// The name that it has.
        from: String,
        /// The new one.
        to: String,
    },
    /// A file or an empty folder lost its name.
    Remove {
        /// The name.
        path: String,
    },
}

impl Operation {
    /// The file or folder that it is about; of a renaming, the new name.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::MakeFolder { path }
            | Self::Create { path }
            | Self::Write { path, .. }
            | Self::SetLength { path, .. }
            | Self::Grow { path, .. }
            | Self::Flush { path }
            | Self::Remove { path }
            | Self::Link { to: path, .. }
            | Self::Rename { to: path, .. } => path,
        }
    }

    /// Whether it changes what names there are.
    #[must_use]
    pub const fn is_of_names(&self) -> bool {
        matches!(
            self,
            Self::MakeFolder { .. }
                | Self::Create { .. }
                | Self::Rename { .. }
                | Self::Link { .. }
                | Self::Remove { .. }
        )
    }

    /// Whether it writes a meta page of the engine: the last write of a commit.
    #[must_use]
    pub fn is_meta_write(&self) -> bool {
        matches!(self, Self::Write { path, bytes, offset, .. }
            if path.ends_with("mdbx.dat") && bytes.len() < 4096 && *offset < 3 * 4096)
    }
}

/// One instant of a run. A crash may come after any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The call of this number has begun: it may have happened, in part.
    Begin(usize),
    /// It has returned.
    End(usize),
    /// The program said this line.
    Said(String),
}

/// A recorded run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// Every call.
    pub operations: Vec<Operation>,
    /// Their beginnings and ends, and what was said between.
    pub events: Vec<Event>,
}

impl Trace {
    /// A run of calls that do not overlap.
    pub fn push(&mut self, operation: Operation) {
        let number = self.operations.len();
        self.operations.push(operation);
        self.events.extend([Event::Begin(number), Event::End(number)]);
    }

    /// This run up to the event of this number, and another one after it.
    #[must_use]
    pub fn until_then(&self, at: usize, later: &Self) -> Self {
        let mut both =
            Self { operations: self.operations.clone(), events: self.events[..at].into() };
        let first = both.operations.len();
        both.operations.extend(later.operations.iter().cloned());
        both.events.extend(later.events.iter().map(|event| match event {
            Event::Begin(number) => Event::Begin(first + number),
            Event::End(number) => Event::End(first + number),
            Event::Said(line) => Event::Said(line.clone()),
        }));
        both
    }

    /// The events before the one of this number, a line each, without the bytes.
    #[must_use]
    pub fn told(&self, before: usize) -> String {
        let line = |(at, event): (usize, &Event)| match event {
            Event::Said(line) => format!("{at} said {line}\n"),
            Event::End(number) => format!("{at} end {number}\n"),
            Event::Begin(number) => match &self.operations[*number] {
                Operation::Write { path, offset, bytes, is_synced } => {
                    let synced = if *is_synced { ", synchronous" } else { "" };
                    format!(
                        "{at} begin {number} {path}: {} bytes at {offset}{synced}\n",
                        bytes.len()
                    )
                }
                other => format!("{at} begin {number} {other:?}\n"),
            },
        };
        self.events.iter().enumerate().take(before).map(line).collect()
    }

    /// Commits of the engine whose last write has begun before the event of this number.
    #[must_use]
    pub fn commits_begun(&self, before: usize) -> usize {
        let is_commit = |event: &&Event| matches!(event, Event::Begin(number) if self.operations[*number].is_meta_write());
        self.events.iter().take(before).filter(is_commit).count()
    }

    /// What was said before the event of this number, with the number of the event.
    pub fn said(&self, before: usize) -> impl Iterator<Item = (usize, &str)> {
        self.events.iter().enumerate().take(before).filter_map(|(at, event)| match event {
            Event::Said(line) => Some((at, line.as_str())),
            _ => None,
        })
    }
}
