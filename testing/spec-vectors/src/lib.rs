//! leanSpec's test vectors: where they are ([`vectors`]), how their JSON reads ([`json`], [`containers`]), and the
//! bookkeeping of a run over one group ([`run_group`]).
//!
//! The vectors are data outside this repository, named by `LEANSPEC_VECTORS` or lying beside the workspace in
//! `shared/leanspec-vectors`. Without them every group says that it is skipped and passes, except where `CI` is
//! set: there their absence fails. The checks themselves are in `tests/`, one module for each group.
//!
//! Absent on purpose: `gossipsub_handler`, whose subject is libp2p's here.

pub mod containers;
pub mod json;
mod run;
pub mod vectors;

pub use json::{FormatError, FromJson, HexBytes, field, optional};
pub use run::{Outcome, run_group, run_list, say};
pub use vectors::{Case, load_group};
