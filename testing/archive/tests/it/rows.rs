//! What a restored directory has to have as the original has it: its rows, byte by byte.

use std::{collections::BTreeMap, path::Path};

use lamella_tables::{
    Anchors, Bodies, Canonical, DatabaseView, Diffs, Headers, History, Key, Read as _, Registries,
    SegmentKey, SlotRoot, Slots, Table,
};
use lamella_types::{Root, Slot};

pub type Rows = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

/// Rows, as stored, of the tables that an archive restores, for the canonical chain up to `end`.
pub fn rows(database: &Path, end: Slot) -> Rows {
    rows_of(&DatabaseView::open(database).unwrap(), end)
}

/// As [`rows`], of a database that is open.
pub fn rows_of(view: &DatabaseView, end: Slot) -> Rows {
    let txn = view.read().unwrap();
    let canonical: BTreeMap<Slot, Root> = txn
        .scan::<Canonical>(0)
        .unwrap()
        .map(Result::unwrap)
        .take_while(|row| row.0 <= end)
        .collect();
    let is_canonical = |key: &SlotRoot| canonical.get(&key.slot) == Some(&key.root);
    let mut rows = Rows::new();
    let mut take = |name: &'static str, keep: &dyn Fn(&[u8]) -> bool| {
        for row in txn.raw_rows(name).unwrap().unwrap().map(Result::unwrap) {
            if keep(&row.key) {
                rows.insert((name, row.key), row.stored);
            }
        }
    };
    for name in [Headers::NAME, Bodies::NAME, Anchors::NAME, Diffs::NAME] {
        take(name, &|key| is_canonical(&SlotRoot::decode(key).unwrap()));
    }
    let roots: Vec<&Root> = canonical.values().collect();
    take(Slots::NAME, &|key| roots.contains(&&Root::decode(key).unwrap()));
    take(Canonical::NAME, &|key| Slot::decode(key).unwrap() <= end);
    take(Registries::NAME, &|_| true);
    // Those that anchors of the canonical chain name; a fork across a segment's end has one of its own.
    let anchors = canonical.iter().map(|(slot, root)| SlotRoot::new(*slot, *root));
    let links = anchors
        .filter_map(|key| lamella_state_store::anchor_links(&txn, &key).unwrap())
        .flat_map(|links| links.segments);
    let segments: Vec<SegmentKey> = links.collect();
    take(History::NAME, &|key| segments.contains(&SegmentKey::decode(key).unwrap()));
    rows
}
