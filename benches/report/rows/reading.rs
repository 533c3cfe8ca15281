//! Reads: cold, first, in a stall, hot; SSZ and JSON.

use crate::{
    measured::Measured,
    row::{By, Row, slower, within},
};

pub fn rows(measured: &Measured) -> Vec<Row> {
    vec![
        warm(
            measured,
            "read a state, 1,023 blocks after its anchor, V 4096, H 2k",
            "H2k",
            "5.5 ms",
            0.3e-3,
        ),
        warm(
            measured,
            "read a state, 1,023 blocks after its anchor, V 4096, H 261k",
            "H261k",
            "2,026 to 7,886 ms",
            0.5e-3,
        ),
        first(measured),
        stalled(measured),
        hot(measured),
        ssz(measured),
        json(measured),
    ]
}

/// What lies in memory where a row says so, on either side.
const WARM: &str = "one thread, the file in the page cache; rows, deltas, canonical scan, reconstruction, hash of the \
                    whole state and its comparison with the header. *Segments*: history segments and registry in memory, \
                    the anchor rebuilt. *Anchor*: its state in memory too. The walk has its snapshot in memory, hashed, \
                    structure shared, as good as *anchor*";

fn warm(
    measured: &Measured,
    what: &'static str,
    history: &str,
    neighbour: &'static str,
    limit: f64,
) -> Row {
    let name = |kind: &str| format!("read_state_cold/{kind}/V4096_{history}/1023");
    let anchor = name("anchor_warm");
    Row {
        what,
        inside: WARM,
        neighbour,
        checks: vec![
            within("segments", measured, &name("segments_warm"), By::Clock, limit),
            within("anchor", measured, &anchor, By::Clock, limit),
        ],
        baselines: vec![slower(
            "walk from a snapshot in memory",
            measured,
            &name("baseline_linear_warm"),
            Some(&anchor),
            By::Clock,
        )],
    }
}

fn first(measured: &Measured) -> Row {
    let name = |kind: &str| format!("read_state_cold/{kind}/V4096_H261k");
    let ours = format!("{}/1023", name("first"));
    Row {
        what: "the very first read after a start, V 4096, H 261k",
        inside: "nothing of ours in memory, the database open, its file in the page cache; every segment and the registry \
                 read and hashed, on up to four threads (as many as the machine has cores). Baselines hash their history \
                 on the same number of threads, but for the one that says otherwise",
        neighbour: "2,026 to 7,886 ms",
        checks: vec![within("", measured, &ours, By::Both, 25e-3)],
        baselines: vec![
            slower(
                "snapshot read and hashed, then the walk",
                measured,
                &format!("{}/1023", name("baseline_linear_cold")),
                Some(&ours),
                By::Both,
            ),
            slower(
                "reading a full state",
                measured,
                &name("baseline_full_state"),
                Some(&ours),
                By::Both,
            ),
            slower(
                "the same on one thread",
                measured,
                &name("baseline_full_state_1_thread"),
                Some(&ours),
                By::Both,
            ),
        ],
    }
}

fn stalled(measured: &Measured) -> Row {
    let name = |kind: &str| format!("read_state_in_stall/{kind}/V4096_H261k_2100_slots");
    let anchor = name("anchor_warm");
    Row {
        what: "read a state at the end of a stall of 2,100 slots, H 261k, half of 4,096 voting",
        inside: "as above, at the block with the most tally deltas to replay; the whole tally is hashed. The cold walk \
                 has nothing in memory and as many threads as the first read",
        neighbour: "78 to 88 ms",
        checks: vec![
            within("segments", measured, &name("segments_warm"), By::Clock, 1e-3),
            within("anchor", measured, &anchor, By::Clock, 1e-3),
        ],
        baselines: vec![
            slower(
                "walk from a snapshot in memory",
                measured,
                &name("baseline_linear_warm"),
                Some(&anchor),
                By::Clock,
            ),
            slower("cold walk", measured, &name("baseline_linear_cold"), None, By::Both),
        ],
    }
}

fn hot(measured: &Measured) -> Row {
    Row {
        what: "read a state in the cache, H 261k",
        inside: "one thread, the only one: a lookup and a pointer's copy, with the reading of the clock itself; nothing is \
                 hashed again",
        neighbour: "6 to 7 ms",
        checks: vec![within("", measured, "read_state_hot/V4096_H261k", By::Clock, 1e-6)],
        baselines: Vec::new(),
    }
}

fn ssz(measured: &Measured) -> Row {
    let name = |what: &str| format!("state_ssz/{what}/V4096_H261k");
    let (encode, decode) = (name("encode"), name("decode"));
    Row {
        what: "SSZ of a state of 8.8 MB",
        inside: "one thread, bytes in memory; decoding hashes the history's segments on the way, encoding copies",
        neighbour: "360 / 40 ms (plain `ssz_rs`)",
        checks: vec![
            within("encode", measured, &encode, By::Clock, 6e-3),
            within("decode", measured, &decode, By::Clock, 15e-3),
        ],
        baselines: vec![
            slower(
                "plain `ssz_rs` encode",
                measured,
                &name("baseline_ssz_rs_encode"),
                Some(&encode),
                By::Clock,
            ),
            slower(
                "plain `ssz_rs` decode, which does not hash",
                measured,
                &name("baseline_ssz_rs_decode"),
                Some(&decode),
                By::Clock,
            ),
        ],
    }
}

fn json(measured: &Measured) -> Row {
    let ours = "state_json/V4096_H120k";
    Row {
        what: "a state of 4.3 MB as JSON",
        inside: "one thread, in memory: 9 MB of text written into one buffer, as the HTTP API does before it sends",
        neighbour: "-",
        checks: vec![within("", measured, ours, By::Both, 6e-3)],
        baselines: vec![slower(
            "the same text by the serializer, entry by entry",
            measured,
            "state_json/baseline_serializer/V4096_H120k",
            Some(ours),
            By::Both,
        )],
    }
}
