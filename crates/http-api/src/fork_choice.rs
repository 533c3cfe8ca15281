//! The fork-choice tree and the justified checkpoint, from the published view.

use std::{collections::HashMap, sync::Arc};

use axum::{Extension, extract::State, response::Response};
use lamella_fork_choice::ForkChoice;
use lamella_inspect::json::Json;
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
    let answer = context.read(|chain| body(&chain.fork_choice()));
    answer.await?.respond(&context, &client)
}

fn body(view: &ForkChoice) -> Result<Answer, ApiError> {
    let weights: HashMap<Root, u32> =
        view.block_weights().map(|(block, weight)| (block.root, weight)).collect();
    let (head, safe_target) = (view.head(), view.safe_target());
    let (justified, finalized) = (view.latest_justified(), view.latest_finalized());
    let blocks = view.nodes().filter(|block| block.slot >= finalized.slot);
    let nodes = blocks.map(|block| Node {
        root: Json(&block.root),
        slot: block.slot,
        parent_root: Json(&block.parent_root),
        proposer_index: block.proposer_index,
        weight: weights.get(&block.root).copied().unwrap_or(0),
    });
    Answer::json(&Body {
        nodes: nodes.collect(),
        head: Json(&head),
        justified: Json(&justified),
        finalized: Json(&finalized),
        safe_target: Json(&safe_target),
        validator_count: view.head_summary().validator_count,
    })
}

/// `GET /lean/v0/checkpoints/justified`. leanSpec `justified_checkpoint`.
pub(super) async fn justified(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
) -> Result<Response, ApiError> {
    let justified = context.chain.fork_choice().latest_justified();
    Answer::json(&Json(&justified))?.respond(&context, &client)
}
