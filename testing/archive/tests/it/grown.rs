//! Chains as a node has them: forks, skipped slots, a stall of finality, a segment without a block. Made once, and never
//! changed: tests ship them, or copy them.

use std::{
    fs,
    ops::{ControlFlow, Range},
    path::Path,
    sync::{Arc, LazyLock},
};

use lamella::import::{BATCH_BLOCKS_MAX, Importer};
use lamella_archive::{Network, NetworkId};
use lamella_benches::{BlockSource, Finality, SMALL, blocks::child, registry};
use lamella_chain::{Bootstrap, Chain, Identity, Progress, ReadOnlyChain, Settings};
use lamella_shipping::{
    ShippingError,
    archiver::{self, Known, Shipment},
    remote::Remote,
    restorer::{Restore, Restored, Target},
    seal::Shipped,
    store::{Access, Store},
};
use lamella_tables::{Canonical, Durability, Read as _};
use lamella_types::{
    Block, MultiMessageAggregate, ProofBytes, Root, SignedBlock, Slot, State, genesis_state,
    hash_tree_root, limits::SLOT_MS,
};
use lamella_xmss::scheme::{ProofScheme as _, Trust};
use tempfile::TempDir;

use crate::rows::rows_of;
pub use crate::rows::{Rows, rows};

/// Segments that the large chain's finalized part seals.
pub const SEGMENTS: u64 = 4;

/// The large chain's last slot. The blocks after the fourth segment finalize it.
pub const LAST: Slot = 4_096 + 700;

/// Segments that the small chain's finalized part seals.
pub const SMALL_SEGMENTS: u64 = 2;

/// Which slots of a chain have blocks, and how many vote.
struct Script {
    /// Slots in which too few validators vote for anything to be justified.
    stall: Range<Slot>,
    /// Slots without a block: the first, and the first after them.
    empty: &'static [(Slot, Slot)],
    /// Every so many slots one is empty.
    skip_every: Slot,
    /// Every so many slots a block has a brother that nobody builds on.
    fork_every: Slot,
    last: Slot,
}

/// Segment 2 is empty, and some slots before and after.
const LARGE: Script = Script {
    stall: 1_300..1_420,
    empty: &[(2_000, 3_100)],
    skip_every: 37,
    fork_every: 101,
    last: LAST,
};

/// Some 500 blocks over two segments: quick to ship a few hundred times.
const LITTLE: Script = Script {
    stall: 0..0,
    empty: &[(30, 1_000), (1_200, 2_030)],
    skip_every: 37,
    fork_every: 19,
    last: 2_300,
};

/// As [`LITTLE`] up to slot 10, and then another chain.
const OTHER: Script = Script { empty: &[(11, 13), (30, 1_000), (1_200, 2_030)], ..LITTLE };

/// The chain, and the blocks that were imported, in order.
pub struct Grown {
    /// Open for as long as the process lives: the engine opens a file once.
    pub chain: ReadOnlyChain,
    directory: TempDir,
    pub genesis: State,
    pub blocks: Vec<SignedBlock>,
}

/// The large chain, made by the first test that wants it.
pub static GROWN: LazyLock<Grown> = LazyLock::new(|| grow(&LARGE));

/// The small one.
pub static SMALL_CHAIN: LazyLock<Grown> = LazyLock::new(|| grow(&LITTLE));

/// Another small one of the same network.
pub static OTHER_CHAIN: LazyLock<Grown> = LazyLock::new(|| grow(&OTHER));

pub fn settings() -> Settings {
    Settings { durability: Durability::Lazy, ..Settings::default() }
}

/// A block with some bytes where its proof should be: the scheme `trust` looks at none.
fn unproved(block: Block) -> SignedBlock {
    let proof = vec![block.slot as u8; 40 + block.slot as usize % 60];
    let proof = MultiMessageAggregate { proof: ProofBytes::new(proof).unwrap() };
    SignedBlock { block, proof }
}

fn blocks(script: &Script, genesis: &State) -> Vec<SignedBlock> {
    let mut source = BlockSource::new(genesis, Finality::Healthy);
    let mut blocks = Vec::new();
    while source.state().slot < script.last {
        let parent = source.state().slot;
        let is_stalled = script.stall.contains(&parent);
        source.set_finality(if is_stalled { Finality::Stalled(0) } else { Finality::Healthy });
        let mut slot = parent + 1;
        if let Some((_, end)) =
            script.empty.iter().find(|(first, end)| (*first..*end).contains(&slot))
        {
            slot = *end;
        } else if slot.is_multiple_of(script.skip_every) {
            slot += 1;
        }
        if slot.is_multiple_of(script.fork_every) {
            blocks.push(unproved(child(source.state(), slot + 1, Vec::new()).0));
        }
        let block = if slot > parent + 1 || parent < 2 {
            source.skip_to(slot)
        } else {
            source.next_block()
        };
        blocks.push(unproved(block));
    }
    blocks
}

