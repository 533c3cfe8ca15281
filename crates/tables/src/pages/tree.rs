//! One tree: from its root down to every row, each page once.

use std::{
    cmp::Ordering,
    ops::{ControlFlow, RangeInclusive},
    os::unix::fs::FileExt,
};

use super::{
    Walk,
    layout::{
        BRANCH, Header, LARGE, LEAF, NO_PAGE, NODE_LARGE, NODE_TREE, TREE_BYTES, TreeRecord, u64_at,
    },
    meta::check_record,
    nodes::{self, Node},
};
use crate::{
    page_fault::{PageFault, PageTree},
    schema::{TABLES, TableInfo},
};

/// Greatest height of a tree, as the engine has it.
const HEIGHT_MAX: u16 = 32;

/// Named trees looked at; the engine opens no more.
const TREES_MAX: usize = 32_765;

/// Bytes of a key of the free list: the transaction that freed the pages.
const FREE_KEY_BYTES: usize = 8;

/// Bytes of a key that a fault names: all of any table's.
const KEY_SHOWN_BYTES: usize = 48;

/// What the rows of a tree are.
pub(super) enum Role<'a> {
    /// Records of named trees.
    Main(&'a mut Vec<NamedTree>),
    /// Lists of free pages.
    Free,
    /// Rows of ours.
    Table,
}

/// A row of the main tree.
pub(super) struct NamedTree {
    pub(super) key: Vec<u8>,
    /// The page that names it.
    pub(super) page: u32,
    pub(super) record: TreeRecord,
}

/// A tree under way.
struct Tree<'a, 'r> {
    name: PageTree,
    record: &'a TreeRecord,
    role: &'a mut Role<'r>,
    /// Bytes that its keys have.
    key_bytes: RangeInclusive<usize>,
    branch_pages: u64,
    leaf_pages: u64,
    large_pages: u64,
    rows: u64,
    /// Whether every page was read.
    whole: bool,
}

impl Tree<'_, '_> {
    fn order(&self, left: &[u8], right: &[u8]) -> Ordering {
        match self.role {
            Role::Free => u64_at(left, 0).cmp(&u64_at(right, 0)),
            Role::Main(_) | Role::Table => left.cmp(right),
        }
    }
}

/// A pointer to a page: where it leads, and what it promises.
#[derive(Clone, Copy)]
struct Link<'k> {
    page: u32,
    /// From the root (1) down to the leaves (the tree's height).
    level: u16,
    /// The parent's transaction, which is never older.
    transaction: u64,
    /// No key is below.
    from: Option<&'k [u8]>,
    /// Every key is below.
    below: Option<&'k [u8]>,
}

