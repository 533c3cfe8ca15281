//! Server-sent events: `GET /lean/v0/events?topics=head,block`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{self, error::RecvError},
};

use super::{
    clients::Client,
    context::ApiContext,
    error::ApiError,
    events::{Published, Topic},
};

/// A quiet stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /lean/v0/events?topics=..`. Topics are required, separated by commas or repeated.
pub(super) async fn events(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let query = query.map_err(|rejection| ApiError::InvalidRequest(rejection.body_text()))?;
    let topics = parse_topics(&query.0)?;
    let place = Arc::clone(&context.event_streams).try_acquire_owned();
    let place = client.event_stream().zip(place.ok()).ok_or(ApiError::Busy)?;
    let listener = Listener { topics, ring: context.events.subscribe(), _place: place };
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
    /// Among this client's, and among all.
    _place: (OwnedSemaphorePermit, OwnedSemaphorePermit),
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
    use crate::events::{EVENT_CAPACITY, Events};

    #[tokio::test]
    async fn a_stream_that_falls_behind_is_told_how_much_it_missed() {
        let (events, root) = (Events::new(), lamella_types::Root::new([1; 32]));
        let place = || Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let topics = vec![Topic::BlockGossip];
        let listener = Listener { topics, ring: events.subscribe(), _place: (place(), place()) };
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
