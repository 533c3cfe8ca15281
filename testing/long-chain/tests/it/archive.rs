//! The longest chain as an archive: exported, verified under its own root, and restored to the row.
//!
//! Segment 255, slots 261,120 to 262,143, is never sealed by the rule: only a finalized block of a later slot would, and the
//! only later slot, 262,144, has none after it to finalize it. So 255 segments are all that the rule gives, and the last is
//! sealed under the root of that slot's block, which is named.

use std::{ops::ControlFlow, path::Path, time::Instant};

use lamella_chain::{Chain, Progress, ReadOnlyChain};
use lamella_shipping::{
    archiver::{Known, ship},
    restorer::{Restore, Target},
    seal::Shipped,
    store::{Access, Store},
    verifier::{Depth, Verify},
};
use lamella_tables::{
    Anchors, Bodies, Canonical, DatabaseView, Diffs, Headers, History, Registries, Slots,
    Table as _,
};
use lamella_types::{Slot, limits::SLOT_MS};
use lamella_xmss::scheme::{ProofScheme as _, Trust};

/// Slots of a segment.
const SEGMENT: Slot = 1_024;

/// Segments of the longest chain.
const SEGMENTS: u64 = 256;

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The tables that an archive restores.
const TABLES: [&str; 8] = [
    Headers::NAME,
    Bodies::NAME,
    Slots::NAME,
    Canonical::NAME,
    Anchors::NAME,
    Diffs::NAME,
    History::NAME,
    Registries::NAME,
];

/// Compares the restored rows with the original's, of a chain without forks: every restored row is there, and as many are
/// missing in each table as the last slots have.
fn compare(original: &DatabaseView, restored: &Path, below: Slot) {
    let restored = ReadOnlyChain::open(restored).unwrap();
    let (one, other) = (original.read().unwrap(), restored.database().read().unwrap());
    for table in TABLES {
        let rows = one.raw_rows(table).unwrap().unwrap().map(Result::unwrap);
        let mut copies = other.raw_rows(table).unwrap().unwrap().map(Result::unwrap).peekable();
        let mut left = 0;
        for row in rows {
            match copies.next_if(|copy| copy.key == row.key) {
                Some(copy) => assert!(copy.stored == row.stored, "{table} {:?}", row.key),
                None => left += 1,
            }
        }
        assert!(copies.next().is_none(), "{table} has a row more");
        let blocks = super::chain::LAST_SLOT - below + 1;
        assert!(left <= blocks, "{table} lacks {left} rows");
    }
}

pub fn check(chain: &Chain) {
    let folder = tempfile::tempdir().unwrap();
    let store = |access| Store::open(folder.path().to_str().unwrap(), access).unwrap();
    let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
    let began = Instant::now();
    let known = Known::default();
    let (remote, shipment) =
        ship(shipped, store(Access::Write), known, &mut go_on, &mut |_| Ok(())).unwrap();
    println!(
        "exported {} segments, {} B, in {:?}",
        shipment.segments,
        shipment.bytes,
        began.elapsed()
    );
    let sealed = chain.fork_choice().latest_finalized().slot / SEGMENT;
    assert_eq!((shipment.segments, shipment.put, sealed), (255, 255, 255));

    let verify = |trusted, depth, segments: u64| {
        let began = Instant::now();
        let verify = Verify { trusted, depth, proofs: false };
        let verified = verify.run(&remote, &mut go_on).unwrap();
        println!(
            "verified {} blocks, {} states, {} by the transition in {:?}",
            verified.blocks,
            verified.states,
            verified.transitions,
            began.elapsed()
        );
        assert_eq!((verified.segments, verified.below), (segments, segments * SEGMENT));
    };
    verify(shipment.frontier.map(|block| block.root), Depth::States, sealed);

    let end = Some(chain.fork_choice().head());
    let shipped = shipped.ending_at(end);
    let (_, shipment) =
        ship(shipped, store(Access::Write), known, &mut go_on, &mut |_| Ok(())).unwrap();
    assert_eq!((shipment.segments, shipment.put), (SEGMENTS, 1));
    assert_eq!(shipment.frontier.map(|block| block.slot), Some(super::chain::LAST_SLOT));
    verify(end, Depth::Transition, SEGMENTS);

    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    let restore = Restore {
        database: &database,
        target: Target::Finalized,
        trusted: None,
        slot_ms: SLOT_MS,
        proof_scheme: Trust.name(),
    };
    let began = Instant::now();
    let mut stage = "";
    let restored = restore.run(&remote, &mut |progress| {
        if stage != progress.stage {
            stage = progress.stage;
            println!("  {stage} from {:?} on", began.elapsed());
        }
        go_on(progress)
    });
    let restored = restored.unwrap();
    println!("restored {} blocks in {:?}", restored.blocks, began.elapsed());
    assert_eq!(restored.target.slot, SEGMENTS * SEGMENT - 1);
    compare(chain.database(), &database, SEGMENTS * SEGMENT);
}
