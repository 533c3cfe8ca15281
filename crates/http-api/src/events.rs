//! Server-sent events: `GET /lean/v0/events?topics=head,block`.
//!
//! Whoever changes the chain publishes into one bounded ring; every stream reads it at its own pace. A reader that
//! is a whole ring behind loses the oldest events and is told how many. Publishing never waits, and costs nothing
//! while nobody listens.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use lamella_block_store as block_store;
use lamella_chain::{Chain, Persisted};
use lamella_fork_choice::ForkChoice;
use lamella_inspect::json::Json;
use lamella_types::{
    AggregationBits, AttestationData, Checkpoint, Root, SignedAggregatedAttestation, Slot,
    ValidatorIndex,
};
use serde::Serialize;
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{self, error::RecvError},
};
use tracing::warn;

use super::{ApiContext, ApiError};

/// Events that a slow stream may fall behind: at 4,096 votes a slot, two slots. ethlambda's number.
pub const EVENT_CAPACITY: usize = 8192;

/// A head is announced only this close to the wall clock: in catch-up every block is one. ethlambda's number.
const HEAD_EVENT_RECENCY_SLOTS: u64 = 32;

/// A quiet stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a stream can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Topic {
    Head,
    Block,
    JustifiedCheckpoint,
    FinalizedCheckpoint,
    BlockGossip,
    Attestation,
    Aggregate,
}

impl Topic {
    const ALL: [Self; 7] = [
        Self::Head,
        Self::Block,
        Self::JustifiedCheckpoint,
        Self::FinalizedCheckpoint,
        Self::BlockGossip,
        Self::Attestation,
        Self::Aggregate,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Block => "block",
            Self::JustifiedCheckpoint => "justified_checkpoint",
            Self::FinalizedCheckpoint => "finalized_checkpoint",
            Self::BlockGossip => "block_gossip",
            Self::Attestation => "attestation",
            Self::Aggregate => "aggregate",
        }
    }
}

/// An event, rendered once for all streams.
#[derive(Debug, Clone)]
struct Published {
    topic: Topic,
    data: Arc<str>,
}

/// Where events are published. Clones publish into the same ring.
#[derive(Debug, Clone)]
pub struct Events(broadcast::Sender<Published>);

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

/// `{slot, block}`.
#[derive(Serialize)]
struct BlockData<'a> {
    slot: Slot,
    block: Json<'a, Root>,
}

/// `{slot, block, state}`.
#[derive(Serialize)]
struct StateData<'a> {
    slot: Slot,
    block: Json<'a, Root>,
    state: Json<'a, Root>,
}

impl Events {
    /// An empty ring.
    #[must_use]
    pub fn new() -> Self {
        Self(broadcast::channel(EVENT_CAPACITY).0)
    }

    /// Blocks were committed: `block`, and what [`Events::view_changed`] publishes.
    pub fn imported(&self, chain: &Chain, persisted: &Persisted, current_slot: Slot) {
        for root in &persisted.imported {
            if let Some(block) = persisted.after.get(root) {
                self.publish(Topic::Block, &BlockData { slot: block.slot, block: Json(root) });
            }
        }
        self.view_changed(chain, &persisted.before, &persisted.after, current_slot);
    }

    /// The published view is another one: `head`, `justified_checkpoint`, `finalized_checkpoint`, for what differs.
    ///
    /// # Cost
    /// Nothing without a listener; else one header for each event.
    pub fn view_changed(
        &self,
        chain: &Chain,
        before: &ForkChoice,
        after: &ForkChoice,
        current_slot: Slot,
    ) {
        let head = after.head_summary().checkpoint();
        let is_recent = head.slot.saturating_add(HEAD_EVENT_RECENCY_SLOTS) >= current_slot;
        if is_recent && before.head() != head.root {
            self.publish_state(chain, Topic::Head, head);
        }
        let (justified, finalized) = (after.latest_justified(), after.latest_finalized());
        if before.latest_justified() != justified {
            self.publish_state(chain, Topic::JustifiedCheckpoint, justified);
        }
        if before.latest_finalized() != finalized {
            self.publish_state(chain, Topic::FinalizedCheckpoint, finalized);
        }
    }

    /// A block arrived by gossip; it is not imported yet.
    pub fn block_gossip(&self, slot: Slot, root: &Root) {
        self.publish(Topic::BlockGossip, &BlockData { slot, block: Json(root) });
    }

