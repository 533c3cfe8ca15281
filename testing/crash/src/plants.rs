//! Faults planted into a recorded run, each of which some check must find: what a program would have done to its files
//! that forgets a flush, turns two steps round, or speaks too early.

use std::collections::BTreeMap;

use crate::trace::{Event, Operation, Trace};

/// A call or a line, as if calls did not overlap.
#[derive(Debug, Clone)]
pub enum Item {
    /// A call.
    Call(Operation),
    /// A line.
    Said(String),
}

/// A fault.
pub struct Plant {
    /// What the program does wrong.
    pub name: &'static str,
    /// The run that it is planted into.
    pub run: &'static str,
    plant: fn(Vec<Item>) -> Vec<Item>,
}

/// Every fault.
pub const PLANTS: &[Plant] = &[
    plant("head", "the data file is never flushed", |items| {
        without(items, |call| is_flush(call, "mdbx.dat"))
    }),
    plant("head", "another file is flushed instead of the data file", |items| {
        changed(items, |call| {
            if let Operation::Flush { path } = call
                && path.ends_with("mdbx.dat")
            {
                *path = "db/LOCK".to_owned();
            }
        })
    }),
    plant("head", "the meta page is written, not flushed", |items| changed(items, unsynced)),
    plant("head", "the meta page is written before the data", |items| {
        moved(items, Operation::is_meta_write, |item| is_call(item, is_page_write), true)
    }),
    plant("head", "the meta page is written before the flush of the data", |items| {
        moved(
            items,
            Operation::is_meta_write,
            |item| is_call(item, |c| is_flush(c, "mdbx.dat")),
            false,
        )
    }),
    plant("head", "an import is acknowledged before its commit", |items| {
        said_earlier(items, "acknowledged", "begin")
    }),
    plant("head", "an import is acknowledged before its commit's last write", |items| {
        said_before_meta(items, "acknowledged")
    }),
    plant("head", "a commit happens before it is begun", |items| {
        said_later(items, "begin", "acknowledged")
    }),
    plant("head", "the last page of each write of many is left out", |items| {
        changed(items, |call| {
            if let Operation::Write { bytes, .. } = call
                && bytes.len() > 4096
            {
                *bytes = bytes[..bytes.len() - 4096].into();
            }
        })
    }),
    plant("head", "one write goes to the next page's place", |items| {
        nth_page_write(items, 9, |offset| *offset += 4096)
    }),
    plant("head", "one bit of each write is written wrong", |items| {
        changed(items, |call| {
            if !is_page_write(call) {
                return;
            }
            if let Operation::Write { bytes, .. } = call {
                let mut wrong = bytes.to_vec();
                wrong[bytes.len() - 1] ^= 1;
                *bytes = wrong.into();
            }
        })
    }),
    plant("head", "the pages of one commit are not written", |items| {
        let mut commit = 0;
        let mut kept = Vec::new();
        for item in items {
            commit += usize::from(is_call(&item, Operation::is_meta_write));
            if commit != 3 || !is_call(&item, is_page_write) {
                kept.push(item);
            }
        }
        kept
    }),
    plant("head", "after each commit what was in its meta page is put back", put_back),
    plant("create", "the new database's name is not flushed", |items| {
        without(items, |call| is_flush(call, "db"))
    }),
    plant("create", "the new database is named before it is flushed", |items| {
        without(items, |call| is_flush(call, "unfinished/mdbx.dat"))
    }),
    plant("create", "the new database is made in place", in_place),
    plant("create", "the new folder's name is not flushed", |items| {
        without(items, |call| matches!(call, Operation::Flush { path } if path.is_empty()))
    }),
    plant("node", "the guard's copy is renamed before it is flushed", |items| {
        without(items, |call| is_flush(call, ".tmp"))
    }),
    plant("node", "the guard's copy is renamed, its folder not flushed", |items| {
        without(items, |call| is_flush(call, "keys"))
    }),
    plant("node", "the guard's copy is overwritten in place", overwritten),
    plant("node", "the guard's copy is not written", |items| {
        without(items, |call| call.path().starts_with("keys/"))
    }),
    plant("node", "a vote is signed before its slot is reserved", |items| {
        said_before_the_guard(items, " Attested ")
    }),
    plant("node", "a block is told before its commit's last write", |items| {
        said_before_meta(items, " imported successfully ")
    }),
    plant("node", "after each commit what was in its meta page is put back", put_back),
    plant("lazy", "a reservation is not flushed under lazy commits", |items| {
        let items = without(items, |call| is_flush(call, "mdbx.dat"));
        changed(items, unsynced)
    }),
    plant("lazy", "the flush of a reservation comes before its writes", |items| {
        said_earlier(items, "acknowledged", "begin")
    }),
    plant("lazy", "a lazy commit says that it was flushed", |items| {
        changed(items, |call| {
            if !call.is_meta_write() {
                return;
            }
            if let Operation::Write { bytes, .. } = call
                && u64::from_le_bytes(bytes[SIGN].try_into().unwrap()) <= 1
            {
                let mut signed = bytes.to_vec();
                signed[SIGN].fill(7);
                *bytes = signed.into();
            }
        })
    }),
    plant("checkpoint", "the data file is never flushed", never_flushed),
    plant("prune-states", "the data file is never flushed", never_flushed),
    plant("prune-states", "the meta page is written before the data", |items| {
        moved(items, Operation::is_meta_write, |item| is_call(item, is_page_write), true)
    }),
    plant("ship", "the cursor is committed before the upload", cursor_first),
    plant("ship", "a segment is left out, and its cursor committed", |items| {
        without(items, |call| matches!(call, Operation::Link { to, .. } if to.ends_with(".lseg")))
    }),
    plant("ship", "no folder of the archive is flushed", |items| {
        let flushes = |path: &str| path.is_empty() || path.starts_with("archive");
        let is_file = |path: &str| path.rsplit('/').next().is_some_and(|name| name.contains('.'));
        without(
            items,
            |call| matches!(call, Operation::Flush { path } if flushes(path) && !is_file(path)),
        )
    }),
    plant("restore", "the new database is never flushed", never_flushed),
    plant("restore", "the new database's name is not flushed", |items| {
        without(items, |call| matches!(call, Operation::Flush { path } if path.is_empty()))
    }),
    plant("two", "two transactions where one is promised", |items| items),
    plant("floor", "the floor of pruning is moved in a transaction before", |items| items),
    plant("node-seals", "nothing of the archive is flushed", |items| {
        without(
            items,
            |call| matches!(call, Operation::Flush { path } if path.starts_with("archive")),
        )
    }),
    plant("node-fetches", "the data file is never flushed", |items| {
        without(items, |call| is_flush(call, "mdbx.dat"))
    }),
    plant("follow", "the data file is never flushed", |items| {
        without(items, |call| is_flush(call, "mdbx.dat"))
    }),
    plant("db-compact", "the folder of both names is never flushed", |items| {
        without(items, |call| is_flush(call, "data"))
    }),
    plant("db-compact", "the new database is never flushed", never_flushed),
    plant("db-compact", "the old database is deleted before the new one is named", |items| {
        let is_old = |call: &Operation| call.path().starts_with("data/db.before-compact");
        let is_removal = |call: &Operation| matches!(call, Operation::Remove { .. });
        // Its lock file is cut as it is closed.
        let items = without(items, |call| {
            is_old(call) && matches!(call, Operation::SetLength { .. } | Operation::Write { .. })
        });
        let names =
            |call: &Operation| matches!(call, Operation::Rename { to, .. } if to == "data/db");
        moved(items, |call| is_old(call) && is_removal(call), |item| is_call(item, names), true)
    }),
    plant("db-migrate", "the folder of both names is never flushed", |items| {
        without(items, |call| is_flush(call, "data"))
    }),
    plant("db-migrate", "the new database is never flushed", never_flushed),
    plant("db-backup", "the folder of the copy's name is never flushed", |items| {
        without(items, |call| is_flush(call, "data"))
    }),
    plant("db-backup", "the copy is never flushed", never_flushed),
    plant("db-repair", "the data file is never flushed", never_flushed),
    plant("db-prune", "the data file is never flushed", never_flushed),
    plant("follow-rebuild", "the folder of both names is never flushed", |items| {
        without(items, |call| is_flush(call, "data"))
    }),
    plant("follow-rebuild", "the new database is never flushed", never_flushed),
];

