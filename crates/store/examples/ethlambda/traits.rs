//! ethlambda's storage traits, as its `crates/storage` had them at 13bf5e2, and with `read` and `contains`, which a later branch
//! has (076b3bd). There they would be imported.

/// Why storage failed.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A row of an iteration.
pub type PrefixResult = Result<(Box<[u8]>, Box<[u8]>), Error>;

/// Its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Root to header.
    BlockHeaders,
    /// Root to body.
    BlockBodies,
    /// Slot and root to proof.
    BlockProof,
    /// Slot to root.
    BlockRoots,
    /// Root to whole state.
    States,
    /// Root to diff.
    StateDiffs,
    /// Names to values.
    Metadata,
    /// Slot and root to the parent's root.
    LiveChain,
}

impl Table {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::BlockHeaders,
        Self::BlockBodies,
        Self::BlockProof,
        Self::BlockRoots,
        Self::States,
        Self::StateDiffs,
        Self::Metadata,
        Self::LiveChain,
    ];
}

/// What keeps the rows.
pub trait StorageBackend: Send + Sync {
    /// Begins to read.
    fn begin_read(&self) -> Result<Box<dyn StorageReadView + '_>, Error>;

    /// Begins a batch.
    fn begin_write(&self) -> Result<Box<dyn StorageWriteBatch + 'static>, Error>;

    /// About how many bytes of a table are live; 0 where nobody knows.
    fn estimate_table_bytes(&self, _table: Table) -> u64 {
        0
    }
}

/// One snapshot.
pub trait StorageReadView {
    /// Shows the value at a key, if there is one; says whether there is.
    fn read(
        &self,
        table: Table,
        key: &[u8],
        read_fn: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<bool, Error>;

    /// The value at a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Whether there is a value at a key.
    fn contains(&self, table: Table, key: &[u8]) -> Result<bool, Error>;

    /// The rows whose keys begin so.
    fn prefix_iterator(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Result<Box<dyn Iterator<Item = PrefixResult> + '_>, Error>;
}

/// Changes that become durable together, in the order in which they were asked for.
pub trait StorageWriteBatch: Send {
    /// Puts rows.
    fn put_batch(&mut self, table: Table, batch: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), Error>;

    /// Deletes rows.
    fn delete_batch(&mut self, table: Table, keys: Vec<Vec<u8>>) -> Result<(), Error>;

    /// Deletes the rows from a key on and before another.
    fn delete_range(&mut self, table: Table, from: &[u8], to: &[u8]) -> Result<(), Error>;

    /// Makes them durable.
    fn commit(self: Box<Self>) -> Result<(), Error>;
}
