//! A client that keeps its chain in this store: it creates it, imports blocks, opens it again, reads, asks for
//! a proof, and verifies the directory.
//!
//!     cargo run -p lamella-store --example client -- /tmp/a-new-directory

use std::{env, error::Error, ops::ControlFlow, path::Path};

use lamella_store::{Answer, BlockId, Options, PostState, Start, Store};

#[expect(clippy::unwrap_used, reason = "what stands here for a client's own block production")]
pub mod chain;

#[cfg_attr(test, expect(dead_code, reason = "the test calls what it calls"))]
fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args_os().nth(1).ok_or("give a new directory")?;
    run(directory.as_ref()).map(|said| print!("{said}"))
}

/// Does it all, and tells it.
pub fn run(directory: &Path) -> Result<String, Box<dyn Error>> {
    let mut client = chain::Client::genesis(4);
    let genesis = client.state();

    let store = Store::create(directory, Start::Genesis { state: &genesis }, &Options::default())?;
    for _ in 0..32 {
        let signed_block = client.next(0);
        store.import(&signed_block, PostState::Given(&client.state()))?;
    }
    let heads = store.reader().heads();
    assert_eq!(heads.head.root, client.root(), "a chain without forks");
    let mut said = format!("imported 32 blocks, finalized slot {}\n", heads.finalized.slot);
    drop(store);

    let store = Store::open(directory, &Options::default())?;
    let reader = store.reader();
    said += &match reader.state(BlockId::Slot(20))? {
        Answer::Found(state) => format!("the state of slot 20 has {} bytes\n", state.ssz.len()),
        absent => format!("the state of slot 20 is not here: {absent:?}\n"),
    };

    // Whoever trusts the head's root can check any slot before it.
    let proof = reader.proof(heads.head.root, 7)?.found().ok_or("slot 7 is before the head")?;
    let block = reader.block(BlockId::Slot(7))?.found().ok_or("slot 7 has a block")?;
    if proof.root != block.block.root {
        return Err("the proof is of another block".into());
    }
    said += &format!("slot 7 is proven by {} hashes under the head's root\n", proof.branch.len());

    let checked = store.verify(&mut |_, _, _| ControlFlow::Continue(()))?;
    match checked.finding_count {
        0 => said += &format!("{} checks, no finding\n", checked.checks),
        found => return Err(format!("{found} findings: {:?}", checked.findings).into()),
    }
    Ok(said)
}
