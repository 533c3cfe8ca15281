//! Faults for the product's own code, which a law must find: each a few words of a source file, and what they become in a
//! copy of the workspace. All are in that copy at once; the environment says which one is awake.
//!
//! The words are looked for in each `make test`, so that a fault cannot be lost when the product changes.

use std::{
    fs::{self, read_to_string, write},
    path::Path,
};

/// Names the fault that is awake.
pub const AWAKE: &str = "LAMELLA_PLANT";

/// What a fault's words ask in the copy.
const IS_AWAKE: &str = "IS_AWAKE";

/// Folders that are no part of the workspace's sources.
const NOT_COPIED: &[&str] = &["target", ".git"];

/// A fault.
#[derive(Debug)]
pub struct Plant {
    /// What goes wrong.
    pub fault: &'static str,
    /// The source file, from the workspace's folder.
    pub file: &'static str,
    /// Words that stand there once.
    pub from: &'static str,
    /// What they become.
    pub to: &'static str,
}

const fn plant(
    fault: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
) -> Plant {
    Plant { fault, file, from, to }
}

const BODY: &str = "bin/lamella/src/node/mod.rs";
const CATCH_UP: &str = "bin/lamella/src/node/catch_up.rs";
const DUTIES: &str = "bin/lamella/src/node/duties.rs";
const GOSSIP: &str = "bin/lamella/src/node/gossip.rs";
const GUARD: &str = "bin/lamella/src/node/guard.rs";
const LINK: &str = "bin/lamella/src/node/link.rs";
const PERSIST: &str = "crates/chain/src/persist.rs";
const VIEW: &str = "crates/chain/src/view.rs";

const A_THIRD: &str = "a third of the votes is enough to justify, and for the safe target";

