//! Two recordings of one run, compared.

use crate::{disk::is_lock_file, trace::Operation};

/// Both recordings, without what they cannot agree on: how a run of bytes was cut into writes, and lock files' bytes.
///
/// # Panics
/// Where they differ, with the first difference.
pub fn told_alike(one: &[Operation], other: &[Operation]) {
    let (one, other) = (joined(one), joined(other));
    for (at, (one, other)) in one.iter().zip(&other).enumerate() {
        assert!(one == other, "operation {at}: {} and {}", short(one), short(other));
    }
    let more = one.get(other.len()..).or(other.get(one.len()..)).and_then(<[_]>::first);
    assert_eq!(more.map(short), None, "{} operations and {}", one.len(), other.len());
}

/// The operations, writes that follow each other in one file as one, and none of lock files but their names.
fn joined(operations: &[Operation]) -> Vec<Operation> {
    let mut joined: Vec<Operation> = Vec::new();
    for operation in operations {
        let is_of_lock = is_lock_file(operation.path().rsplit('/').next().unwrap_or_default());
        let names = matches!(operation, Operation::Create { .. } | Operation::Remove { .. });
        if is_of_lock && !names {
            continue;
        }
        if let Some(longer) = joined.last().and_then(|last| continued(last, operation)) {
            joined.pop();
            joined.push(longer);
        } else {
            joined.push(operation.clone());
        }
    }
    joined
}

/// Both as one write, if the second goes on where the first ended.
fn continued(first: &Operation, second: &Operation) -> Option<Operation> {
    let Operation::Write { path, offset, bytes, is_synced } = first else { return None };
    let Operation::Write { path: next, offset: at, bytes: more, is_synced: next_synced } = second
    else {
        return None;
    };
    let follows = path == next && *at == offset + bytes.len() as u64 && is_synced == next_synced;
    follows.then(|| Operation::Write {
        path: path.clone(),
        offset: *offset,
        bytes: [&bytes[..], &more[..]].concat().into(),
        is_synced: *is_synced,
    })
}

fn short(operation: &Operation) -> String {
    match operation {
        Operation::Write { path, offset, bytes, is_synced } => {
            format!("{} bytes at {offset} of {path}, synchronous: {is_synced}", bytes.len())
        }
        other => format!("{other:?}"),
    }
}
