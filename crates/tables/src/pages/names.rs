//! Names of trees. A bit that flips in one hides all its tables: the next start would make an empty one in its place.

use super::{PageReport, tree::NamedTree};
use crate::{
    page_fault::{PageFault, PageTree},
    schema::trees,
};

/// Names each declared tree that is missing while another, unknown one differs from it by a single bit. Any other unknown
/// tree is of a version that may know more.
pub(super) fn check(named: &[NamedTree], report: &mut PageReport) {
    let has = |name: &str| named.iter().any(|tree| tree.key == name.as_bytes());
    let is_unknown = |tree: &&NamedTree| trees().all(|name| name.as_bytes() != tree.key);
    for tree in named.iter().filter(is_unknown) {
        let is_meant = |name: &&str| !has(name) && bits(name.as_bytes(), &tree.key) == 1;
        if let Some(declared) = trees().find(is_meant) {
            let found = String::from_utf8_lossy(&tree.key).into_owned();
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
