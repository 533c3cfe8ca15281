//! Signatures: making them, checking them, and catching up with those that prove the rest.

use crate::{
    measured::Measured,
    row::{By, Limit, Row, per_second, slower, taken, within},
};

/// Blocks of a catch-up, all of them in the clock.
const BLOCKS: f64 = 128.0;

pub fn rows(measured: &Measured) -> Vec<Row> {
    vec![verify(measured), sign(measured), catch_up(measured)]
}

fn verify(measured: &Measured) -> Row {
    let together = "signatures/verify_64_one_thread";
    Row {
        what: "verify a block of 206 signatures",
        inside: "all cores; the keys looked up, 206 XMSS signatures of 2,536 bytes over two messages, none of them seen before; no import. The rest is on one thread",
        neighbour: "-",
        checks: vec![
            within("the block", measured, "signatures/verify_block_206", By::Both, 15e-3),
            taken("64 signatures together", measured, together, By::Clock),
        ],
        baselines: vec![slower(
            "one signature by itself, which fills no lanes of the vector unit",
            measured,
            "signatures/verify_1_one_thread",
            None,
            By::Clock,
        )],
    }
}

fn sign(measured: &Measured) -> Row {
    Row {
        what: "sign for 64 validators of one node",
        inside: "all cores, on workers beside the consensus thread: 64 keys, one message, another one each time, since the search for an encoding is a matter of luck; reservations, which are durable before, not counted",
        neighbour: "-",
        checks: vec![within("", measured, "signatures/sign_64", By::Both, 150e-3)],
        baselines: Vec::new(),
    }
}

fn catch_up(measured: &Measured) -> Row {
    let rate = |of, name: &str, limit| {
        let name = format!("signatures/catch_up_128_blocks/{name}");
        per_second(of, measured, &name, BLOCKS, "run", Limit::AtLeast(limit))
    };
    Row {
        what: "import in catch-up with signatures that count, 64 blocks to a transaction",
        inside: "all cores, an empty durable directory, blocks received and decoded, no network: in each run of 64 signatures from the last block down until two thirds of the validators have voted, transition and root of every block, one commit",
        neighbour: "-",
        checks: vec![
            rate("5 signatures a block", "V4_5_signatures", 4_000.0),
            rate("129 signatures a block", "V128_129_signatures", 250.0),
        ],
        baselines: Vec::new(),
    }
}
