//! A chain in a directory of its own, imported into as the node does.

use std::sync::Arc;

use lamella::import::{BATCH_BLOCKS_MAX, Importer};
use lamella_chain::{Bootstrap, Chain, Settings};
use lamella_tables::Durability;
use lamella_types::SignedBlock;
use lamella_xmss::scheme::{ProofScheme, Trust};
use tempfile::TempDir;

/// A chain, its importer, and its directory, which goes with it. Directories are made where `TMPDIR` says.
pub struct BenchChain {
    /// The chain.
    pub chain: Arc<Chain>,
    /// Imports into it.
    pub importer: Importer,
    directory: TempDir,
}

impl BenchChain {
    /// Begins a chain whose proofs are taken on trust.
    #[must_use]
    pub fn begin(bootstrap: Bootstrap, durability: Durability) -> Self {
        Self::begin_with(bootstrap, Arc::new(Trust), settings(durability))
    }

    /// Begins a chain with this proof scheme and by these settings.
    #[must_use]
    pub fn begin_with(
        bootstrap: Bootstrap,
        scheme: Arc<dyn ProofScheme>,
        settings: Settings,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let (chain, opened) = Chain::create(path, bootstrap, scheme.name(), settings).unwrap();
        assert!(opened.created, "a directory of its own");
        let chain = Arc::new(chain);
        let importer = Importer::new(Arc::clone(&chain), scheme);
        Self { chain, importer, directory }
    }

    /// Begins a chain without flushes and imports these blocks in large transactions.
    #[must_use]
    pub fn grown(bootstrap: Bootstrap, blocks: Vec<SignedBlock>) -> Self {
        let chain = Self::begin(bootstrap, Durability::Lazy);
        chain.import_all(blocks);
        chain
    }

    /// Imports a run of blocks, the largest allowed number in one transaction.
    pub fn import_all(&self, blocks: Vec<SignedBlock>) {
        let mut blocks = blocks.into_iter().peekable();
        while blocks.peek().is_some() {
            let batch: Vec<_> = blocks.by_ref().take(BATCH_BLOCKS_MAX).collect();
            let count = batch.len();
            let persisted = self.importer.import_batch(batch).unwrap().unwrap();
            assert_eq!(persisted.imported.len(), count, "blocks that are new");
        }
    }

    /// Closes the chain; its directory stays until the handle goes.
    #[must_use]
    pub fn close(self) -> TempDir {
        self.directory
    }
}

/// The settings of every benchmark but for durability.
#[must_use]
pub fn settings(durability: Durability) -> Settings {
    Settings { durability, ..Settings::default() }
}
