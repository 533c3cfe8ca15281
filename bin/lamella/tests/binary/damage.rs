//! Rows of a stopped node's database with a flipped bit: it starts again, says what it derived, and goes on.

use std::path::Path;

use lamella_tables::{Database, OpenMode, Options, RawRow};

use crate::node::{Node, field, get, network};

fn rows(database: &Database, table: &str) -> Vec<RawRow> {
    let txn = database.read().unwrap();
    txn.raw_rows(table).unwrap().map_or_else(Vec::new, |rows| rows.map(Result::unwrap).collect())
}

/// Flips one bit of the last row of a table, or of the one with this key; `false` if there is none.
fn flip(data: &Path, table: &str, key: Option<&[u8]>) -> bool {
    let database = Database::open(&data.join("db"), Options::new(OpenMode::Existing)).unwrap();
    let row = rows(&database, table).into_iter().rfind(|row| key.is_none_or(|key| row.key == key));
    let Some(mut row) = row else { return false };
    row.stored[2] ^= 4;
    let mut txn = database.write().unwrap();
    txn.put_raw(table, &row.key, &row.stored).unwrap();
    txn.commit().unwrap();
    true
}

/// The metrics of a node that said where it listens.
fn metrics(listening: &str) -> String {
    String::from_utf8(get(field(listening, "api").unwrap(), "/metrics").1).unwrap()
}

/// Symptom: one flipped bit in a vote, in an index or in the fork choice row, and the node never starts again; one in
/// the sign guard, and no validator of the node signs.
/// Mechanism: fork choice was rebuilt from these rows and any that could not be read ended the start; all keys' guards
/// were reserved as one.
/// Fix: what follows from headers is derived again, a vote costs that vote, a guard silences its own key.
#[test]
fn a_flipped_bit_in_a_derived_row_costs_no_start() {
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    let mut node = Node::start(&net, &data);
    node.wait_for(|line| line.contains("Block imported") && line.contains(" slot=4 "));
    node.kill();

    for table in ["Slots", "Canonical", "Votes", "Meta"] {
        let key = (table == "Meta").then_some(&b"fork_choice"[..]);
        if !flip(&data, table, key) {
            continue;
        }
        let mut node = Node::start(&net, &data);
        let started =
            node.wait_for(|line| line.contains(" Started ") || line.starts_with("error:"));
        let head: u64 =
            field(&started, "head_slot").unwrap_or_else(|| panic!("{started}")).parse().unwrap();
        let derived = node.wait_for(|line| line.contains("Derived again"));
        let said = match table {
            "Votes" => "votes_dropped=1",
            "Slots" => "slots=1",
            "Canonical" => "canonical=1",
            _ => "fork_choice=true",
        };
        assert!(derived.contains(said), "{table}: {derived}");
        let listening = node.wait_for(|line| line.contains("HTTP API listening"));
        let metric = match table {
            "Meta" => "{table=\"fork_choice\"} 1".to_owned(),
            table => format!("{{table=\"{table}\"}} 1"),
        };
        assert!(metrics(&listening).contains(&format!("lean_storage_derived_rows_total{metric}")));
        node.wait_for(|line| {
            line.contains("Block imported")
                && field(line, "head_slot").unwrap().parse::<u64>().unwrap() > head
        });
        node.kill();
        crate::node::verify(&data);
    }

    assert!(flip(&data, "SignGuard", None));
    let mut node = Node::start(&net, &data);
    let silent = node.wait_for(|line| line.contains("will not sign"));
    assert!(silent.contains("SignGuard, key validator 3"), "{silent}");
    let listening = node.wait_for(|line| line.contains("HTTP API listening"));
    assert!(metrics(&listening).contains("lean_validator_silenced_keys 1\n"));
    node.wait_for(|line| line.contains("Attested") && !line.contains("validators=0"));
}