/// Where a meta page, written from its magic on, says whether its commit was flushed.
pub const SIGN: std::ops::Range<usize> = 168..176;

const fn plant(run: &'static str, name: &'static str, plant: fn(Vec<Item>) -> Vec<Item>) -> Plant {
    Plant { name, run, plant }
}

impl Plant {
    /// The run with this fault.
    #[must_use]
    pub fn into_run(&self, trace: &Trace) -> Trace {
        let items = trace.events.iter().filter_map(|event| match event {
            Event::Begin(number) => Some(Item::Call(trace.operations[*number].clone())),
            Event::End(_) => None,
            Event::Said(line) => Some(Item::Said(line.clone())),
        });
        let mut planted = Trace::default();
        for item in (self.plant)(items.collect()) {
            match item {
                Item::Call(operation) => planted.push(operation),
                Item::Said(line) => planted.events.push(Event::Said(line)),
            }
        }
        planted
    }
}

fn is_call(item: &Item, is: impl Fn(&Operation) -> bool) -> bool {
    matches!(item, Item::Call(call) if is(call))
}

fn is_flush(call: &Operation, end: &str) -> bool {
    matches!(call, Operation::Flush { path } if path.ends_with(end))
}

fn is_page_write(call: &Operation) -> bool {
    matches!(call, Operation::Write { path, .. } if path.ends_with("mdbx.dat"))
        && !call.is_meta_write()
}

