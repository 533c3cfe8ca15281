//! How far an answer is: each names the slot of the head that it was given under, and waits for one if it is asked to.
//!
//! Who wrote through one node and reads from another, a follower above all, asks with `?min_slot=` of what it wrote, and has
//! it or a refusal, never an older answer without knowing.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use lamella_types::Slot;
use tokio::time::{Instant, sleep};

use super::{ApiContext, ApiError};

/// Slot of the head when the answer was begun.
const HEAD_SLOT: HeaderName = HeaderName::from_static("x-head-slot");

/// The query that waits.
const MIN_SLOT: &str = "min_slot";

/// Longest wait: two slots of the lean network, and well before the request's own time is over.
const WAIT_MAX: Duration = Duration::from_secs(8);

/// Time between two looks at the head: a few loads and an `Arc`.
const LOOK: Duration = Duration::from_millis(10);

/// Waits for the head to be where the request wants it, and says where it was.
pub(super) async fn mark(
    State(context): State<Arc<ApiContext>>,
    request: Request,
    next: Next,
) -> Response {
    let wanted = match min_slot(request.uri().query().unwrap_or_default()) {
        Ok(wanted) => wanted.unwrap_or_default(),
        Err(error) => return error.into_response(),
    };
    let head_slot = match wait(&context, wanted).await {
        Ok(head_slot) => head_slot,
        Err(error) => return error.into_response(),
    };
    let mut response = next.run(request).await;
    response.headers_mut().insert(HEAD_SLOT, HeaderValue::from(head_slot));
    response
}

/// Waits until the head has this slot; says which it has.
async fn wait(context: &ApiContext, wanted: Slot) -> Result<Slot, ApiError> {
    let head_slot = || context.chain.summary().head_slot;
    if head_slot() >= wanted {
        return Ok(head_slot());
    }
    let Ok(_place) = Arc::clone(&context.waiting).try_acquire_owned() else {
        return Err(ApiError::Busy);
    };
    let until = Instant::now() + WAIT_MAX;
    loop {
        let head_slot = head_slot();
        if head_slot >= wanted {
            return Ok(head_slot);
        }
        if Instant::now() >= until {
            return Err(ApiError::NotYet { wanted, head_slot });
        }
        sleep(LOOK).await;
    }
}

fn min_slot(query: &str) -> Result<Option<Slot>, ApiError> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = pairs.into_iter().find(|(name, _)| *name == MIN_SLOT) else {
        return Ok(None);
    };
    let slot = value.parse::<Slot>();
    slot.map(Some).map_err(|_| ApiError::InvalidRequest(format!("{MIN_SLOT} is a slot number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_to_wait_for_is_found_among_other_queries_and_must_be_one() {
        assert_eq!(min_slot("").unwrap(), None);
        assert_eq!(min_slot("root=0x1&min_slot=7").unwrap(), Some(7));
        assert!(min_slot("min_slot=-1").is_err());
        assert!(min_slot("min_slot=").is_err());
    }
}
