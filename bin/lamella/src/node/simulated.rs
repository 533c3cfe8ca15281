//! The same node without threads, clocks and sockets of its own: for simulations of many nodes on one thread.
//!
//! Everything between the inbox and the store is the node's. What a thread of its would do whenever the machine lets it,
//! the simulation has done when it likes: a turn of the loop, a worker's job, a key's preparation. Nothing waits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lamella_chain::Chain;
use lamella_network::service::{Hand, Network};
use lamella_xmss::scheme::ProofScheme;

use super::{
    Inbox, Node, NodeError,
    config::Host,
    keys::Preparer,
    pace::Pace,
    wall::{self, Reading},
    workers::{Employer as _, Workers},
};
use crate::config::NodeConfig;

/// What the clocks of a node's machine say.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// Milliseconds since 1970, right or wrong.
    pub unix_ms: u64,
    /// What only goes on.
    pub monotonic: Instant,
}

impl Clocks {
    /// Sets the clocks of this thread's nodes.
    pub fn set(self) {
        wall::make_up(Reading { unix_ms: self.unix_ms, monotonic: self.monotonic });
    }
}

/// A node, and what drives it. Whoever calls it has set its [`Clocks`].
pub struct SimulatedNode {
    node: Node,
    pace: Pace,
    inbox: Inbox,
}

impl SimulatedNode {
    /// Opens the node, and gives the other end of its network. Nodes that are given one scheme have each signature verified
    /// once: what it remembers is true for whoever asks.
    ///
    /// # Errors
    /// As [`Node::open`].
    pub fn open(
        config: &NodeConfig,
        scheme: Arc<dyn ProofScheme>,
    ) -> Result<(Self, Hand), NodeError> {
        let inbox = Inbox::polled();
        let mut hand = None;
        let mut host = Host {
            scheme,
            network: &mut |config, source, listener| {
                let (network, end) = Network::by_hand(config, source, listener)?;
                hand = Some(end);
                Ok(network)
            },
            workers: &mut |_| Ok(Workers::by_hand()),
            preparer: &mut |keys| Ok(Preparer::by_hand(keys)),
        };
        let node = Node::open_on(config, None, &inbox, &mut host)?;
        let hand = hand.ok_or(NodeError::ThreadEnded("network"))?;
        let pace = node.begin();
        Ok((Self { node, pace, inbox }, hand))
    }

    /// One turn of the node's loop. How long nothing is due, if nothing comes.
    ///
    /// # Errors
    /// As [`Node::run`].
    pub fn turn(&mut self) -> Result<Duration, NodeError> {
        let _ = self.node.turn(&mut self.pace, &self.inbox)?;
        self.node.preparer.prepare();
        let is_idle = self.inbox.is_idle();
        Ok(if is_idle { self.pace.wait(wall::unix_ms()) } else { Duration::ZERO })
    }

    /// Whether a job waits for a worker.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.node.workers.has_work()
    }

    /// Does one worker's job. Its result waits for the next turn.
    pub fn work(&mut self) {
        if let Some(done) = self.node.workers.work() {
            self.inbox.sender().worked(done);
        }
    }

    /// The chain it runs.
    #[must_use]
    pub const fn chain(&self) -> &Arc<Chain> {
        self.node.chain()
    }
}
