//! The rows: what was promised, what was inside the clock, what the neighbour needs, what was measured, beside what.

mod archive;
mod network;
mod others;
mod reading;
mod signatures;
mod sizes;
mod writing;

use crate::{measured::Measured, row::Row};

/// The table of promises in Markdown.
pub fn promises(measured: &Measured) -> String {
    let head = "| what, and what was inside the clock | neighbour | target | measured | beside it in the same run | met |";
    table(head, "|---|---|---|---|---|---|", &rows(measured), Row::promise)
}

/// First words of the rows that README shows: one of each thing that a node lives with, met or not.
const IN_README: [&str; 13] = [
    "root of a new post-state",
    "durable import",
    "import in catch-up, V 8",
    "bytes of pages written",
    "read a state, 1,023 blocks after its anchor, V 4096, H 261k",
    "the very first read",
    "read a state at the end of a stall",
    "gossiped block to durable head",
    "join from genesis",
    "anchors, history and registry",
    "a slot in the archive, V 400",
    "restore of 2^18 slots",
    "prune 20,000 signatures",
];

/// README's table.
pub fn figures(measured: &Measured) -> String {
    let head =
        "| what a node does, and what was inside the clock | Lamella | beside it in the same run |";
    let mut rows = rows(measured);
    rows.retain(|row| IN_README.iter().any(|words| row.what.starts_with(words)));
    table(head, "|---|---|---|", &rows, Row::figures)
}

fn table(head: &str, rule: &str, rows: &[Row], line: fn(&Row) -> String) -> String {
    let mut lines = vec![head.to_owned(), rule.to_owned()];
    lines.extend(rows.iter().map(line));
    lines.join("\n")
}

/// Whether this run missed a promise: that of the row whose first words are `name`, or of one number of it as in
/// `SSZ; decode`. `None` if there is no such row or number.
pub fn is_unmet(name: &str, measured: &Measured) -> Option<bool> {
    let (words, of) = name.split_once("; ").map_or((name, None), |(row, of)| (row, Some(of)));
    let row = rows(measured).into_iter().find(|row| row.what.starts_with(words))?;
    let mut asked = row.checks.iter().filter(|check| of.is_none_or(|of| of == check.of)).peekable();
    asked.peek()?;
    Some(asked.any(|check| check.met() == Some(false)))
}

/// The promises that this run missed, in a sentence.
pub fn unmet(measured: &Measured) -> String {
    let rows = rows(measured);
    let is_unmet = |row: &&Row| row.checks.iter().any(|check| check.met() == Some(false));
    let names: Vec<_> = rows.iter().filter(is_unmet).map(|row| format!("*{}*", row.what)).collect();
    if names.is_empty() {
        return "Every row that was measured is met.".to_owned();
    }
    format!("{} of {} are not met in this run: {}.", names.len(), rows.len(), names.join("; "))
}

fn rows(measured: &Measured) -> Vec<Row> {
    let rows: [fn(&Measured) -> Vec<Row>; 7] = [
        writing::rows,
        reading::rows,
        signatures::rows,
        network::rows,
        sizes::rows,
        archive::rows,
        others::rows,
    ];
    rows.into_iter().flat_map(|rows| rows(measured)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_that_readme_shows_is_one_row() {
        let rows = rows(&Measured::default());
        for words in IN_README {
            let of = rows.iter().filter(|row| row.what.starts_with(words)).count();
            assert_eq!(of, 1, "{words}");
        }
    }
}
