//! Which slots of a chain a directory has, as values and in words.

use std::fmt;

use lamella_types::Slot;
use serde::Serialize;

/// Slots of which every canonical block is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HeldSlots {
    /// The first.
    pub from_slot: Slot,
    /// The last: that of a block, after which a hole begins or the chain ends.
    pub to_slot: Slot,
}

impl fmt::Display for HeldSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from_slot, self.to_slot)
    }
}

/// Stretches of slots, for a person.
pub struct HeldText<'a>(pub &'a [HeldSlots]);

impl fmt::Display for HeldText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, held) in self.0.iter().enumerate() {
            let before = if index > 0 { ", " } else { "" };
            write!(f, "{before}{held}")?;
        }
        Ok(())
    }
}
