//! What a node's log acknowledges.

use lamella_types::Slot;

/// The value of `name=value` in a line.
#[must_use]
pub fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!(" {name}="))? + name.len() + 2;
    line[start..].split_whitespace().next()
}

/// The head's slot in the last whole line that tells one. A line that a kill cut off acknowledges nothing.
#[must_use]
pub fn last_head_slot(log: &str) -> Option<Slot> {
    let end = log.rfind('\n')?;
    log[..end].lines().rev().find_map(|line| field(line, "head_slot")?.parse().ok())
}

/// The lowest slot of each import, in order: of single blocks from gossip, of runs of blocks from sync.
#[must_use]
pub fn imported_slots(log: &str) -> Vec<Slot> {
    let slot = |line: &str| {
        let name = if line.contains(" Blocks imported ") { "first_slot" } else { "slot" };
        field(line, name)?.parse().ok()
    };
    let is_import =
        |line: &&str| line.contains(" Block imported ") || line.contains(" Blocks imported ");
    log.lines().filter(is_import).filter_map(slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cut_off_acknowledges_nothing() {
        let log = "a INFO x head_slot=7 y\nb Block imported slot=8 head_slot=8\n\
                   c Blocks imported first_slot=9 last_slot=12 head_slot=12\nd head_slot=13";
        assert_eq!(last_head_slot(log), Some(12));
        assert_eq!(last_head_slot("c head_slot=9"), None);
        assert_eq!(imported_slots(log), [8, 9]);
        assert_eq!(field("x slot=1 head_slot=2", "head_slot"), Some("2"));
    }
}
