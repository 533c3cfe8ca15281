//! Blocks and headers.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use lamella_block_store::{self as block_store, SignedBlockRead};
use lamella_inspect::{block_id::BlockId, json::Json};
use lamella_types::to_ssz;

use super::{
    ApiContext, ApiError,
    accept::{Form, negotiate},
    answer::Answer,
};

/// `GET /lean/v0/blocks/{id}`: SSZ of the signed block, or JSON of the block. leanSpec `finalized_block`.
///
/// JSON needs no proof, so it is there for any block ever imported; SSZ of one whose proof is gone is *pruned*.
pub(super) async fn block(
    State(context): State<Arc<ApiContext>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id: BlockId = id.parse()?;
    let default = if id == BlockId::Finalized { Form::Ssz } else { Form::Json };
    let form = negotiate(&headers, default)?;
    let answer = context.read(move |chain| {
        let (root, txn) = id.resolve(chain)?;
        if form == Form::Json {
            let block = block_store::block(&txn, &root)?.ok_or(ApiError::Unknown(root))?;
            drop(txn);
            return Ok(Answer::json(&Json(&block))?.about(root));
        }
        match block_store::signed_block(&txn, &root)? {
            SignedBlockRead::Found(block) => {
                drop(txn);
                Ok(Answer::ssz(to_ssz(&*block)).about(root))
            }
            SignedBlockRead::Unknown => Err(ApiError::Unknown(root)),
            SignedBlockRead::Pruned(header) => {
                let floor = block_store::signature_floor(&txn)?.key.slot;
                Err(ApiError::Pruned { root, slot: header.slot, floor })
            }
        }
    });
    answer.await?.respond(&context)
}

/// `GET /lean/v0/headers/{id}` and `/lean/v0/blocks/{id}/header`.
pub(super) async fn header(
    State(context): State<Arc<ApiContext>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id: BlockId = id.parse()?;
    let form = negotiate(&headers, Form::Json)?;
    let answer = context.read(move |chain| {
        let (root, txn) = id.resolve(chain)?;
        let header = block_store::header(&txn, &root)?.ok_or(ApiError::Unknown(root))?;
        drop(txn);
        let answer = match form {
            Form::Ssz => Answer::ssz(to_ssz(&header)),
            Form::Json => Answer::json(&Json(&header))?,
        };
        Ok(answer.about(root))
    });
    answer.await?.respond(&context)
}