impl<F: FileExt> Walk<'_, F> {
    /// Walks a tree and compares it with its record.
    pub(super) fn tree(
        &mut self,
        name: PageTree,
        record: &TreeRecord,
        role: &mut Role<'_>,
    ) -> ControlFlow<()> {
        if record.root == NO_PAGE {
            return ControlFlow::Continue(());
        }
        if record.height == 0 || record.height > HEIGHT_MAX {
            let (tree, value) = (name.to_string(), record.height.into());
            self.report.found(
                &name,
                record.root,
                PageFault::Record { tree, what: "height", value },
            );
            self.whole = false;
            return ControlFlow::Continue(());
        }
        let tables = tables(&name);
        let mut tree = Tree {
            key_bytes: key_bytes(&name, &tables),
            name,
            record,
            role,
            branch_pages: 0,
            leaf_pages: 0,
            large_pages: 0,
            rows: 0,
            whole: true,
        };
        let transaction = self.report.transaction;
        let root = Link { page: record.root, level: 1, transaction, from: None, below: None };
        self.page(&mut tree, root)?;
        self.check_counts(&tree);
        self.whole &= tree.whole;
        self.report.rows += tree.rows;
        ControlFlow::Continue(())
    }

    /// What a cut-off tree counts says nothing; its cut is a finding already.
    fn check_counts(&mut self, tree: &Tree<'_, '_>) {
        let record = tree.record;
        for (what, recorded, found) in [
            ("branch pages", record.branch_pages.into(), tree.branch_pages),
            ("leaf pages", record.leaf_pages.into(), tree.leaf_pages),
            ("large pages", record.large_pages.into(), tree.large_pages),
            ("rows", record.rows, tree.rows),
        ] {
            if tree.whole && recorded != found {
                let fault = PageFault::Count { what, recorded, found };
                self.report.found(&tree.name, record.root, fault);
            }
        }
    }

    /// Looks at one page and all below it.
    fn page(&mut self, tree: &mut Tree<'_, '_>, link: Link<'_>) -> ControlFlow<()> {
        if !self.claim(&tree.name, link.page, 1) {
            tree.whole = false;
            return ControlFlow::Continue(());
        }
        let is_leaf = link.level == tree.record.height;
        let (count, total) = if is_leaf {
            (&mut tree.leaf_pages, &mut self.report.leaf_pages)
        } else {
            (&mut tree.branch_pages, &mut self.report.branch_pages)
        };
        *count += 1;
        *total += 1;
        self.step()?;
        let mut bytes = self.spare.pop().unwrap_or_else(|| vec![0; self.file.page_bytes()]);
        let gone_on = self.content(tree, link, is_leaf, &mut bytes);
        self.spare.push(bytes);
        gone_on
    }

    /// Looks at the content of a page, read into `bytes`, and at all below it.
    fn content(
        &mut self,
        tree: &mut Tree<'_, '_>,
        link: Link<'_>,
        is_leaf: bool,
        bytes: &mut [u8],
    ) -> ControlFlow<()> {
        let kind = if is_leaf { LEAF } else { BRANCH };
        let page = self.file.read(link.page, 0, bytes).and_then(|()| {
            let header = Header::of(bytes);
            nodes::check_header(&header, link.page, kind, link.transaction)?;
            Ok((header, nodes::parse(bytes, &header)?))
        });
        let (header, nodes) = match page {
            Ok(page) => page,
            Err(fault) => {
                tree.whole = false;
                self.report.found(&tree.name, link.page, fault);
                return ControlFlow::Continue(());
            }
        };
        if let Err(fault) = check_page(tree, &header, &nodes, link) {
            self.report.found(&tree.name, link.page, fault);
        }
        if is_leaf {
            tree.rows += nodes.len() as u64;
            for (row, node) in nodes.iter().enumerate() {
                self.row(tree, node, row, &header);
            }
            return ControlFlow::Continue(());
        }
        for (index, node) in nodes.iter().enumerate() {
            let child = Link {
                page: node.number,
                level: link.level + 1,
                transaction: header.transaction,
                from: if index == 0 { link.from } else { Some(node.key) },
                below: nodes.get(index + 1).map(|next| next.key).or(link.below),
            };
            self.page(tree, child)?;
        }
        ControlFlow::Continue(())
    }

    /// Looks at one row of a leaf.
    fn row(&mut self, tree: &mut Tree<'_, '_>, node: &Node<'_>, row: usize, leaf: &Header) {
        let known = match tree.role {
            Role::Main(_) => node.flags == NODE_TREE,
            Role::Free | Role::Table => node.flags & !NODE_LARGE == 0,
        };
        if !known {
            let fault = PageFault::NodeFlags { row, flags: node.flags };
            self.report.found(&tree.name, leaf.number, fault);
            self.whole = false;
            return;
        }
        let large = node.large_page().map(|page| self.large(tree, page, node.number, leaf));
        let length = || wrong_length(row, node.key, node.number.into());
        match tree.role {
            Role::Main(_) if node.data.len() != TREE_BYTES => {
                self.report.found(&tree.name, leaf.number, length());
                self.whole = false;
            }
            Role::Main(named) => {
                let name = || String::from_utf8_lossy(node.key).into_owned();
                let record = TreeRecord::of(node.data);
                let (transaction, limit) =
                    (self.report.transaction, self.snapshot.first_unallocated);
                let checked = check_record(&record, 0, &name(), transaction, limit);
                if let Err(fault) = checked {
                    self.report.found(&tree.name, leaf.number, fault);
                    self.whole = false;
                } else if named.len() < TREES_MAX {
                    named.push(NamedTree { key: node.key.to_vec(), page: leaf.number, record });
                }
            }
            Role::Free if node.key.len() != FREE_KEY_BYTES => {
                self.report.found(&tree.name, leaf.number, length());
                self.whole = false;
            }
            Role::Free => self.free_list(node, large.flatten(), leaf.number),
            // A value longer than its table's longest is named where it is read, by table and key.
            Role::Table => {}
        }
    }

    /// Takes the pages of a large value; gives its first page if it can be read.
    fn large(
        &mut self,
        tree: &mut Tree<'_, '_>,
        page: u32,
        value_bytes: u32,
        leaf: &Header,
    ) -> Option<u32> {
        let page_bytes = self.file.page_bytes();
        let mut bytes = [0; super::layout::HEADER_BYTES];
        let read = self.file.read(page, 0, &mut bytes).and_then(|()| {
            let header = Header::of(&bytes);
            nodes::check_header(&header, page, LARGE, leaf.transaction).map(|()| header)
        });
        let needed = (value_bytes as usize + bytes.len()).div_ceil(page_bytes);
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        // The engine leaves a list of free pages up to one page more than it needs.
        let spare = u32::from(matches!(tree.role, Role::Free));
        let (pages, fault) = match read {
            Ok(header) if (needed..=needed + spare).contains(&header.pages) => (header.pages, None),
            Ok(Header { pages, .. }) => (needed, Some(PageFault::LargePages { pages, needed })),
            Err(fault) => (needed, Some(fault)),
        };
        let readable = fault.is_none();
        if let Some(fault) = fault {
            self.report.found(&tree.name, page, fault);
            tree.whole = false;
        }
        if !self.claim(&tree.name, page, pages) {
            tree.whole = false;
            return None;
        }
        tree.large_pages += u64::from(pages);
        self.report.large_pages += u64::from(pages);
        readable.then_some(page)
    }
}

