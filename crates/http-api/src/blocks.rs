//! Blocks and headers.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use lamella_inspect::{block_id::BlockId, json::Json};
use lamella_types::to_ssz;

use super::{
    ApiContext, ApiError,
    accept::{Form, negotiate},
    answer::Answer,
    clients::Client,
};

/// `GET /lean/v0/blocks/{id}`: SSZ of the signed block, or JSON of the block. leanSpec `finalized_block`.
///
/// JSON needs no proof, so it is there for any block ever imported; SSZ of one whose proof is gone is *pruned*.
pub(super) async fn block(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id: BlockId = id.parse()?;
    let default = if id == BlockId::Finalized { Form::Ssz } else { Form::Json };
    let form = negotiate(&headers, default)?;
    let answer = context.read(move |chain| {
        let snapshot = chain.snapshot()?;
        let located = snapshot.locate(id)?;
        let root = located.key.root;
        if form == Form::Json {
            let block = snapshot.block(&located)?;
            drop(snapshot);
            return Ok(Answer::json(&Json(&block))?.about(root));
        }
        let block = snapshot.signed_block(&located)?;
        drop(snapshot);
        Ok(Answer::ssz(to_ssz(&block)).about(root))
    });
    answer.await?.respond(&context, &client)
}

/// `GET /lean/v0/headers/{id}` and `/lean/v0/blocks/{id}/header`.
pub(super) async fn header(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id: BlockId = id.parse()?;
    let form = negotiate(&headers, Form::Json)?;
    let answer = context.read(move |chain| {
        let located = chain.snapshot()?.locate(id)?;
        let answer = match form {
            Form::Ssz => Answer::ssz(to_ssz(&located.header)),
            Form::Json => Answer::json(&Json(&located.header))?,
        };
        Ok(answer.about(located.key.root))
    });
    answer.await?.respond(&context, &client)
}
