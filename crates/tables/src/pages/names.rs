//! Names of tables. A bit that flips in one hides the whole table: the next start would make an empty one in its place.

use super::{PageFault, PageReport, PageTree, tree::NamedTree};
use crate::schema::TABLES;

/// Names each declared table that is missing while another, unknown one differs from it by a single bit. Any other
/// unknown table is of a version that may know more.
pub(super) fn check(named: &[NamedTree], report: &mut PageReport) {
    let has = |name: &str| named.iter().any(|tree| tree.key == name.as_bytes());
    let is_unknown =
        |tree: &&NamedTree| TABLES.iter().all(|table| table.name.as_bytes() != tree.key);
    for tree in named.iter().filter(is_unknown) {
        let lost = TABLES
            .iter()
            .find(|table| !has(table.name) && bits(table.name.as_bytes(), &tree.key) == 1);
        if let Some(lost) = lost {
            let (found, declared) = (String::from_utf8_lossy(&tree.key).into_owned(), lost.name);
            report.found(&PageTree::Main, tree.page, PageFault::Name { found, declared });
        }
    }
}

/// Bits in which two names differ; names of two lengths differ in more than one.
fn bits(left: &[u8], right: &[u8]) -> u32 {
    if left.len() != right.len() {
        return u32::MAX;
    }
    left.iter().zip(right).map(|(left, right)| (left ^ right).count_ones()).sum()
}
