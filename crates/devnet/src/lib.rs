//! A whole network on one machine: `lamella devnet`.
//!
//! Makes the network or goes on with it, starts one process per node, watches them slot by slot, and at the end of a
//! run of so many slots judges it. Whoever shows what happens implements [`Show`].
//!
//! | question | file |
//! |---|---|
//! | what is asked for, what comes of it, the whole run | `options`, `run` |
//! | where things are, and whether a network found is the one asked for | `folder`, `ports` |
//! | a node as a child that does not outlive this process | `process` |
//! | what a node says over HTTP | `client` |
//! | whether that is well | `health` |
//! | watching, slot by slot | `watch` |
//! | who comes and goes | `churn` |
//! | what must hold at the end; also under attack | `checks`, `trial` |
//! | a terminal, lines, JSON | `show` |
//!
//! Absent on purpose: nodes on other machines, and anything that a node does not do when started by hand.

mod checks;
mod churn;
pub mod client;
mod clock;
mod error;
mod folder;
pub mod health;
mod options;
pub mod ports;
pub mod process;
mod run;
pub mod show;
pub mod trial;
mod watch;

pub use checks::Check;
pub use error::DevnetError;
pub use options::{Announced, DevnetOptions, KeyProgress, Verdict};
pub use run::run;
pub use show::Show;
