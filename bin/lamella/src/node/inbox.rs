//! What wakes the node besides its clock: two bounded queues, of which votes are the second, and what workers bring back.
//!
//! Blocks, answers and news of peers are few and decide what votes are worth, so they are always read first: a queue
//! full of votes delays no block.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use lamella_network::service::{GOSSIP_PENDING_MAX, GossipMessage, NetworkEvent};
use parking_lot::{Condvar, Mutex};

use super::{
    StoreFailure,
    workers::{Done, Employer},
};

/// Votes waiting: all that the network lets wait.
const VOTES_MAX: usize = GOSSIP_PENDING_MAX;

/// Blocks, answers and news of peers waiting. The network keeps as many again.
const FIRST_MAX: usize = 1_024;

#[derive(Debug, Default)]
struct Waiting {
    /// What workers have done: no more than was given to them.
    done: VecDeque<Done>,
    first: VecDeque<NetworkEvent>,
    votes: VecDeque<NetworkEvent>,
    is_stopping: bool,
    /// A thread of the node that is no more.
    ended: Option<&'static str>,
    /// The first that nobody has heard of; what follows it says the same.
    store_failure: Option<StoreFailure>,
}

#[derive(Debug, Default)]
struct Queues {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// Whether nobody waits here: a simulation's time passes elsewhere.
    is_polled: bool,
}

/// The node's end of its queues.
#[derive(Debug, Default)]
pub struct Inbox(Arc<Queues>);

/// The other end. Clones send to the same node.
#[derive(Debug, Clone)]
pub struct Sender(Arc<Queues>);

/// What came.
pub(super) enum Received {
    /// News from the network.
    Network(NetworkEvent),
    /// A worker has done its part.
    Worked(Done),
    /// Somebody who reads from the store for others could not.
    StoreFailed(StoreFailure),
    /// A thread that the node cannot do without is no more.
    Ended(&'static str),
    /// Nothing, in this time.
    Nothing,
    /// The order to finish what is under way and stop.
    Stop,
}

impl Inbox {
    /// One where nothing is waited for: what is not there does not come.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub(super) fn polled() -> Self {
        Self(Arc::new(Queues { is_polled: true, ..Queues::default() }))
    }

    /// Whether nothing has come.
    #[cfg(feature = "simulation")]
    pub(super) fn is_idle(&self) -> bool {
        self.0.waiting.lock().is_idle()
    }

    /// For whoever has something to say to the node.
    #[must_use]
    pub fn sender(&self) -> Sender {
        Sender(Arc::clone(&self.0))
    }

    /// Waits for the next event, at most this long. An order to stop comes before whatever waits.
    pub(super) fn wait(&self, at_most: Duration) -> Received {
        let mut waiting = self.0.waiting.lock();
        if waiting.is_idle() && !self.0.is_polled {
            // Woken for nothing, it returns nothing: the caller has a loop.
            let _ = self.0.arrived.wait_for(&mut waiting, at_most);
        }
        if waiting.is_stopping {
            return Received::Stop;
        }
        if let Some(thread) = waiting.ended {
            return Received::Ended(thread);
        }
        if let Some(failure) = waiting.store_failure.take() {
            return Received::StoreFailed(failure);
        }
        if let Some(done) = waiting.done.pop_front() {
            return Received::Worked(done);
        }
        let next = waiting.first.pop_front().or_else(|| waiting.votes.pop_front());
        next.map_or(Received::Nothing, Received::Network)
    }
}

impl Sender {
    /// Orders the node to stop.
    pub fn stop(&self) {
        self.0.waiting.lock().is_stopping = true;
        self.0.arrived.notify_one();
    }

    /// Tells the node that a thread of its is over.
    pub(super) fn ended(&self, thread: &'static str) {
        self.0.waiting.lock().ended.get_or_insert(thread);
        self.0.arrived.notify_one();
    }

    /// Tells the node that the store failed somebody who serves others from it.
    pub(super) fn store_failed(&self, failure: StoreFailure) {
        self.0.waiting.lock().store_failure.get_or_insert(failure);
        self.0.arrived.notify_one();
    }

    /// Hands over an event of the network, or gives it back if there is no room.
    pub(super) fn network(&self, event: NetworkEvent) -> Result<(), Box<NetworkEvent>> {
        let mut waiting = self.0.waiting.lock();
        let (queue, max) = if is_vote(&event) {
            (&mut waiting.votes, VOTES_MAX)
        } else {
            (&mut waiting.first, FIRST_MAX)
        };
        if queue.len() >= max {
            return Err(Box::new(event));
        }
        queue.push_back(event);
        self.0.arrived.notify_one();
        Ok(())
    }
}

impl Employer for Sender {
    fn worked(&self, done: Done) {
        self.0.waiting.lock().done.push_back(done);
        self.0.arrived.notify_one();
    }

    fn worker_died(&self) {
        self.ended("worker");
    }
}

impl Waiting {
    fn is_idle(&self) -> bool {
        !self.is_stopping
            && self.ended.is_none()
            && self.store_failure.is_none()
            && self.done.is_empty()
            && self.first.is_empty()
            && self.votes.is_empty()
    }
}

const fn is_vote(event: &NetworkEvent) -> bool {
    match event {
        NetworkEvent::Gossip { message, .. } => !matches!(message, GossipMessage::Block(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use lamella_network::PeerId;

    use super::*;

    fn gone() -> NetworkEvent {
        NetworkEvent::Gone { peer: PeerId::random() }
    }

    #[test]
    fn a_full_queue_gives_events_back_and_an_order_to_stop_comes_first() {
        let inbox = Inbox::default();
        let sender = inbox.sender();
        assert!(matches!(inbox.wait(Duration::ZERO), Received::Nothing));
        for _ in 0..FIRST_MAX {
            sender.network(gone()).unwrap();
        }
        assert!(sender.network(gone()).is_err());
        assert!(matches!(inbox.wait(Duration::ZERO), Received::Network(_)));
        sender.network(gone()).unwrap();
        sender.stop();
        assert!(matches!(inbox.wait(Duration::MAX), Received::Stop));
    }

    #[test]
    fn the_end_of_a_thread_is_heard_before_any_event_and_never_forgotten() {
        let inbox = Inbox::default();
        let sender = inbox.sender();
        sender.network(gone()).unwrap();
        sender.ended("network");
        sender.ended("HTTP");
        for _ in 0..2 {
            assert!(matches!(inbox.wait(Duration::MAX), Received::Ended("network")));
        }
        sender.stop();
        assert!(matches!(inbox.wait(Duration::MAX), Received::Stop));
    }

    #[test]
    fn the_node_is_woken_by_what_arrives() {
        let inbox = Inbox::default();
        let sender = inbox.sender();
        let waker = std::thread::spawn(move || sender.network(gone()).is_ok());
        let forever = Duration::from_secs(3_600);
        assert!(matches!(inbox.wait(forever), Received::Network(_)));
        assert!(waker.join().unwrap());
    }
}
