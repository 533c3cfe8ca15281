//! `lamella db prune`: a directory brought to a mode at once, and orphaned forks dropped.
//!
//! | | |
//! |---|---|
//! | what a mode keeps, and the steps of a node that keeps to it | `crate::kept` |
//! | all steps at once, and the check of what is left | `job` |
//! | blocks of forks | `forks` |
//! | what the tables hold | `left` |

mod forks;
mod job;
mod left;

pub use job::{PruneError, PruneJob, Pruned};
pub use left::Left;
