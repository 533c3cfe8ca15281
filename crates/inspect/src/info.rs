//! Which chain a directory holds, how far it is, and what of it can be served.

use std::{fmt, path::Path};

use lamella_chain::{BackupMark, Pruning, SCHEMA_VERSION, block_count, live_block_count};
use lamella_tables::{Meta, MetaName, Read as _, Registries};
use lamella_types::{Root, Slot};
use serde::Serialize;

use super::{
    InspectError, database_path, ends,
    error::contradiction,
    held::{HeldSlots, HeldText},
    open_chain,
};

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
    /// The oldest block from which on none is missing up to the head.
    pub oldest: BlockName,
    /// Slots of which every block is here, from `states_from_slot` on with its state.
    pub held: Vec<HeldSlots>,
    /// What is kept of states: `archive`, all of them, `states:N`, or `light`.
    pub prune_mode: String,
    /// Slot from which on every block has its state.
    pub states_from_slot: Slot,
    /// Slot from which on every block has its body.
    pub bodies_from_slot: Slot,
    /// Slot from which on every signed block can be served; older ones have lost their proofs.
    pub signatures_from_slot: Slot,
    /// Stored blocks over all branches, as the last commit counted them.
    pub blocks: u64,
    /// Blocks that fork choice holds: each of them was read.
    pub live_blocks: u64,
    /// Whether it was made as a backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// What the engine says of its file. No checksum covers it.
    pub engine: EngineFigures,
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// When it was taken, unix seconds.
    pub taken_unix_s: u64,
    /// Slot up to which its keys do not sign; nothing before a node with keys began with it.
    pub silent_until_slot: Option<Slot>,
}

/// What the engine says of its file. No checksum covers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EngineFigures {
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
    let row = ends::fork_choice_row(&txn)?;
    let block =
        |what, root| ends::named(&txn, what, root).map(|header| BlockName::new(header.slot, root));
    let servable = ends::servable(&txn)?;
    let missing = || contradiction::<Registries>(&identity.registry_root, "no row".to_owned());
    let registry = txn.get::<Registries>(&identity.registry_root)?.ok_or_else(missing)?;
    let blocks = block_count(&txn)?;
    let stats = chain.database().stats()?;
    Ok(Info {
        path: database_path(data_dir).display().to_string(),
        schema_version: SCHEMA_VERSION,
        genesis_time: identity.genesis_time,
        registry_root: identity.registry_root.to_string(),
        validators: registry.len() as u64,
        proof_scheme: identity.proof_scheme.clone(),
        head: block("head", row.head)?,
        justified: block("justified", row.justified.root)?,
        finalized: block("finalized", row.finalized.root)?,
        safe_target: row.safe_target.to_string(),
        held: ends::held_slots(&txn)?,
        oldest: BlockName::new(servable.oldest.slot, servable.oldest.root),
        prune_mode: Pruning::read(&txn)?.mode.to_string(),
        states_from_slot: servable.states_from,
        bodies_from_slot: servable.bodies_from,
        signatures_from_slot: servable.proofs_from,
        blocks: blocks
            .ok_or_else(|| contradiction::<Meta>(&MetaName::new("blocks"), "no row".to_owned()))?,
        live_blocks: live_block_count(&txn, &row)?,
        backup: BackupMark::read(&txn)?.map(|mark| Backup {
            taken_unix_s: mark.taken_unix_s,
            silent_until_slot: (!mark.is_fresh()).then_some(mark.silent_until),
        }),
        engine: EngineFigures { file_bytes: stats.file_bytes, free_pages: stats.free_pages },
    })
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
        writeln!(f, "slots        {}", HeldText(&self.held))?;
        let (mode, states_from) = (&self.prune_mode, self.states_from_slot);
        writeln!(f, "states       from slot {states_from} on, kept: {mode}")?;
        writeln!(f, "bodies       from slot {} on", self.bodies_from_slot)?;
        writeln!(f, "signatures   from slot {} on", self.signatures_from_slot)?;
        writeln!(f, "blocks       {} stored, {} in fork choice", self.blocks, self.live_blocks)?;
        if let Some(Backup { taken_unix_s, silent_until_slot }) = self.backup {
            let silent = match silent_until_slot {
                Some(slot) => format!("its keys sign nothing up to slot {slot}"),
                None => "no node with keys has begun with it".to_owned(),
            };
            writeln!(f, "backup       taken at unix second {taken_unix_s}; {silent}")?;
        }
        let EngineFigures { file_bytes, free_pages } = self.engine;
        write!(f, "file         {file_bytes} bytes, {free_pages} pages free (the engine's figures)")
    }
}