/// The tables of a tree; none of one that is not declared: it is of a version that may know more.
fn tables(tree: &PageTree) -> Vec<&'static TableInfo> {
    let PageTree::Table(name) = tree else { return Vec::new() };
    TABLES.iter().filter(|table| table.place.tree == name).collect()
}

/// A fault that names its row as far as a key of any table goes.
fn wrong_length(row: usize, key: &[u8], value_bytes: u64) -> PageFault {
    let start = key.iter().take(KEY_SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect();
    PageFault::Length { row, key: start, key_bytes: key.len(), value_bytes }
}

/// Bytes that the keys of a tree have: those of its tables, which are of one length, else any.
fn key_bytes(tree: &PageTree, tables: &[&TableInfo]) -> RangeInclusive<usize> {
    match (tree, tables) {
        (PageTree::Free, _) => FREE_KEY_BYTES..=FREE_KEY_BYTES,
        (_, [table, ..]) => table.key_bytes.clone(),
        (_, []) => 1..=usize::MAX,
    }
}

/// What holds between a page's rows, and between them and the pointer that leads here.
fn check_page(
    tree: &Tree<'_, '_>,
    header: &Header,
    nodes: &[Node<'_>],
    link: Link<'_>,
) -> Result<(), PageFault> {
    if link.level == 1 && header.transaction != tree.record.transaction {
        let (found, recorded) = (header.transaction, tree.record.transaction);
        return Err(PageFault::RootTransaction { found, recorded });
    }
    let is_branch = header.kind & BRANCH != 0;
    let mut before: Option<&[u8]> = None;
    for (row, node) in nodes.iter().enumerate() {
        if is_branch && node.flags != 0 {
            return Err(PageFault::NodeFlags { row, flags: node.flags });
        }
        // The first child has no key: it holds all below the second.
        if is_branch && row == 0 {
            if !node.key.is_empty() {
                return Err(wrong_length(row, node.key, 0));
            }
            continue;
        }
        if !tree.key_bytes.contains(&node.key.len()) {
            let value_bytes = if is_branch { 0 } else { node.number.into() };
            return Err(wrong_length(row, node.key, value_bytes));
        }
        if before.is_some_and(|before| tree.order(before, node.key).is_ge()) {
            return Err(PageFault::Order { row });
        }
        // In order, so the first and the last speak for those between.
        let from = link.from.filter(|_| before.is_none());
        let below = link.below.filter(|_| row + 1 == nodes.len());
        let too_low = from.is_some_and(|from| tree.order(node.key, from).is_lt());
        let too_high = below.is_some_and(|below| tree.order(node.key, below).is_ge());
        if too_low || too_high {
            return Err(PageFault::Separator { row });
        }
        before = Some(node.key);
    }
    Ok(())
}
