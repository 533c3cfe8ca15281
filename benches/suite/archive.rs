//! `archive`: a segment of 1,024 slots read and proven, every state hashed; and made.

use std::cell::LazyCell;

use criterion::Criterion;
use lamella_benches::{Archived, LARGE, MIDDLING, SMALL, archived::SEGMENT_SLOTS};

use crate::group::Group;

pub fn archive(c: &mut Criterion) {
    let mut group = Group::of(c, "archive");
    group.throughput(SEGMENT_SLOTS);
    for validators in [SMALL, MIDDLING, LARGE] {
        let archived = LazyCell::new(|| Archived::new(validators));
        group.time(format!("verify/V{validators}"), |times, count| {
            // A state for each block, and the one before them.
            let check = |states| assert_eq!(states, SEGMENT_SLOTS + 1);
            times.each(count, || (), |()| archived.verify(), check)
        });
        group.time(format!("seal/V{validators}"), |times, count| {
            times.each(
                count,
                || (),
                |()| archived.seal(),
                |sealed| assert_eq!(sealed, archived.sealed),
            )
        });
    }
}
