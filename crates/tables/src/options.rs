//! How a database is opened, and what the engine is told of it.

use libmdbx::{DatabaseOptions, Mode, PageSize, ReadWriteOptions, SyncMode};

use crate::lazy::UNFLUSHED_BYTES_MAX;

/// Default bound of the file: 256 GiB of address space, of which only what is written takes disk. The longest chain there
/// can be, 2^18 slots, with the largest proof in each, 512 KiB, and no finality to prune by, has 128 GiB.
pub(crate) const SIZE_BYTES_MAX: usize = 256 << 30;

/// The file grows and shrinks in steps of 4 MiB: small enough to keep file size near the live data.
const GROWTH_BYTES: isize = 4 << 20;

/// Under lazy commits in steps of 32 MiB: near the end of the file a commit is flushed, and makes room (`lazy`).
const LAZY_GROWTH_BYTES: isize = 32 << 20;

/// The file is cut when this much is free at its end.
const SHRINK_BYTES: isize = 16 << 20;

/// And under lazy commits, where it grows by more.
const LAZY_SHRINK_BYTES: isize = 128 << 20;

/// Trees open at once: ours, and those of another schema beside them.
const TREES_MAX: u64 = 32;

/// Read transactions at once, over all processes.
const READERS_MAX: u32 = 512;

/// How to open a database for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Write, and create what is missing.
    Create,
    /// Write to what exists.
    Existing,
}

/// When a commit returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// When its data and then its meta page have been flushed: an acknowledged commit survives power loss.
    #[default]
    Durable,
    /// When the system has it. A killed process loses nothing; a power cut takes the newest commits, never
    /// the consistency of what is left. For bulk loads and throw-away devnets. A transaction waits for
    /// a flush even so after each 4 MiB written, or as [`Options`] say, and before the file grows.
    Lazy,
}

/// Settings of a database.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What to open or create.
    pub mode: OpenMode,
    /// When a commit returns.
    pub durability: Durability,
    /// Largest size of the file, all of it asked of the address space. `None` asks for 256 GiB, and where the system
    /// refuses that, for half as often as it takes.
    pub size_bytes_max: Option<usize>,
    /// Bytes that lazy commits write between two flushes, reckoned by their rows: what a power cut takes, and about as much of the
    /// file is free pages that wait for a flush.
    pub unflushed_bytes_max: u64,
    /// Page size of a new file; an existing one keeps its own.
    pub page_bytes: Option<usize>,
    /// Trees of a database that is not of today's tables, `Meta` among them: of another schema, or of another program
    /// that declares its own. Made where they are missing, instead of ours.
    pub trees: Option<&'static [&'static str]>,
}

impl Options {
    /// The defaults of this mode: durable, of the default size, the engine's own page size.
    #[must_use]
    pub const fn new(mode: OpenMode) -> Self {
        let durability = Durability::Durable;
        Self {
            mode,
            durability,
            size_bytes_max: None,
            unflushed_bytes_max: UNFLUSHED_BYTES_MAX,
            page_bytes: None,
            trees: None,
        }
    }
}

/// What the engine is told: of a writer its options, of a reader that it is one.
pub(crate) fn engine_options(writer: Option<&Options>, size_bytes_max: usize) -> DatabaseOptions {
    let is_lazy = writer.is_some_and(|options| options.durability == Durability::Lazy);
    let mode = writer.map_or(Mode::ReadOnly, |options| {
        Mode::ReadWrite(ReadWriteOptions {
            sync_mode: match options.durability {
                Durability::Durable => SyncMode::Durable,
                Durability::Lazy => SyncMode::SafeNoSync,
            },
            min_size: None,
            max_size: Some(isize::try_from(size_bytes_max).unwrap_or(isize::MAX)),
            growth_step: Some(if is_lazy { LAZY_GROWTH_BYTES } else { GROWTH_BYTES }),
            shrink_threshold: Some(if is_lazy { LAZY_SHRINK_BYTES } else { SHRINK_BYTES }),
        })
    });
    DatabaseOptions {
        mode,
        max_tables: Some(TREES_MAX),
        max_readers: Some(READERS_MAX),
        page_size: writer.and_then(|options| options.page_bytes).map(PageSize::Set),
        // Reads are point lookups and short ranges; readahead would fetch history nobody asked for.
        no_rdahead: true,
        // Adopt the writer's mode when reading beside it.
        accede: writer.is_none(),
        ..DatabaseOptions::default()
    }
}