    /// A vote was accepted.
    pub fn attestation(&self, validator_id: ValidatorIndex, data: &AttestationData) {
        #[derive(Serialize)]
        struct Data<'a> {
            validator_id: ValidatorIndex,
            data: Json<'a, AttestationData>,
        }
        self.publish(Topic::Attestation, &Data { validator_id, data: Json(data) });
    }

    /// An aggregate was accepted.
    pub fn aggregate(&self, aggregate: &SignedAggregatedAttestation) {
        #[derive(Serialize)]
        struct Data<'a> {
            participants: Json<'a, AggregationBits>,
            data: Json<'a, AttestationData>,
        }
        let participants = Json(&aggregate.proof.participants);
        self.publish(Topic::Aggregate, &Data { participants, data: Json(&aggregate.data) });
    }

    fn publish_state(&self, chain: &Chain, topic: Topic, block: Checkpoint) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let header = chain.read().map_err(Into::into);
        let header = header.and_then(|txn| block_store::header(&txn, &block.root));
        match header {
            Ok(Some(header)) => {
                let (root, state) = (Json(&block.root), Json(&header.state_root));
                self.publish(topic, &StateData { slot: block.slot, block: root, state });
            }
            // A checkpoint older than this node's first block.
            Ok(None) => {}
            Err(error) => warn!(%error, topic = topic.name(), "Event not published"),
        }
    }

    fn publish(&self, topic: Topic, data: &impl Serialize) {
        if self.0.receiver_count() == 0 {
            return;
        }
        // Our own structs are JSON; and that the last listener has left is no error.
        if let Ok(data) = serde_json::to_string(data) {
            let _ = self.0.send(Published { topic, data: data.into() });
        }
    }
}

/// `GET /lean/v0/events?topics=..`. Topics are required, separated by commas or repeated.
pub(super) async fn events(
    State(context): State<Arc<ApiContext>>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let query = query.map_err(|rejection| ApiError::InvalidRequest(rejection.body_text()))?;
    let topics = parse_topics(&query.0)?;
    let place = Arc::clone(&context.event_streams).try_acquire_owned();
    let place = place.map_err(|_| ApiError::Busy)?;
    let listener = Listener { topics, ring: context.events.0.subscribe(), _place: place };
    Ok(Sse::new(frames(listener)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn parse_topics(query: &[(String, String)]) -> Result<Vec<Topic>, ApiError> {
    let names = query.iter().filter(|(key, _)| key == "topics");
    let names = names.flat_map(|(_, names)| names.split(',')).filter(|name| !name.is_empty());
    let known = || Topic::ALL.map(Topic::name).join(", ");
    let mut topics = Vec::new();
    for name in names {
        let topic = Topic::ALL.into_iter().find(|topic| topic.name() == name);
        let topic = topic.ok_or_else(|| {
            let name: String = name.chars().take(80).collect();
            ApiError::InvalidRequest(format!("unknown topic {name:?}; topics are {}", known()))
        })?;
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    if topics.is_empty() {
        let what = format!("name at least one topic, ?topics=head,block; topics are {}", known());
        return Err(ApiError::InvalidRequest(what));
    }
    Ok(topics)
}

/// One stream.
struct Listener {
    topics: Vec<Topic>,
    ring: broadcast::Receiver<Published>,
    _place: OwnedSemaphorePermit,
}

fn frames(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, |mut listener| async {
        let frame = listener.next().await?;
        Some((Ok(frame), listener))
    })
}

impl Listener {
    /// The next frame; `None` when the node is gone.
    async fn next(&mut self) -> Option<Event> {
        loop {
            match self.ring.recv().await {
                Ok(event) if self.topics.contains(&event.topic) => {
                    return Some(Event::default().event(event.topic.name()).data(&*event.data));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(dropped)) => {
                    let text = format!("error - dropped {dropped} messages");
                    return Some(Event::default().comment(text));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, response::IntoResponse as _};
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_falls_behind_is_told_how_much_it_missed() {
        let (events, root) = (Events::new(), Root::new([1; 32]));
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let topics = vec![Topic::BlockGossip];
        let listener = Listener { topics, ring: events.0.subscribe(), _place: place };
        let published = EVENT_CAPACITY as u64 + 5;
        for slot in 0..published {
            events.block_gossip(slot, &root);
        }
        drop(events);
        let body = Sse::new(frames(listener)).into_response().into_body();
        let text = to_bytes(body, usize::MAX).await.unwrap();
        let text = std::str::from_utf8(&text).unwrap();
        let first = format!("event: block_gossip\ndata: {{\"slot\":5,\"block\":\"{root}\"}}\n\n");
        assert!(
            text.starts_with(&format!(": error - dropped 5 messages\n\n{first}")),
            "{}",
            &text[..200]
        );
        assert_eq!(text.matches("event: ").count(), EVENT_CAPACITY);
    }
}
