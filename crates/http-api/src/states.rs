//! States.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use lamella_inspect::{block_id::BlockId, json::state_to_vec};

use super::{
    ApiContext, ApiError,
    accept::{Form, negotiate},
    answer::Answer,
    clients::Client,
};

/// `GET /lean/v0/states/{id}`: the post-state of a block, as SSZ unless JSON is asked for. leanSpec
/// `finalized_state`.
///
/// It is the state as the transition leaves it, its latest header's `state_root` still zero, so it hashes to its
/// block's `state_root`; the store has checked that before it is served.
pub(super) async fn state(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id: BlockId = id.parse()?;
    let form = negotiate(&headers, Form::Ssz)?;
    let answer = context.read(move |chain| {
        let snapshot = chain.snapshot()?;
        let located = snapshot.locate(id)?;
        let state = snapshot.state(&located)?;
        drop(snapshot);
        let answer = match form {
            Form::Ssz => Answer::ssz(state.to_ssz()),
            Form::Json => Answer::json_text(state_to_vec(&state))?,
        };
        Ok(answer.about(located.key.root))
    });
    answer.await?.respond(&context, &client)
}
