//! One block, header, state or diff: for a person, as JSON, or as its exact SSZ bytes.

use std::{fmt::Write as _, path::Path};

use lamella_state_diff::BranchCheckpoint;
use lamella_tables::ReadTxn;
use lamella_types::{BlockHeader, State, to_ssz};
use serde_json::{Value, json};

use super::{
    InspectError,
    block_id::BlockId,
    change::TallyChange,
    json::Json,
    open_chain, stored,
    which::{Located, Standing, locate, standing},
};

/// What to get of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The block: header and votes.
    Block,
    /// Its header.
    Header,
    /// Its full post-state.
    State,
    /// What it changed in its parent's state.
    Diff,
}

/// Something that was got.
#[derive(Debug, Clone, PartialEq)]
pub struct Got {
    /// For a person, several lines.
    pub text: String,
    /// As JSON.
    pub json: Value,
    /// SSZ; for a diff, the bytes stored.
    pub ssz: Vec<u8>,
}

/// Gets a part of a block. `signed` asks for the block with its proof.
///
/// # Errors
/// [`InspectError`]: not stored, pruned and damaged are told apart.
pub fn get(data_dir: &Path, part: Part, id: BlockId, signed: bool) -> Result<Got, InspectError> {
    let chain = open_chain(data_dir)?;
    let txn = chain.database().read()?;
    let block = locate(&txn, id)?;
    let heading = heading(&block, standing(&txn, &block)?);
    match part {
        Part::Header => Ok(header(heading, &block)),
        Part::Block => get_block(heading, &txn, &block, signed),
        Part::Diff => get_diff(heading, &txn, &block),
        Part::State => {
            let state = stored::state(chain.states(), &txn, &block)?;
            Ok(state_of(heading, &block, &state))
        }
    }
}

fn heading(block: &Located, standing: Standing) -> String {
    let standing = match standing {
        Standing::Finalized => "canonical, finalized",
        Standing::Canonical => "canonical",
        Standing::Fork => "on another branch",
    };
    format!("block        slot {}  {}  ({standing})\n", block.header.slot, block.key.root)
}

fn header_lines(header: &BlockHeader) -> String {
    format!(
        "proposer     {}\nparent       {}\nstate root   {}\nbody root    {}",
        header.proposer_index, header.parent_root, header.state_root, header.body_root
    )
}

fn as_json(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn header(heading: String, block: &Located) -> Got {
    let header = &block.header;
    Got { text: heading + &header_lines(header), json: as_json(Json(header)), ssz: to_ssz(header) }
}

fn get_block(
    heading: String,
    txn: &ReadTxn<'_>,
    located: &Located,
    signed: bool,
) -> Result<Got, InspectError> {
    let block = stored::block(txn, located)?;
    let ssz = if signed { to_ssz(&stored::signed_block(txn, located)?) } else { to_ssz(&block) };
    let mut text = heading + &header_lines(&located.header);
    for attestation in block.attestations() {
        let data = &attestation.data;
        let voters = attestation.aggregation_bits.count_ones();
        let _ = write!(
            text,
            "\nvote         {voters} for slot {}: head {}, target {}, source {}",
            data.slot, data.head.slot, data.target.slot, data.source.slot
        );
    }
    Ok(Got { text, json: as_json(Json(&block)), ssz })
}

fn state_of(heading: String, block: &Located, state: &State) -> Got {
    let mut text = heading;
    let root = state.root();
    let _ = write!(
        text,
        "state root   {root} (the block's own: {})\nslot         {}\njustified    slot {}  {}\n\
         finalized    slot {}  {}\nhistory      {} block roots\njustified slots tracked {}, set {}\n\
         pending      {} roots with votes\nvalidators   {}",
        if root == block.header.state_root { "yes" } else { "NO" },
        state.slot,
        state.latest_justified.slot,
        state.latest_justified.root,
        state.latest_finalized.slot,
        state.latest_finalized.root,
        state.historical_block_hashes.len(),
        state.justified_slots.len(),
        state.justified_slots.count_ones(),
        state.justifications.roots().len(),
        state.validators.len(),
    );
    Got { text, json: as_json(Json(state)), ssz: state.to_ssz() }
}

/// As a diff names it: without a root where it is the block of this slot on the block's own branch.
fn checkpoint(named: BranchCheckpoint) -> serde_json::Value {
    json!({ "slot": named.slot, "root": named.root.map(|root| root.to_string()) })
}

fn get_diff(heading: String, txn: &ReadTxn<'_>, block: &Located) -> Result<Got, InspectError> {
    let (root, slot) = (block.key.root, block.header.slot);
    let Some((bytes, diff)) = stored::diff(txn, block)? else {
        return Err(InspectError::NoDiff { root, slot });
    };
    let TallyChange { kind, added, removed, changed, .. } = TallyChange::of(&diff.tally);
    let text = format!(
        "{heading}base         slot {}  {}\nanchor       slot {}\njustified    slot {}\nfinalized    slot {}\n\
         tally        {kind} {}: {added} roots added, {removed} removed, {changed} with new votes\nbytes        {}",
        diff.base_slot,
        block.header.parent_root,
        diff.anchor_slot,
        diff.latest_justified.slot,
        diff.latest_finalized.slot,
        diff.tally.number(),
        bytes.len(),
    );
    let json = json!({
        "slot": slot,
        "block_root": root.to_string(),
        "base": { "slot": diff.base_slot, "root": block.header.parent_root.to_string() },
        "anchor_slot": diff.anchor_slot,
        "latest_justified": checkpoint(diff.latest_justified),
        "latest_finalized": checkpoint(diff.latest_finalized),
        "justified_slots": Json(&diff.justified_slots),
        "tally": TallyChange::of(&diff.tally),
        "bytes": bytes.len(),
    });
    Ok(Got { text, json, ssz: bytes })
}
