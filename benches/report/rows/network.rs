//! Between two nodes: how soon a block is the neighbour's head, and how fast an empty node has the chain.

use crate::{
    measured::Measured,
    row::{By, Limit, Row, per_second, within},
};

pub fn rows(measured: &Measured) -> Vec<Row> {
    vec![gossip(measured), join(measured)]
}

fn gossip(measured: &Measured) -> Row {
    let head = |of, name: &str, limit| {
        let name = format!("network/block_to_neighbours_head/{name}");
        within(of, measured, &name, By::Clock, limit)
    };
    Row {
        what: "gossiped block to durable head at the neighbour",
        inside: "two processes of `lamella node` on one machine, half of the validators each, in turn; from the proposer's durable commit to the neighbour's, by the times of their logs: packed, gossiped over QUIC, unpacked, glanced at, every signature checked that did not come as a vote before, transition, one durable commit",
        neighbour: "-",
        checks: vec![head("V 4", "V4", 3e-3), head("V 128", "V128", 15e-3)],
        baselines: Vec::new(),
    }
}

fn join(measured: &Measured) -> Row {
    let rate = |of, name: &str, blocks, limit| {
        let name = format!("network/join_from_genesis/{name}");
        per_second(of, measured, &name, blocks, "join", Limit::AtLeast(limit))
    };
    Row {
        what: "join from genesis over a real network, from one peer",
        inside: "a process of `lamella node` without data, and one peer that has the chain in memory and serves it with our network service over QUIC on the loopback address; from the connection to the commit of the last block, durable: status, ranges, votes of two thirds checked in each run, transition and root of every block",
        neighbour: "-",
        checks: vec![
            rate("2,048 blocks of 5 signatures, 13 KB", "V4", 2_048.0, 4_000.0),
            rate("256 blocks of 129 signatures, 330 KB", "V128", 256.0, 250.0),
        ],
        baselines: Vec::new(),
    }
}