/// All of them. What takes words in two places has two that are called the same.
pub const PLANTS: &[Plant] = &[
    plant(
        "nothing is reserved before it is signed",
        GUARD,
        "let Some(copy) = &mut self.copy else {\n            return Ok(self.chain.",
        "if IS_AWAKE {\n            return Ok(Reserved { allowed: keys.to_vec(), damaged: Vec::new() });\n        }\n        let Some(copy) = &mut self.copy else {\n            return Ok(self.chain.",
    ),
    plant(
        "a block is published and not imported",
        DUTIES,
        "match self.importer.finish(prepared, effort)? {",
        "if IS_AWAKE {\n            self.publish(GossipMessage::Block(Arc::new(block)));\n            return Ok(());\n        }\n        match self.importer.finish(prepared, effort)? {",
    ),
    plant(
        "a block is believed imported, and not committed",
        PERSIST,
        "        txn.commit()?;\n        writer.pruning = pruning;\n        writer.unchecked",
        "        if IS_AWAKE { drop(txn) } else { txn.commit()? };\n        writer.pruning = pruning;\n        writer.unchecked",
    ),
    plant(
        "a new head is published, and not committed",
        VIEW,
        "if row(&before) != row(&after) || after.has_vote_changes() {",
        "if !IS_AWAKE && (row(&before) != row(&after) || after.has_vote_changes()) {",
    ),
    plant(
        "votes are not stored",
        VIEW,
        "vote_rows::put_changes(txn, &view.drain_vote_changes())?;",
        "let votes = view.drain_vote_changes();\n    if !IS_AWAKE {\n        vote_rows::put_changes(txn, &votes)?;\n    }",
    ),
    plant(
        "stored votes are not read",
        "crates/chain/src/recover.rs",
        "        votes: votes.rows,",
        "        votes: if IS_AWAKE { Vec::new() } else { votes.rows },",
    ),
    plant(
        "the row of fork choice is not written",
        VIEW,
        "    ForkChoiceRow::of(view).put(txn)?;",
        "    if !IS_AWAKE {\n        ForkChoiceRow::of(view).put(txn)?;\n    }",
    ),
    plant(
        "blocks that were reorganised away stay canonical",
        VIEW,
        "for block in &self.removed {",
        "for block in self.removed.iter().filter(|_| !IS_AWAKE) {",
    ),
    plant(
        "the new head is not made canonical",
        VIEW,
        "for block in self.added.iter().rev() {",
        "for block in self.added.iter().skip(usize::from(IS_AWAKE)).rev() {",
    ),
    plant(
        "a block has no row of its slot",
        "crates/block-store/src/blocks.rs",
        "    txn.put::<Slots>(&root, &header.slot)\n",
        "    if IS_AWAKE {\n        return Ok(());\n    }\n    txn.put::<Slots>(&root, &header.slot)\n",
    ),
    plant(
        "a block's proof is not stored",
        PERSIST,
        "block_store::put_signature(txn, &self.key(), &self.block.proof)?;",
        "if !IS_AWAKE {\n            block_store::put_signature(txn, &self.key(), &self.block.proof)?;\n        }",
    ),
    plant(
        "a block's state is not stored",
        "crates/state-store/src/write.rs",
        "None => txn.put_slice::<Diffs>",
        "None if IS_AWAKE => Ok(()),\n            None => txn.put_slice::<Diffs>",
    ),
    plant(
        A_THIRD,
        "crates/state-transition/src/attestations.rs",
        "if 3 * votes >= 2 * state.validators.len() {",
        "if 3 * votes >= (if IS_AWAKE { 1 } else { 2 }) * state.validators.len() {",
    ),
    // The safe target alone would keep validators from such a vote.
    plant(
        A_THIRD,
        "crates/fork-choice/src/head.rs",
        "validator_count.saturating_mul(2).div_ceil(3);",
        "validator_count.saturating_mul(if IS_AWAKE { 1 } else { 2 }).div_ceil(3);",
    ),
    plant(
        "what is justified counts as finalized",
        "crates/fork-choice/src/head.rs",
        "let slot = self.head_summary().finalized.slot;",
        "let head = self.head_summary();\n        let slot = if IS_AWAKE { head.justified.slot } else { head.finalized.slot };",
    ),
    plant(
        "votes are built into no block",
        DUTIES,
        "let candidates = view.block_candidates().into_iter();",
        "let candidates = view.block_candidates().into_iter().filter(|_| !IS_AWAKE);",
    ),
    plant(
        "a validator proposes in the slot after its own",
        DUTIES,
        "let proposer = proposer_for_slot(slot, ",
        "let proposer = proposer_for_slot(slot.saturating_sub(u64::from(IS_AWAKE)), ",
    ),
    plant(
        "votes go to the next subnet",
        DUTIES,
        "subnet: validator % self.committee_count,",
        "subnet: validator % self.committee_count + u64::from(IS_AWAKE),",
    ),
    plant(
        "a vote for a block that is not here yet is called bad",
        GOSSIP,
        "| RejectionReason::UnknownHeadBlock => Self::Early,",
        "| RejectionReason::UnknownHeadBlock if !IS_AWAKE => Self::Early,",
    ),
    plant(
        "a block whose parent is not here yet is called bad",
        GOSSIP,
        "                Ok(Judged::Orphan(root, signed))",
        "                Ok(if IS_AWAKE { Judged::Rejected } else { Judged::Orphan(root, signed) })",
    ),
    plant(
        "nobody is asked for missing blocks",
        CATCH_UP,
        "                Action::Request { request, peer, blocks } => {",
        "                Action::Request { .. } if IS_AWAKE => {}\n                Action::Request { request, peer, blocks } => {",
    ),
    plant(
        "a range is served from the slot after the first",
        LINK,
        "walk::canonical_roots(txn, start_slot, count)",
        "walk::canonical_roots(txn, start_slot + u64::from(IS_AWAKE), count)",
    ),
    plant(
        "a node says that its head is further than it is",
        LINK,
        "Status { finalized: view.latest_finalized(), head: view.head_summary().checkpoint() }",
        "let mut head = view.head_summary().checkpoint();\n        head.slot += 64 * u64::from(IS_AWAKE);\n        Status { finalized: view.latest_finalized(), head }",
    ),
    plant(
        "a peer that goes ends the node",
        BODY,
        "                Received::Network(event) => {\n                    let outcome",
        "                Received::Network(NetworkEvent::Gone { .. }) if IS_AWAKE => {\n                    return Err(NodeError::ThreadEnded(\"peer\"));\n                }\n                Received::Network(event) => {\n                    let outcome",
    ),
    plant(
        "a node that is behind rests no more",
        "bin/lamella/src/node/simulated.rs",
        "Ok(if is_idle {",
        "let is_behind = self.node.facts.sync_status() == lamella_network::standing::SyncStatus::Syncing;\n        Ok(if is_idle && !(is_behind && IS_AWAKE) {",
    ),
];

/// What all of them are called.
#[must_use]
pub fn faults() -> Vec<&'static str> {
    let mut faults: Vec<_> = PLANTS.iter().map(|plant| plant.fault).collect();
    faults.dedup();
    faults
}

impl Plant {
    /// How often its words stand in the file.
    ///
    /// # Panics
    /// When there is no such file.
    #[must_use]
    pub fn places(&self, workspace: &Path) -> usize {
        read_to_string(workspace.join(self.file)).unwrap().matches(self.from).count()
    }

    fn sow(&self, workspace: &Path) {
        let path = workspace.join(self.file);
        let asked =
            format!("std::env::var_os({AWAKE:?}).is_some_and(|awake| awake == {:?})", self.fault);
        let to = self.to.replace(IS_AWAKE, &asked);
        write(&path, read_to_string(&path).unwrap().replacen(self.from, &to, 1)).unwrap();
    }
}

/// Copies the workspace, with every fault in it asleep. What was built of an earlier copy stays.
///
/// # Panics
/// When it cannot.
pub fn sow_all(workspace: &Path, copy: &Path) {
    for old in fs::read_dir(copy).into_iter().flatten().map(Result::unwrap) {
        if old.file_type().unwrap().is_file() {
            fs::remove_file(old.path()).unwrap();
        } else if old.file_name() != "target" {
            fs::remove_dir_all(old.path()).unwrap();
        }
    }
    copy_sources(workspace, copy);
    PLANTS.iter().for_each(|plant| plant.sow(copy));
}

fn copy_sources(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(name)).unwrap();
        } else if !NOT_COPIED.iter().any(|folder| name == *folder) {
            copy_sources(&entry.path(), &to.join(name));
        }
    }
}
