//! Another client's own storage traits on this engine, for one that keeps its layout and wants what is below: ethlambda's
//! `StorageBackend`, with its eight tables as they are.
//!
//!     cargo run -p lamella-store --example ethlambda -- /tmp/a-new-directory
//!
//! It gets checksums, the page walk and durable commits, and not what this store is for: states as diffs, and proofs of them.
//! For that there is `lamella_store::Store` (see the example `client`).

pub mod backend;
pub mod traits;

use std::{env, path::Path};

use backend::LamellaBackend;
use traits::{Error, StorageBackend as _, Table};

#[cfg_attr(test, expect(dead_code, reason = "the test calls what it calls"))]
fn main() -> Result<(), Error> {
    let directory = env::args_os().nth(1).ok_or("give a new directory")?;
    run(directory.as_ref()).map(|said| print!("{said}"))
}

/// Keeps a block and its place in the live chain, in one batch, and finds both again after a restart.
pub fn run(directory: &Path) -> Result<String, Error> {
    let (root, parent_root, header) = ([7; 32], [6; 32], b"a header as SSZ");
    let place = [&9_u64.to_be_bytes()[..], &root].concat();
    let backend = LamellaBackend::open(directory)?;
    let mut batch = backend.begin_write()?;
    batch.put_batch(Table::BlockHeaders, vec![(root.to_vec(), header.to_vec())])?;
    batch.put_batch(Table::LiveChain, vec![(place, parent_root.to_vec())])?;
    batch.commit()?;
    drop(backend);

    let backend = LamellaBackend::open(directory)?;
    let view = backend.begin_read()?;
    let found = view.get(Table::BlockHeaders, &root)?.ok_or("the header is lost")?;
    let live = view.prefix_iterator(Table::LiveChain, &9_u64.to_be_bytes())?.count();
    Ok(format!("a header of {} bytes, and {live} block of slot 9\n", found.len()))
}
