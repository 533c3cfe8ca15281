//! Seeds, their replay, and faults that must be found.
//!
//! `LAMELLA_SIM_SEED` and `LAMELLA_SIM_SEEDS` say from which seed on and how many; one that breaks a law is made smaller and
//! told, with the end of what happened. `LAMELLA_SIM_TRACE=1` prints all that happened.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a failed test panics"
)]

mod planted;
mod product;
mod seeds;
mod support;
mod torture;