fn says(item: &Item, word: &str) -> bool {
    matches!(item, Item::Said(line) if line.contains(word))
}

fn without(items: Vec<Item>, drop: impl Fn(&Operation) -> bool) -> Vec<Item> {
    items.into_iter().filter(|item| !is_call(item, &drop)).collect()
}

fn changed(mut items: Vec<Item>, change: impl Fn(&mut Operation)) -> Vec<Item> {
    for item in &mut items {
        if let Item::Call(call) = item {
            change(call);
        }
    }
    items
}

fn unsynced(call: &mut Operation) {
    if let Operation::Write { is_synced, .. } = call {
        *is_synced = false;
    }
}

/// Neither by a call nor by a synchronous write.
fn never_flushed(items: Vec<Item>) -> Vec<Item> {
    changed(without(items, |call| is_flush(call, "mdbx.dat")), unsynced)
}

fn put_back(items: Vec<Item>) -> Vec<Item> {
    let (mut put_back, mut before) = (Vec::new(), BTreeMap::new());
    for item in items {
        put_back.push(item.clone());
        if let Item::Call(call @ Operation::Write { path: now, offset, .. }) = &item
            && call.is_meta_write()
            && let Some(Item::Call(mut old)) = before.insert(*offset, item.clone())
        {
            // It may have another name by now.
            if let Operation::Write { path, .. } = &mut old {
                path.clone_from(now);
            }
            put_back.push(Item::Call(old));
        }
    }
    put_back
}

/// Of what happens between two lines, the database's calls come first.
fn cursor_first(items: Vec<Item>) -> Vec<Item> {
    let (mut done, mut held): (Vec<Item>, Vec<Item>) = (Vec::new(), Vec::new());
    for item in items {
        match &item {
            Item::Said(_) => {
                done.append(&mut held);
                done.push(item);
            }
            Item::Call(call) if call.path().starts_with("db/") => done.push(item),
            Item::Call(_) => held.push(item),
        }
    }
    done.append(&mut held);
    done
}

fn nth_page_write(mut items: Vec<Item>, nth: usize, change: impl Fn(&mut u64)) -> Vec<Item> {
    let mut writes = items.iter_mut().filter(|item| is_call(item, is_page_write));
    if let Some(Item::Call(Operation::Write { offset, .. })) = writes.nth(nth) {
        change(offset);
    }
    items
}

