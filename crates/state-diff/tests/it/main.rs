//! Diffs and anchors: what is built comes back, what is not a child is refused, and bytes are pinned.

mod chain;
mod format;
mod laws;
mod refusals;
