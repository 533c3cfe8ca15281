//! What no other client can show, since it keeps neither forks nor states: the fork tree of any past slot, who voted in it, what each
//! block changed.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::Response,
};
use lamella_inspect::{
    block_id::BlockId, participation::PARTICIPATION_SLOTS_MAX, tree::TREE_BLOCKS_MAX,
};
use lamella_types::Slot;
use serde::Deserialize;

use super::{ApiContext, ApiError, answer::Answer, clients::Client};

/// Slots of a stretch, unless the request says how many.
const SLOTS: u64 = 64;

/// How long a stretch of slots is to be.
#[derive(Debug, Deserialize)]
pub(super) struct Stretch {
    slots: Option<u64>,
}

type StretchQuery = Result<Query<Stretch>, QueryRejection>;

/// `GET /lean/v0/tree/{slot}?slots=N`: every stored block of N slots from this one on, with its parent.
pub(super) async fn tree(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
    Path(from): Path<String>,
    stretch: StretchQuery,
) -> Result<Response, ApiError> {
    let (from, slots) = parse(&from, stretch, TREE_BLOCKS_MAX as u64)?;
    let answer = context.read(move |chain| {
        // The snapshot is over before the answer is written.
        let tree = chain.snapshot()?.tree(from, slots)?;
        Answer::json(&tree)
    });
    answer.await?.respond(&context, &client)
}

/// `GET /lean/v0/participation/{slot}?slots=N`: who voted in each of N slots from this one on, up to the head.
pub(super) async fn participation(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
    Path(from): Path<String>,
    stretch: StretchQuery,
) -> Result<Response, ApiError> {
    let (from, slots) = parse(&from, stretch, PARTICIPATION_SLOTS_MAX)?;
    let answer = context.read(move |chain| {
        let votes = chain.snapshot()?.participation(from, slots)?;
        Answer::json(&votes)
    });
    answer.await?.respond(&context, &client)
}

/// `GET /lean/v0/states/{id}/change`: a block's post-state beside its parent's, both in short, and what is stored of it.
pub(super) async fn change(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id: BlockId = id.parse()?;
    let answer = context.read(move |chain| {
        let snapshot = chain.snapshot()?;
        let located = snapshot.locate(id)?;
        let change = snapshot.change(&located)?;
        drop(snapshot);
        Ok(Answer::json(&change)?.about(located.key.root))
    });
    answer.await?.respond(&context, &client)
}

/// First slot and number of slots; more than there may be are an error, not silently fewer.
fn parse(from: &str, stretch: StretchQuery, max: u64) -> Result<(Slot, u64), ApiError> {
    let Query(stretch) = stretch.map_err(|error| ApiError::InvalidRequest(error.body_text()))?;
    let BlockId::Slot(from) = from.parse()? else {
        return Err(ApiError::InvalidRequest("want a slot in decimal".to_owned()));
    };
    let slots = stretch.slots.unwrap_or(SLOTS);
    if slots == 0 || slots > max {
        return Err(ApiError::InvalidRequest(format!("slots={slots}: want 1 to {max}")));
    }
    Ok((from, slots))
}