fn grow(script: &Script) -> Grown {
    let genesis = genesis_state(1_700_000_000, registry(SMALL));
    let blocks = blocks(script, &genesis);
    let directory = tempfile::tempdir().unwrap();
    let bootstrap = Bootstrap::genesis(genesis.clone());
    let path = directory.path().join("db");
    let (chain, _) = Chain::create(&path, bootstrap, Trust.name(), settings()).unwrap();
    let importer = Importer::new(Arc::new(chain), Arc::new(Trust));
    import(&importer, &blocks);
    drop(importer);
    let chain = ReadOnlyChain::open(&path).unwrap();
    Grown { chain, directory, genesis, blocks }
}

/// Imports blocks in order; those that are a chain together.
pub fn import(importer: &Importer, blocks: &[SignedBlock]) {
    let is_run = |one: &SignedBlock, next: &SignedBlock| {
        next.block.parent_root == hash_tree_root(&one.block)
    };
    for run in blocks.chunk_by(is_run) {
        for batch in run.chunks(BATCH_BLOCKS_MAX) {
            importer.import_batch(batch.to_vec()).unwrap();
        }
    }
}

impl Grown {
    /// Copies the database, which nobody writes to.
    pub fn copy_to(&self, database: &Path) {
        fs::create_dir_all(database).unwrap();
        let data = self.directory.path().join("db").join("mdbx.dat");
        fs::copy(data, database.join("mdbx.dat")).unwrap();
    }

    pub fn identity(&self) -> Identity {
        Identity::of(&self.genesis, Trust.name(), SLOT_MS)
    }

    pub fn network(&self) -> NetworkId {
        Network::new(self.genesis.config.genesis_time, self.genesis.validators.clone()).id()
    }

    /// Its rows up to a slot, as [`rows`].
    pub fn rows(&self, end: Slot) -> Rows {
        rows_of(self.chain.database(), end)
    }

    /// The canonical root of a slot.
    pub fn root_at(&self, slot: Slot) -> Option<Root> {
        let txn = self.chain.database().read().unwrap();
        txn.get::<Canonical>(&slot).unwrap()
    }
}

/// A data directory that began at the canonical block of this slot, and imported all that came after.
pub fn from_checkpoint(grown: &Grown, slot: Slot) -> TempDir {
    let data = tempfile::tempdir().unwrap();
    let root = grown.root_at(slot).unwrap();
    let txn = grown.chain.database().read().unwrap();
    let state = grown.chain.states().state(&txn, &root).unwrap().unwrap();
    let at = grown.blocks.iter().position(|signed| hash_tree_root(&signed.block) == root).unwrap();
    let bootstrap = Bootstrap { block: grown.blocks[at].clone(), state };
    let path = data.path().join("db");
    let (chain, _) = Chain::create(&path, bootstrap, Trust.name(), settings()).unwrap();
    let importer = Importer::new(Arc::new(chain), Arc::new(Trust));
    // Without the brothers that are not its descendants.
    let known = |signed: &&SignedBlock| {
        signed.block.slot > slot && signed.block.parent_root != grown.blocks[at].block.parent_root
    };
    let after: Vec<SignedBlock> = grown.blocks[at + 1..].iter().filter(known).cloned().collect();
    import(&importer, &after);
    data
}

pub fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Ships a chain into a store.
pub fn ship(chain: &ReadOnlyChain, store: Store) -> Result<(Remote, Shipment), ShippingError> {
    let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
    archiver::ship(shipped, store, Known::default(), &mut go_on, &mut |_| Ok(()))
}

/// Ships a chain into a new folder.
pub fn in_folder(grown: &Grown) -> (TempDir, Remote, Shipment) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), Access::Write).unwrap();
    let (remote, shipment) = ship(&grown.chain, store).unwrap();
    (folder, remote, shipment)
}

/// The large chain, shipped into a new folder.
pub fn shipped() -> (TempDir, Remote, Shipment) {
    in_folder(&GROWN)
}

/// The small one.
pub fn small() -> (TempDir, Remote, Shipment) {
    in_folder(&SMALL_CHAIN)
}

pub fn restore_to(database: &Path, target: Target) -> Restore<'_> {
    Restore { database, target, trusted: None, slot_ms: SLOT_MS, proof_scheme: Trust.name() }
}

pub fn restore(
    remote: &Remote,
    database: &Path,
    target: Target,
) -> Result<Restored, ShippingError> {
    restore_to(database, target).run(remote, &mut go_on)
}
