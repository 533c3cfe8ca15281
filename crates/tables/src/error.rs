//! What can go wrong with the engine, with stored bytes, and with opening a directory.

use std::{fmt, path::PathBuf};

use crate::{
    fault::Fault,
    page_fault::PageFinding,
    schema::{TABLES, Table},
};

/// What the engine was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Starting a transaction.
    Begin,
    /// Opening a table.
    OpenTable,
    /// Reading a row.
    Get,
    /// Walking rows.
    Scan,
    /// Writing a row.
    Put,
    /// Deleting a row.
    Delete,
    /// Committing.
    Commit,
    /// Reading statistics.
    Stat,
}

/// What an engine failure means. In each case the failed transaction has changed nothing, but for a commit that may have
/// happened: after that every transaction is [`Consequence::Unusable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Disk, quota, file or map are full: the same call can succeed once there is room. Reads go on.
    NoSpace,
    /// The call can be tried again.
    Retry,
    /// The engine does not trust its files or itself any more: stop, and verify.
    Unusable,
}

/// `EFBIG` on Linux: the file may not grow to that size.
const FILE_LIMIT: i32 = 27;

/// `EDQUOT` on Linux: what this user may have of the disk is used up. `ENOSPC` is the disk itself.
const QUOTA: i32 = 122;
const DISK_FULL: i32 = 28;

impl Consequence {
    fn of(error: &libmdbx::Error) -> Self {
        use libmdbx::Error as E;
        match error {
            E::MapFull | E::UnableExtendMapsize | E::Other(DISK_FULL | QUOTA | FILE_LIMIT) => {
                Self::NoSpace
            }
            E::Panic
            | E::Corrupted
            | E::PageNotFound
            | E::VersionMismatch
            | E::Invalid
            | E::WannaRecovery
            | E::Problem
            | E::ReadOnlyFilesystem
            // An earlier failure of the same transaction that was not handed on: ours are, so the engine kept one to itself.
            | E::BadTxn
            | E::BadSign => Self::Unusable,
            _ => Self::Retry,
        }
    }
}

/// The engine could not do its work. The store itself is as it was before the transaction, or, of a commit, after it.
#[derive(Debug, thiserror::Error)]
#[error("{operation:?} on table {table}{}: {source}{}", KeyText(.key), self.advice())]
pub struct EngineError {
    /// What was being done.
    pub operation: Operation,
    /// Table, or `-` for the whole database.
    pub table: &'static str,
    /// Key, where there was one.
    pub key: Option<String>,
    /// What it means for the caller.
    pub consequence: Consequence,
    /// What the engine said.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl EngineError {
    pub(crate) fn new(operation: Operation, table: &'static str, source: libmdbx::Error) -> Self {
        let consequence = Consequence::of(&source);
        Self { operation, table, key: None, consequence, source: Box::new(source) }
    }

    pub(crate) fn at(mut self, key: impl fmt::Display) -> Self {
        self.key = Some(key.to_string());
        self
    }

    /// A long read that was given up.
    #[must_use]
    pub fn given_up(why: TookTooLong) -> Self {
        let (operation, consequence) = (Operation::Scan, Consequence::Retry);
        Self { operation, table: "-", key: None, consequence, source: Box::new(why) }
    }

    /// Whether it is a read that was given up since it took too long.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.source.is::<TookTooLong>()
    }

    /// A row that was not written. The same one will never be, but the store is as good as before.
    pub(crate) fn too_long(table: &'static str, why: RowTooLong) -> Self {
        let (operation, consequence) = (Operation::Put, Consequence::Retry);
        Self { operation, table, key: None, consequence, source: Box::new(why) }
    }

    /// What to do. A limit of the process is not lifted while it runs.
    fn advice(&self) -> &'static str {
        use libmdbx::Error as E;
        match (self.consequence, self.source.downcast_ref()) {
            (Consequence::NoSpace, Some(E::MapFull)) => {
                "; start the node again with a larger --db-size-max"
            }
            (Consequence::NoSpace, Some(E::UnableExtendMapsize)) => {
                "; raise `ulimit -v`, then start the node again"
            }
            (Consequence::NoSpace, Some(E::Other(FILE_LIMIT))) => {
                "; raise `ulimit -f` (`prlimit --fsize`, while it runs), then it is tried again"
            }
            (Consequence::NoSpace, Some(E::Other(QUOTA))) => {
                "; raise the user's quota, then it is tried again"
            }
            (Consequence::NoSpace, _) => "; free some disk space, then it is tried again",
            (Consequence::Retry, Some(E::Io)) => "; see the system's log for what ails the disk",
            (Consequence::Retry, _) => "",
            (Consequence::Unusable, _) => "; stop the node and run `lamella db verify`",
        }
    }
}

/// A read was given up because a writer beside it goes on: it may not reuse a page of the snapshot, so the file grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("took longer than {} s beside a writer, whose file grows meanwhile; run it while the node is stopped, or on a copy of the directory", .0.as_secs())]
pub struct TookTooLong(
    /// How long it may take.
    pub std::time::Duration,
);

/// A row that would be longer than its table's longest: it could not be read back, so it is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a row of {bytes} bytes, more than the {max} that the table takes; it was not written: report it, with the block"
)]
pub struct RowTooLong {
    /// Its bytes, seal included.
    pub bytes: usize,
    /// Most that there can be.
    pub max: usize,
}

