//! `lamella archive export`.

use std::path::PathBuf;

use lamella_inspect::{ends, open_chain};
use lamella_shipping::{
    archiver::{self, Known},
    seal::Shipped,
    store::{Access, Store},
};
use lamella_types::limits::SEGMENT_ROOTS;
use serde_json::json;

use super::{CommandError, job, print_line};

pub(super) fn run(to: String, data_dir: PathBuf, json: bool) -> Result<(), CommandError> {
    let (network, shipment, head_slot) = job(move |tell| {
        let chain = open_chain(&data_dir)?;
        let store = Store::open(&to, Access::Write)?;
        let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
        let (remote, shipment) =
            archiver::ship(shipped, store, Known::default(), tell, &mut |_| Ok(()))?;
        let txn = chain.database().read()?;
        let head = ends::fork_choice_row(&txn)?.head;
        Ok((remote.network(), shipment, ends::named(&txn, "head", head)?.slot))
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
        }));
    }
    let Some(frontier) = shipment.frontier else {
        return print_line(&format!(
            "nothing to ship yet: a segment is sealed once a block {} slots after its first is finalized; the head is at slot {head_slot}",
            SEGMENT_ROOTS
        ));
    };
    print_line(&format!(
        "shipped and confirmed: {} segments, {below} slots ({} put now, {} bytes; {} were there and verified) under root {} at slot {}; not shipped: {not_shipped} slots up to the head, forks, proofs of blocks",
        shipment.segments,
        shipment.put,
        shipment.bytes,
        shipment.verified,
        frontier.root,
        frontier.slot,
    ))
}
