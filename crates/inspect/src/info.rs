//! Which chain a directory holds, how far it is, and what of it can be served.

use std::{fmt, path::Path};

use lamella_block_store as block_store;
use lamella_chain::{SCHEMA_VERSION, live_block_count};
use lamella_tables::{Read as _, Registries, Slots, TableStats, Votes};
use lamella_types::{Checkpoint, Root, Slot};
use serde::Serialize;

use super::{InspectError, database_path, open_chain, which};

/// A block by slot and root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockName {
    /// Its slot.
    pub slot: Slot,
    /// Its root, `0x` hex.
    pub root: String,
}

impl BlockName {
    fn new(slot: Slot, root: Root) -> Self {
        Self { slot, root: root.to_string() }
    }

    fn of(checkpoint: Checkpoint) -> Self {
        Self::new(checkpoint.slot, checkpoint.root)
    }
}

impl fmt::Display for BlockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {:<8} {}", self.slot, self.root)
    }
}

/// What `lamella db info` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Folder of the database.
    pub path: String,
    /// Version of the stored formats.
    pub schema_version: u32,
    /// Unix seconds of slot 0.
    pub genesis_time: u64,
    /// Root of the registry.
    pub registry_root: String,
    /// Validators in it.
    pub validators: u64,
    /// How proofs are made.
    pub proof_scheme: String,
    /// The head.
    pub head: BlockName,
    /// Latest justified block.
    pub justified: BlockName,
    /// Latest finalized block.
    pub finalized: BlockName,
    /// Block that is safe to attest to.
    pub safe_target: String,
    /// First stored block.
    pub oldest: BlockName,
    /// Slot from which on every signed block can be served; older ones have lost their proofs.
    pub signatures_from_slot: Slot,
    /// Stored blocks, over all branches.
    pub blocks: u64,
    /// Blocks that fork choice holds.
    pub live_blocks: u64,
    /// Votes that fork choice holds.
    pub votes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Pages that will be reused.
    pub free_pages: u64,
}

/// Reads it in one snapshot.
///
/// # Errors
/// No chain there, or damage in what is read.
pub fn read(data_dir: &Path) -> Result<Info, InspectError> {
    let chain = open_chain(data_dir)?;
    let (txn, identity) = (chain.database().read()?, chain.identity());
    let row = which::fork_choice_row(&txn)?;
    let head = which::named(&txn, "head", row.head)?;
    let oldest = which::oldest_block(&txn)?;
    let registry = txn.get::<Registries>(&identity.registry_root)?;
    let tables = txn.table_stats()?;
    let stats = chain.database().stats()?;
    Ok(Info {
        path: database_path(data_dir).display().to_string(),
        schema_version: SCHEMA_VERSION,
        genesis_time: identity.genesis_time,
        registry_root: identity.registry_root.to_string(),
        validators: registry.map_or(0, |registry| registry.len() as u64),
        proof_scheme: identity.proof_scheme.clone(),
        head: BlockName::new(head.slot, row.head),
        justified: BlockName::of(row.justified),
        finalized: BlockName::of(row.finalized),
        safe_target: row.safe_target.to_string(),
        oldest: BlockName::new(oldest.slot, oldest.root),
        // A directory that began at a checkpoint has none before it, pruned or not.
        signatures_from_slot: block_store::signature_floor(&txn)?.key.slot.max(oldest.slot),
        blocks: rows(&tables, <Slots as lamella_tables::Table>::NAME),
        live_blocks: live_block_count(&txn, &row)?,
        votes: rows(&tables, <Votes as lamella_tables::Table>::NAME),
        file_bytes: stats.file_bytes,
        free_pages: stats.free_pages,
    })
}

fn rows(tables: &[TableStats], name: &str) -> u64 {
    tables.iter().find(|table| table.name == name).map_or(0, |table| table.rows)
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "database     {} (schema {})", self.path, self.schema_version)?;
        writeln!(f, "genesis      {} (Unix seconds)", self.genesis_time)?;
        writeln!(f, "validators   {}, registry {}", self.validators, self.registry_root)?;
        writeln!(f, "proofs       {}", self.proof_scheme)?;
        writeln!(f, "head         {}", self.head)?;
        writeln!(f, "justified    {}", self.justified)?;
        writeln!(f, "finalized    {}", self.finalized)?;
        writeln!(f, "oldest       {}", self.oldest)?;
        writeln!(f, "signatures   from slot {} on", self.signatures_from_slot)?;
        writeln!(
            f,
            "blocks       {} stored, {} in fork choice, {} votes",
            self.blocks, self.live_blocks, self.votes
        )?;
        write!(f, "file         {} bytes, {} pages free", self.file_bytes, self.free_pages)
    }
}