struct KeyText<'a>(&'a Option<String>);

impl fmt::Display for KeyText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |key| write!(f, ", key {key}"))
    }
}

/// A stored row that cannot be trusted. It is left exactly as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damaged row in table {table}, key {}: {fault}; run `lamella db verify`", self.key_text())]
#[non_exhaustive]
pub struct Damage {
    /// The table.
    pub table: &'static str,
    /// The key's bytes.
    pub key: Vec<u8>,
    /// What is wrong.
    pub fault: Fault,
}

impl Damage {
    /// Damage of the row at these key bytes.
    pub fn new<T: Table>(key: impl Into<Vec<u8>>, fault: Fault) -> Self {
        Self { table: T::NAME, key: key.into(), fault }
    }

    /// The key as its table writes it; hex where the bytes are no key of the table.
    #[must_use]
    pub fn key_text(&self) -> String {
        let table = TABLES.iter().find(|table| table.name == self.table);
        let text = table.and_then(|table| (table.key_text)(&self.key));
        text.unwrap_or_else(|| self.key.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Why a row could not be read. An absent row is `Ok(None)`.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The row is there and damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// Why a database could not be opened. No row was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no database, and none was to be created.
    #[error("no database at {}; is this the right --data-dir?", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is there, but its first transaction never happened: a kill while it was created.
    #[error("the database at {} was never finished; start the node to create it", path.display())]
    Empty {
        /// The database directory.
        path: PathBuf,
    },
    /// The file belongs to another program.
    #[error("{} holds the database of another program; choose another --data-dir", path.display())]
    Foreign {
        /// The database directory.
        path: PathBuf,
    },
    /// Another process writes to it, or is about to and waits for somebody who reads it.
    #[error("{} is in use by process {holder}, which writes to it or is about to; stop it first", path.display())]
    InUse {
        /// The database directory.
        path: PathBuf,
        /// What the lock file says of the holder.
        holder: String,
    },
    /// Pages of the engine are damaged. Nothing was written: the next commit could have overwritten rows that are
    /// still good.
    #[error(
        "the database at {} has {finding_count} damaged pages: {}; it was left as it is: see `lamella db verify`, then put a copy of the directory in its place, or start with an empty --data-dir",
        path.display(),
        join(findings)
    )]
    Pages {
        /// The database directory.
        path: PathBuf,
        /// Findings in all.
        finding_count: u64,
        /// The first of them.
        findings: Vec<PageFinding>,
    },
    /// Its last writer was killed between two flushes (`--lazy-commits`), and this process may not recover it.
    #[error("the database at {} must be recovered by a process that may write to it: start the node once ({why})", path.display())]
    Unrecovered {
        /// The database directory.
        path: PathBuf,
        /// What kept this process from it.
        why: String,
    },
    /// Another process reads it, and opened it while nobody wrote, or while a writer of the other durability did.
    #[error("a process that reads the database at {} was there first, and keeps a writer out that commits another way (--lazy-commits or not); `lsof mdbx.lck` there names it: end it, then start again", path.display())]
    ReadElsewhere {
        /// The database directory.
        path: PathBuf,
    },
    /// Another process has it open, but the file in which readers and writer meet was removed or replaced.
    #[error("mdbx.lck in {} was removed while process {holder} uses the database; stop that process, then start it again", path.display())]
    ReadersLost {
        /// The database directory.
        path: PathBuf,
        /// What the lock file says of the writer.
        holder: String,
    },
    /// The system does not grant the address space.
    #[error("the system refuses the address space for the database at {}; start the node with a smaller --db-size-max, or raise `ulimit -v`", path.display())]
    AddressSpace {
        /// The database directory.
        path: PathBuf,
    },
    /// The disk is full. The engine maps the table of readers, and where a file system has no room for it, a write
    /// there ends the process by SIGBUS.
    #[error("the disk of {} is full; free some disk space, then start the node again", path.display())]
    Full {
        /// The database directory.
        path: PathBuf,
    },
    /// The disk is full, and there is no other place for the table of readers.
    #[error("the disk of {} is full, and neither /dev/shm nor TMPDIR can be used: {source}; free some disk space", path.display())]
    NoRoom {
        /// The database directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file system refused.
    #[error("cannot open {}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The engine refused the files.
    #[error("cannot open the database at {}: {source}", path.display())]
    Engine {
        /// The database directory.
        path: PathBuf,
        /// What it said.
        source: EngineError,
    },
}

fn join(findings: &[PageFinding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_no_space_is_told_with_what_lifts_it() {
        let cases = [
            (libmdbx::Error::MapFull, "--db-size-max"),
            (libmdbx::Error::UnableExtendMapsize, "ulimit -v"),
            (libmdbx::Error::Other(FILE_LIMIT), "ulimit -f"),
            (libmdbx::Error::Other(QUOTA), "quota"),
            (libmdbx::Error::Other(DISK_FULL), "free some disk space"),
        ];
        for (source, advice) in cases {
            let error = EngineError::new(Operation::Commit, "-", source);
            assert_eq!(error.consequence, Consequence::NoSpace, "{error}");
            assert!(error.to_string().contains(advice), "{error}");
        }
    }
}
