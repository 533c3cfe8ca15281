//! `lamella archive export`.

use std::path::PathBuf;

use lamella_inspect::{ends, open_chain};
use lamella_shipping::{
    archiver::{self, Known},
    proofs::{ProofShipment, ship_proofs},
    seal::Shipped,
    store::{Access, Store},
};
use lamella_types::{Root, limits::SEGMENT_ROOTS};
use serde_json::json;

use super::{CommandError, job, print_line};

/// Nothing is known before the archive is asked, and nobody waits for anything else.
const HURRIED: Known = Known { confirmed: 0, is_hurried: true };

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) proofs: bool,
    pub(super) root: Option<Root>,
}

pub(super) fn run(
    to: String,
    data_dir: PathBuf,
    asked: Asked,
    json: bool,
) -> Result<(), CommandError> {
    let (network, shipment, proofs, head_slot) = job(move |tell| {
        let chain = open_chain(&data_dir)?;
        let store = Store::open(&to, Access::Write)?;
        let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
        let shipped = shipped.ending_at(asked.root);
        let (remote, shipment) = archiver::ship(shipped, store, HURRIED, tell, &mut |_| Ok(()))?;
        let proofs = match asked.proofs {
            false => None,
            true => {
                let (database, segments) = (chain.database(), shipment.segments);
                let keep = &mut |_| Ok(());
                Some(ship_proofs(database, shipped, &remote, 0, segments, tell, keep)?)
            }
        };
        let txn = chain.database().read()?;
        let head = ends::fork_choice_row(&txn)?.head;
        Ok((remote.network(), shipment, proofs, ends::named(&txn, "head", head)?.slot))
    })?;
    let below = shipment.segments * SEGMENT_ROOTS as u64;
    let not_shipped = (head_slot + 1).saturating_sub(below);
    if json {
        return print_line(&json!({
            "network": network.to_string(),
            "segments": shipment.segments,
            "segments_put": shipment.put,
            "segments_verified": shipment.verified,
            "bytes_put": shipment.bytes,
            "slots": below,
            "frontier_slot": shipment.frontier.map(|block| block.slot),
            "frontier_root": shipment.frontier.map(|block| block.root.to_string()),
            "slots_not_shipped": not_shipped,
            "proofs": proofs.map(|proofs| json!({
                "segments": proofs.segments,
                "objects_put": proofs.put,
                "objects_compared": proofs.there,
                "proofs": proofs.proofs,
                "blocks_without_proof": proofs.absent,
                "bytes_put": proofs.bytes,
                "waits_for_checks_of_segment": proofs.waits,
            })),
        }));
    }
    let Some(frontier) = shipment.frontier.filter(|_| shipment.segments > 0) else {
        return print_line(&format!(
            "nothing to ship yet: a segment is sealed once a block {} slots after its first is finalized; the head is at slot {head_slot}",
            SEGMENT_ROOTS
        ));
    };
    let told = proofs.map_or("proofs of blocks".to_owned(), |proofs| said(&proofs));
    print_line(&format!(
        "shipped and confirmed: {} segments, {below} slots ({} put now, {} bytes; {} were there and verified) under root {} at slot {}; not shipped: {not_shipped} slots up to the head, forks, {told}",
        shipment.segments,
        shipment.put,
        shipment.bytes,
        shipment.verified,
        frontier.root,
        frontier.slot,
    ))
}

/// What of the proofs was not shipped, and what was.
fn said(proofs: &ProofShipment) -> String {
    let ProofShipment { put, there, proofs: shipped, absent, bytes, waits, .. } = *proofs;
    let waits = waits.map_or_else(String::new, |segment| {
        format!(", those from segment {segment} on, which wait to be checked by a node")
    });
    format!(
        "proofs of {absent} blocks, pruned or never checked{waits}; {shipped} proofs shipped, {put} objects put now ({bytes} bytes), {there} were there and compared"
    )
}
