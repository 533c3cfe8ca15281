//! Drives networks of real `lamella node` processes: starts, kills and stops them, cuts and heals the links between
//! them, and waits for what their APIs say.
//!
//! The hard idea: a partition must be real. Every directed link has a UDP relay of its own ([`relay`]), and each node's
//! bootnodes file names relays instead of peers, so a cut link loses datagrams like a pulled cable, and the nodes run as
//! they run everywhere.
//!
//! | question | file |
//! |---|---|
//! | a link that can be cut | `relay` |
//! | a network and its nodes | `network` |
//! | networks side by side | `lane` |
//! | a peer that says anything: `lamella-hostile`, once it is heard | [`stranger`] |
//! | waiting for what they say | `wait` |
//! | what a log line acknowledges | `log` |

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a harness fails its test by panicking"
)]

mod lane;
pub mod log;
pub mod network;
pub mod relay;
pub mod wait;

pub use network::{Network, NetworkPlan};
pub use relay::Relay;

use std::net::SocketAddr;

use lamella_hostile::{Stranger, stranger::Answer};

/// Dials a node, and waits until it would hear what the stranger says.
#[must_use]
pub fn stranger(address: SocketAddr) -> Stranger {
    let stranger = Stranger::dial(address, &Answer::Silence).unwrap();
    wait::until("the stranger is heard", || stranger.is_heard().then_some(()));
    stranger
}
