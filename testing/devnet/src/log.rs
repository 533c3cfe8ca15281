//! What a node's log acknowledges.

use lamella_types::{Root, Slot};

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

/// What the node asked its peers for: the first slots of ranges, and roots.
#[must_use]
pub fn asked_for(log: &str) -> (Vec<Slot>, Vec<Root>) {
    let (mut starts, mut roots) = (Vec::new(), Vec::new());
    for line in log.lines().filter(|line| line.contains(" Asking for blocks ")) {
        if let Some((_, rest)) = line.split_once("Range { start_slot: ") {
            starts.extend(rest.split(',').next().and_then(|start| start.parse::<Slot>().ok()));
        } else if let Some((_, rest)) = line.split_once("Roots([") {
            let list = rest.split(']').next().unwrap_or_default();
            roots.extend(list.split(", ").filter_map(|root| root.parse::<Root>().ok()));
        }
    }
    (starts, roots)
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
        let (one, two) = (Root::new([1; 32]), Root::new([2; 32]));
        let asked = format!(
            "x Asking for blocks peer=1 request=2 blocks=Range {{ start_slot: 25, count: 7 }}\n\
             x Asking for blocks peer=1 request=3 blocks=Roots([{one}, {two}])\n"
        );
        assert_eq!(asked_for(&asked), (vec![25], vec![one, two]));
        assert_eq!(field("x slot=1 head_slot=2", "head_slot"), Some("2"));
    }
}
