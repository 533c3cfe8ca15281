//! What one import makes the engine write: its pages, by tree. A commit rewrites every page from a changed row up to
//! the root of its tree, so what counts is how many trees a block touches and how deep they are.
//!
//! The pages are counted in the file itself: each bears the number of the transaction that wrote it, and a new page
//! hangs below new pages only, so the walk takes none but those. Layout as in libmdbx 0.9.0 (MDBX 0.14).

use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt as _};

use lamella_benches::{BenchChain, BlockSource, Finality, LARGE, SHORT, anchor, figures::record};
use lamella_tables::{DatabaseView, Durability};

/// Proof of one XMSS signature: small, so that the rest shows.
const PROOF_BYTES: usize = 3_000;

/// Commits that are averaged: several times as many as a leaf takes blocks.
const COMMITS: usize = 64;

/// Blocks in the tables before the commits that are counted.
const BLOCKS: [usize; 2] = [1_100, 4_000];

const PAGE_BYTES: usize = 4096;
const PAGE_HEADER_BYTES: usize = 20;
const BRANCH: u16 = 1;
const LARGE_PAGES: u16 = 4;
const NODE_HEADER_BYTES: usize = 8;
const NODE_IN_LARGE_PAGES: u8 = 1;
const NODE_IS_TREE: u8 = 2;

/// Pages of each tree that each import writes, on chains of two lengths.
pub fn pages_of_an_import() {
    for blocks in BLOCKS {
        let bootstrap = anchor(LARGE, SHORT, Finality::Healthy);
        let mut source = BlockSource::new(&bootstrap.state, Finality::Healthy);
        source.set_proof_bytes(PROOF_BYTES);
        let chain = BenchChain::begin(bootstrap, Durability::Lazy);
        chain.import_all(source.take(blocks));
        let mut pages = BTreeMap::new();
        for _ in 0..COMMITS {
            chain.importer.import(source.next_signed()).unwrap();
            for (tree, written) in Commit::newest(chain.chain.database()).pages() {
                *pages.entry(tree).or_insert(0) += written;
            }
        }
        let mut total = 0.0;
        for (tree, written) in pages {
            let each = f64::from(written) / COMMITS as f64;
            record(&format!("disk/pages_of_an_import/{blocks}/{tree}"), each);
            total += each;
        }
        record(&format!("disk/pages_of_an_import/{blocks}/all"), total);
        record(&format!("disk/bytes_of_an_import/{blocks}"), total * PAGE_BYTES as f64);
    }
}

/// The newest commit of a database file.
struct Commit {
    file: File,
    transaction: u64,
    meta: Vec<u8>,
}

impl Commit {
    fn newest(database: &DatabaseView) -> Self {
        let file = File::open(database.path().join("mdbx.dat")).unwrap();
        let metas = (0..3).map(|number| read_page(&file, number));
        let meta = metas.max_by_key(|page| u64_at(page, PAGE_HEADER_BYTES + 8)).unwrap();
        Self { file, transaction: u64_at(&meta, PAGE_HEADER_BYTES + 8), meta }
    }

    /// Pages that it wrote, by tree; the two trees of the engine's own and the meta page among them.
    fn pages(&self) -> BTreeMap<String, u32> {
        let mut pages = BTreeMap::from([("(meta page)".to_owned(), 1)]);
        // Magic, transaction, flags and geometry take 40 bytes; then come the two trees, 48 bytes each.
        self.walk(tree_root(&self.meta[60..]), "(free list)", &mut pages);
        self.walk(tree_root(&self.meta[108..]), "(catalogue)", &mut pages);
        pages
    }

    fn walk(&self, number: u32, tree: &str, pages: &mut BTreeMap<String, u32>) {
        if number == u32::MAX {
            return;
        }
        let page = read_page(&self.file, number);
        if u64_at(&page, 0) != self.transaction {
            return;
        }
        let flags = u16_at(&page, 10);
        let count = if flags & LARGE_PAGES == 0 { 1 } else { u32_at(&page, 12) };
        *pages.entry(tree.to_owned()).or_default() += count;
        if flags & LARGE_PAGES != 0 {
            return;
        }
        for entry in 0..usize::from(u16_at(&page, 12)) / 2 {
            let at = usize::from(u16_at(&page, PAGE_HEADER_BYTES + 2 * entry)) + PAGE_HEADER_BYTES;
            let node = &page[at..];
            let key_end = NODE_HEADER_BYTES + usize::from(u16_at(node, 6));
            if flags & BRANCH != 0 {
                self.walk(u32_at(node, 0), tree, pages);
            } else if node[4] & NODE_IN_LARGE_PAGES != 0 {
                self.walk(u32_at(node, key_end), tree, pages);
            } else if node[4] & NODE_IS_TREE != 0 {
                let name = std::str::from_utf8(&node[NODE_HEADER_BYTES..key_end]).unwrap();
                self.walk(tree_root(&node[key_end..]), name, pages);
            }
        }
    }
}

fn read_page(file: &File, number: u32) -> Vec<u8> {
    let mut page = vec![0; PAGE_BYTES];
    file.read_exact_at(&mut page, u64::from(number) * PAGE_BYTES as u64).unwrap();
    page
}

/// Number of a tree's root page; all ones for an empty tree.
fn tree_root(tree: &[u8]) -> u32 {
    u32_at(tree, 8)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
