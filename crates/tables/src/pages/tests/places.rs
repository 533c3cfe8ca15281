//! Where what stands in a file, found without the code under test: from the newest meta page down.

use std::{collections::BTreeSet, ops::Range};

use super::PAGE_BYTES;

/// What a byte is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    MetaHeader,
    MetaMagic,
    MetaTransactions,
    MetaGeometry,
    MetaTreesNewest,
    MetaTreesIdle,
    MetaSign,
    MetaRest,
    HeaderTransaction,
    HeaderRest,
    LargeTransaction,
    LargeRest,
    NodeOffset,
    /// Bytes of the value, or the child's page.
    NodeNumber,
    /// Bytes of a value on large pages.
    LargeLength,
    /// Flags, and bytes of the key.
    NodeHeader,
    BranchKey,
    LeafKey,
    /// In the list of tables.
    TableName,
    FreeListTransaction,
    FreeListCount,
    FreeListNumber,
    TreeRecord,
    /// Who reads it looks at the root's transaction, and here there is no root.
    EmptyTreeTransaction,
    TreeSequence,
    LargePageNumber,
    Value,
    Unused,
}

impl Place {
    /// Of a thousand bits flipped here, how many must be seen at least. Where all must, damage could end in a lost row, a
    /// page of another table overwritten, or a file that does not open.
    pub(super) const fn least_seen_per_mille(self) -> u32 {
        match self {
            Self::MetaHeader
            | Self::MetaMagic
            | Self::MetaTreesNewest
            | Self::HeaderRest
            | Self::LargeRest
            | Self::NodeOffset
            | Self::NodeNumber
            | Self::NodeHeader
            | Self::TableName
            | Self::TreeRecord
            | Self::FreeListCount
            | Self::FreeListNumber
            | Self::LargePageNumber => 1_000,
            _ => 0,
        }
    }
}

fn number<const N: usize>(file: &[u8], at: usize) -> usize {
    let mut bytes = [0; 8];
    bytes[..N].copy_from_slice(&file[at..at + N]);
    u64::from_le_bytes(bytes) as usize
}

fn newest_meta(file: &[u8]) -> usize {
    [0, 1, 2]
        .map(|page| page * PAGE_BYTES)
        .into_iter()
        .max_by_key(|at| number::<8>(file, at + 28))
        .unwrap()
}

/// Pages with a header that the newest snapshot reaches, and its meta pages left out.
pub(super) fn pages_with_headers(file: &[u8]) -> Vec<usize> {
    let mut found = Found { file, places: Vec::new(), pages: BTreeSet::new() };
    found.all();
    found.pages.into_iter().collect()
}

/// Every byte below the newest snapshot's roots and in the meta pages, once.
pub(super) fn places(file: &[u8]) -> Vec<(Place, Range<usize>)> {
    let mut found = Found { file, places: Vec::new(), pages: BTreeSet::new() };
    found.all();
    found.places
}

struct Found<'f> {
    file: &'f [u8],
    places: Vec<(Place, Range<usize>)>,
    pages: BTreeSet<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Tree {
    Main,
    Free,
    Table,
}

impl Found<'_> {
    fn put(&mut self, place: Place, at: usize, bytes: usize) {
        self.places.push((place, at..at + bytes));
    }

    fn all(&mut self) {
        let newest = newest_meta(self.file);
        for meta in [0, 1, 2].map(|page| page * PAGE_BYTES) {
            let trees = if meta == newest { Place::MetaTreesNewest } else { Place::MetaTreesIdle };
            self.put(Place::MetaHeader, meta, 20);
            self.put(Place::MetaMagic, meta + 20, 8);
            self.put(Place::MetaTransactions, meta + 28, 8);
            self.put(Place::MetaTransactions, meta + 196, 8);
            self.put(Place::MetaGeometry, meta + 36, 24);
            for tree in [meta + 60, meta + 108] {
                self.put(trees, tree, 24);
                self.put(Place::TreeSequence, tree + 24, 8);
                self.put(trees, tree + 32, 16);
            }
            self.put(Place::MetaSign, meta + 188, 8);
            self.put(Place::MetaRest, meta + 156, 32);
            self.put(Place::MetaRest, meta + 204, 40);
            self.put(Place::Unused, meta + 244, PAGE_BYTES - 244);
        }
        self.page(Tree::Free, number::<4>(self.file, newest + 68));
        self.page(Tree::Main, number::<4>(self.file, newest + 116));
    }

    fn page(&mut self, tree: Tree, page: usize) {
        if page == u32::MAX as usize {
            return;
        }
        self.pages.insert(page);
        let at = page * PAGE_BYTES;
        self.put(Place::HeaderTransaction, at, 8);
        self.put(Place::HeaderRest, at + 8, 12);
        let (lower, upper) = (number::<2>(self.file, at + 12), number::<2>(self.file, at + 14));
        self.put(Place::NodeOffset, at + 20, lower);
        self.put(Place::Unused, at + 20 + lower, upper - lower);
        let is_branch = self.file[at + 10] == 1;
        for row in 0..lower / 2 {
            let node = at + 20 + number::<2>(self.file, at + 20 + 2 * row);
            self.node(tree, is_branch, node);
        }
    }

    fn node(&mut self, tree: Tree, is_branch: bool, node: usize) {
        let (bytes, flags) = (number::<4>(self.file, node), self.file[node + 4]);
        let is_large = !is_branch && flags == 1;
        self.put(if is_large { Place::LargeLength } else { Place::NodeNumber }, node, 4);
        self.put(Place::NodeHeader, node + 4, 4);
        let key = number::<2>(self.file, node + 6);
        let data = node + 8 + key;
        if is_branch {
            self.put(Place::BranchKey, node + 8, key);
            return self.page(tree, bytes);
        }
        let place = match tree {
            Tree::Main => Place::TableName,
            Tree::Free => Place::FreeListTransaction,
            Tree::Table => Place::LeafKey,
        };
        self.put(place, node + 8, key);
        if flags == 1 {
            self.put(Place::LargePageNumber, data, 4);
            let page = number::<4>(self.file, data);
            self.pages.insert(page);
            let large = page * PAGE_BYTES;
            self.put(Place::LargeTransaction, large, 8);
            self.put(Place::LargeRest, large + 8, 12);
            return self.value(tree, large + 20, bytes);
        }
        self.value(tree, data, bytes);
    }

    fn value(&mut self, tree: Tree, at: usize, bytes: usize) {
        match tree {
            Tree::Table => self.put(Place::Value, at, bytes),
            Tree::Free => {
                let count = number::<4>(self.file, at);
                self.put(Place::FreeListCount, at, 4);
                for entry in 1..=count {
                    self.put(Place::FreeListNumber, at + 4 * entry, 4);
                }
            }
            Tree::Main => {
                self.put(Place::TreeRecord, at, 24);
                self.put(Place::TreeSequence, at + 24, 8);
                self.put(Place::TreeRecord, at + 32, 8);
                let root = number::<4>(self.file, at + 8);
                let is_empty = root == u32::MAX as usize;
                let place = if is_empty { Place::EmptyTreeTransaction } else { Place::TreeRecord };
                self.put(place, at + 40, 8);
                self.page(Tree::Table, root);
            }
        }
    }
}
