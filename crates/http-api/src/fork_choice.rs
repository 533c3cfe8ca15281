//! The fork-choice tree and the justified checkpoint, from the published view.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use lamella_inspect::{json::Json, served::Tree};
use lamella_types::{Checkpoint, Root, Slot, ValidatorIndex};
use serde::Serialize;

use super::{ApiContext, ApiError, answer::Answer, clients::Client};

/// leanSpec `ForkChoiceNode`.
#[derive(Serialize)]
struct Node<'a> {
    root: Json<'a, Root>,
    slot: Slot,
    parent_root: Json<'a, Root>,
    proposer_index: ValidatorIndex,
    weight: u32,
}

/// leanSpec `ForkChoiceBody`.
#[derive(Serialize)]
struct Body<'a> {
    nodes: Vec<Node<'a>>,
    head: Json<'a, Root>,
    justified: Json<'a, Checkpoint>,
    finalized: Json<'a, Checkpoint>,
    safe_target: Json<'a, Root>,
    validator_count: u64,
}

/// `GET /lean/v0/fork_choice`. leanSpec `fork_choice`.
pub(super) async fn fork_choice(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
) -> Result<Response, ApiError> {
    // No transaction, but a tree of thousands of blocks takes milliseconds.
    let answer = context.read(|chain| body(&chain.tree()));
    answer.await?.respond(&context, &client)
}

fn body(tree: &Tree) -> Result<Answer, ApiError> {
    let nodes = tree.blocks.iter().map(|block| Node {
        root: Json(&block.root),
        slot: block.slot,
        parent_root: Json(&block.parent_root),
        proposer_index: block.proposer_index,
        weight: block.weight,
    });
    Answer::json(&Body {
        nodes: nodes.collect(),
        head: Json(&tree.head),
        justified: Json(&tree.summary.justified),
        finalized: Json(&tree.summary.finalized),
        safe_target: Json(&tree.safe_target),
        validator_count: tree.summary.validator_count,
    })
}

/// `GET /lean/v0/checkpoints/justified`. leanSpec `justified_checkpoint`.
pub(super) async fn justified(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
) -> Result<Response, ApiError> {
    let justified = context.chain.summary().justified;
    Answer::json(&Json(&justified))?.respond(&context, &client)
}