/// Moves each such call to before the one that came last before it, or the first of several in a row.
fn moved(
    items: Vec<Item>,
    is_moved: impl Fn(&Operation) -> bool,
    is_passed: impl Fn(&Item) -> bool,
    passes_all: bool,
) -> Vec<Item> {
    let mut done: Vec<Item> = Vec::new();
    for item in items {
        if !is_call(&item, &is_moved) {
            done.push(item);
            continue;
        }
        let since = done.iter().rposition(|item| is_call(item, &is_moved)).map_or(0, |at| at + 1);
        let mut passed = (since..done.len()).filter(|at| is_passed(&done[*at]));
        let place = if passes_all { passed.next() } else { passed.next_back() };
        done.insert(place.unwrap_or(done.len()), item);
    }
    done
}

/// Moves each such line to right behind the last line of the other kind before it.
fn said_earlier(items: Vec<Item>, said: &str, after: &str) -> Vec<Item> {
    let mut done: Vec<Item> = Vec::new();
    for item in items {
        let place = if says(&item, said) {
            done.iter().rposition(|item| says(item, after)).map(|at| at + 1)
        } else {
            None
        };
        done.insert(place.unwrap_or(done.len()), item);
    }
    done
}

/// Moves each such line to right before the last write of the commit before it.
fn said_before_meta(items: Vec<Item>, said: &str) -> Vec<Item> {
    let mut done: Vec<Item> = Vec::new();
    for item in items {
        let place = if says(&item, said) {
            done.iter().rposition(|item| is_call(item, Operation::is_meta_write))
        } else {
            None
        };
        done.insert(place.unwrap_or(done.len()), item);
    }
    done
}

/// Moves each such line to before the last writing of the guard's copy before it.
fn said_before_the_guard(items: Vec<Item>, said: &str) -> Vec<Item> {
    let mut done: Vec<Item> = Vec::new();
    for item in items {
        let place = if says(&item, said) {
            done.iter().rposition(|item| {
                is_call(
                    item,
                    |call| matches!(call, Operation::Create { path } if path.ends_with(".tmp")),
                )
            })
        } else {
            None
        };
        done.insert(place.unwrap_or(done.len()), item);
    }
    done
}

/// Holds each such line back until the next one of the other kind.
fn said_later(items: Vec<Item>, said: &str, before: &str) -> Vec<Item> {
    let (mut done, mut held) = (Vec::new(), None);
    for item in items {
        if says(&item, said) {
            held = Some(item);
            continue;
        }
        if says(&item, before) {
            done.extend(held.take());
        }
        done.push(item);
    }
    done
}

fn in_place(items: Vec<Item>) -> Vec<Item> {
    let kept = without(items, |call| match call {
        Operation::Rename { from, .. } => from.contains("unfinished"),
        _ => call.path().contains("unfinished") && !call.path().ends_with("mdbx.dat"),
    });
    changed(kept, |call| match call {
        Operation::Create { path }
        | Operation::Write { path, .. }
        | Operation::Grow { path, .. }
        | Operation::SetLength { path, .. }
        | Operation::Flush { path } => *path = path.replace("unfinished/", ""),
        _ => {}
    })
}

fn overwritten(items: Vec<Item>) -> Vec<Item> {
    let mut is_there = false;
    let mut done = Vec::new();
    for item in items {
        match item {
            Item::Call(Operation::Create { path }) if path.ends_with(".tmp") => {
                let path = path.trim_end_matches(".tmp").to_owned();
                done.push(Item::Call(if is_there {
                    Operation::SetLength { path, bytes: 0 }
                } else {
                    Operation::Create { path }
                }));
                is_there = true;
            }
            Item::Call(Operation::Rename { from, .. }) if from.ends_with(".tmp") => {}
            other => done.push(other),
        }
    }
    changed(done, |call| match call {
        Operation::Write { path, .. } | Operation::Flush { path } if path.ends_with(".tmp") => {
            *path = path.trim_end_matches(".tmp").to_owned();
        }
        _ => {}
    })
}
