//! Rows of a stopped node's database with a flipped bit: it starts again, says what it derived, and goes on.

use std::{fs, os::unix::process::ExitStatusExt as _, path::Path};

use lamella_tables::{Canonical, Database, OpenMode, Options, RawRow, Read as _};

use crate::node::{Node, copy_folder, field, get, head_slot, network};

/// Bytes of a page, and of what a meta page says.
const PAGE_BYTES: usize = 4_096;
const META_BYTES: usize = 244;

/// Starts on a rotten file.
const STARTS: usize = 18;

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
    let mut imported = 0;
    node.wait_for(|line| {
        imported += u32::from(line.contains("Block imported"));
        imported == 4
    });
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

/// A bit of the file, not of a row: of meta pages, of heads of pages, and of whatever else is in use.
#[test]
fn a_node_starts_on_a_rotten_file_at_a_block_that_it_had_or_says_why_not() {
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    let (mut node, mut heads) = (Node::start(&net, &data), vec![0]);
    node.wait_for(|line| {
        heads.extend(head_slot(line));
        heads.last() >= Some(&6)
    });
    heads.extend(node.kill().iter().filter_map(|line| head_slot(line)));
    // And one that it was killed before it could tell of.
    let sound = directory.path().join("sound");
    copy_folder(&data, &sound);
    let database = Database::open(&sound.join("db"), Options::new(OpenMode::Existing)).unwrap();
    heads.push(database.read().unwrap().last::<Canonical>().unwrap().unwrap().unwrap().0);
    drop(database);
    let file = fs::read(data.join("db/mdbx.dat")).unwrap();
    let pages = file.iter().rposition(|byte| *byte != 0).unwrap() / PAGE_BYTES + 1;
    let (mut started, mut refused) = (0, 0);
    for number in 0..STARTS {
        let rotten = directory.path().join(format!("rotten-{number}"));
        copy_folder(&data, &rotten);
        let page = 3 + number * 31 % (pages - 3);
        let at = match number % 3 {
            0 => number % 9 / 3 * PAGE_BYTES + number * 53 % META_BYTES,
            1 => page * PAGE_BYTES + number % 20,
            _ => page * PAGE_BYTES + number * 211 % PAGE_BYTES,
        };
        let mut bytes = file.clone();
        bytes[at] ^= 1 << (number % 8);
        fs::write(rotten.join("db/mdbx.dat"), &bytes).unwrap();
        let mut node = Node::start(&net, &rotten);
        match node.find(|line| line.contains(" Started ") || line.starts_with("error:")) {
            Ok(line) if line.contains(" Started ") => {
                let head = field(&line, "head_slot").unwrap().parse().unwrap();
                assert!(heads.contains(&head), "byte {at}: {line}, of {heads:?}");
                started += 1;
            }
            Ok(line) => {
                let code = node.process.wait().unwrap().code();
                assert!([Some(1), Some(5)].contains(&code), "byte {at}: {code:?}, {line}");
                refused += 1;
            }
            // An assertion of the engine's, which a debug build has.
            Err(status) => assert!(
                cfg!(debug_assertions) && status.signal() == Some(6),
                "byte {at}: {status} without a word"
            ),
        }
    }
    println!("{started} started, {refused} refused, of {STARTS}");
    assert!(started > 0 && refused > 0, "{started} started, {refused} refused");
}
