//! What wakes the node besides its clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use lamella_network::service::{GOSSIP_PENDING_MAX, NetworkEvent};

/// Events waiting for the node: all gossip that the network lets wait, and some news of peers.
const EVENTS_MAX: usize = GOSSIP_PENDING_MAX + 1_024;

#[derive(Debug)]
enum Event {
    Network(NetworkEvent),
    Wake,
}

/// The node's end of its queue.
#[derive(Debug)]
pub struct Inbox {
    events: Receiver<Event>,
    sender: Sender,
}

/// The other end. Clones send to the same node.
#[derive(Debug, Clone)]
pub struct Sender {
    events: SyncSender<Event>,
    is_stopping: Arc<AtomicBool>,
}

/// What came.
pub(super) enum Received {
    /// News from the network.
    Network(NetworkEvent),
    /// Nothing, in this time.
    Nothing,
    /// The order to finish what is under way and stop.
    Stop,
}

impl Default for Inbox {
    fn default() -> Self {
        let (sender, events) = sync_channel(EVENTS_MAX);
        Self { events, sender: Sender { events: sender, is_stopping: Arc::default() } }
    }
}

impl Inbox {
    /// For whoever has something to say to the node.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Waits for the next event, at most this long. An order to stop comes before whatever waits.
    pub(super) fn wait(&self, at_most: Duration) -> Received {
        if self.sender.is_stopping() {
            return Received::Stop;
        }
        match self.events.recv_timeout(at_most) {
            Ok(Event::Network(_) | Event::Wake) if self.sender.is_stopping() => Received::Stop,
            Ok(Event::Network(event)) => Received::Network(event),
            Ok(Event::Wake) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Received::Nothing
            }
        }
    }
}

impl Sender {
    /// Orders the node to stop.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        // A node with a full queue is awake.
        let _ = self.events.try_send(Event::Wake);
    }

    /// Whether the node was told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// Hands over an event of the network, or gives it back if there is no room.
    pub(super) fn network(&self, event: NetworkEvent) -> Result<(), Box<NetworkEvent>> {
        match self.events.try_send(Event::Network(event)) {
            Err(TrySendError::Full(Event::Network(event))) => Err(Box::new(event)),
            // A node that is gone needs no news.
            Ok(()) | Err(TrySendError::Full(Event::Wake) | TrySendError::Disconnected(_)) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_to_stop_passes_whatever_waits() {
        let inbox = Inbox::default();
        let sender = inbox.sender();
        let gone = || NetworkEvent::Gone { peer: lamella_network::PeerId::random() };
        for _ in 0..EVENTS_MAX {
            sender.network(gone()).unwrap();
        }
        assert!(sender.network(gone()).is_err(), "full");
        assert!(matches!(inbox.wait(Duration::ZERO), Received::Network(_)));
        sender.stop();
        assert!(matches!(inbox.wait(Duration::ZERO), Received::Stop));
    }
}
