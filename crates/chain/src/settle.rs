//! Head and finality of one view, until they agree.

use lamella_fork_choice::ForkChoice;

/// leanSpec computes a head under the finalized slot before it and then moves that slot. Computing it once
/// more makes the stored head the one that a restart computes. Upholds F1.
pub(crate) fn settle(view: &mut ForkChoice, finalized_changed: bool) {
    /// One round settles an honest chain. Votes made for it can keep head and finality moving for ever.
    const ROUNDS_MAX: usize = 8;
    let mut changed = finalized_changed;
    for _ in 0..ROUNDS_MAX {
        if !changed {
            break;
        }
        changed = view.update_head().finalized_changed;
    }
    if changed {
        view.update_head_keeping_finality();
    }
}
