//! Proofs for who trusts one block root, and not the node that is asked.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::Response,
};
use lamella_inspect::block_id::BlockId;
use lamella_types::Slot;
use serde::Deserialize;

use super::{ApiContext, ApiError, answer::Answer, clients::Client};

/// The block that the client trusts.
#[derive(Debug, Deserialize)]
pub(super) struct Trusted {
    #[serde(default = "finalized")]
    root: String,
}

fn finalized() -> String {
    "finalized".to_owned()
}

/// `GET /lean/v0/proof/block/{slot}?root=R`, and the same for `state`: a header with 23 hashes that lead from its root to the
/// `state_root` of block R, or that the slot is empty. A header proves its body and its post-state, so both routes give the same.
pub(super) async fn proof(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
    Path(slot): Path<String>,
    trusted: Result<Query<Trusted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(trusted) = trusted.map_err(|error| ApiError::InvalidRequest(error.body_text()))?;
    let trusted: BlockId = trusted.root.parse()?;
    let slot: Slot = match slot.parse()? {
        BlockId::Slot(slot) => slot,
        _ => return Err(ApiError::InvalidRequest("want a slot in decimal".to_owned())),
    };
    let answer = context.read(move |chain| {
        let snapshot = chain.snapshot()?;
        let located = snapshot.locate(trusted)?;
        let proof = snapshot.prove(&located, slot)?.ok_or_else(|| {
            let last = located.key.slot;
            ApiError::InvalidRequest(format!(
                "slot {slot} is after the trusted block's, which is {last}: ask with a later root"
            ))
        })?;
        drop(snapshot);
        Ok(Answer::json(&proof)?.about(located.key.root))
    });
    answer.await?.respond(&context, &client)
}
