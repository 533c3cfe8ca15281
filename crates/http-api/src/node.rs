//! The node itself: health, constants, identity, sync, peers, database.

use std::sync::Arc;

use axum::{Extension, Json, extract::State, http::StatusCode, response::Response};
use lamella_inspect::{
    held::HeldSlots,
    served::{DatabaseFacts, Served},
};
use lamella_network::{
    standing::{Peer, SyncStatus},
    wire::topic::GOSSIP_DIGEST,
};
use lamella_types::{
    Slot,
    limits::{HISTORICAL_ROOTS_LIMIT, INTERVALS_PER_SLOT},
};
use serde::Serialize;

use super::{ApiContext, ApiError, answer::Answer, clients::Client};

/// leanSpec `HealthBody`.
#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    service: &'static str,
}

/// `GET /lean/v0/health`, `/v0/health` and `/health`. leanSpec `health`. A follower that is later than it may be says so by
/// 503; a node is healthy as long as it answers.
pub(super) async fn health(State(context): State<Arc<ApiContext>>) -> (StatusCode, Json<Health>) {
    let following = context.facts.standing().following;
    let behind = context.facts.current_slot().saturating_sub(context.chain.summary().head_slot);
    let is_late = following.is_some_and(|following| following.is_unfit(behind).is_some());
    let (code, status) = match is_late {
        false => (StatusCode::OK, "healthy"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "late"),
    };
    (code, Json(Health { status, service: "lean-rpc-api" }))
}

/// Constants under leanSpec's names, as ethlambda gives them.
#[derive(Serialize)]
#[expect(non_snake_case, reason = "the names on the wire")]
pub(super) struct Spec {
    MILLISECONDS_PER_SLOT: u64,
    INTERVALS_PER_SLOT: u64,
    MILLISECONDS_PER_INTERVAL: u64,
    HISTORICAL_ROOTS_LIMIT: usize,
    FORK_DIGEST: &'static str,
}

/// `GET /lean/v0/config/spec`.
pub(super) async fn spec(State(context): State<Arc<ApiContext>>) -> Json<Spec> {
    let interval_ms = context.facts.clock.interval_ms;
    Json(Spec {
        MILLISECONDS_PER_SLOT: interval_ms.saturating_mul(INTERVALS_PER_SLOT),
        INTERVALS_PER_SLOT,
        MILLISECONDS_PER_INTERVAL: interval_ms,
        HISTORICAL_ROOTS_LIMIT,
        FORK_DIGEST: GOSSIP_DIGEST,
    })
}

#[derive(Serialize)]
pub(super) struct Genesis {
    genesis_time: u64,
    validator_count: u64,
}

/// `GET /lean/v0/genesis`.
pub(super) async fn genesis(State(context): State<Arc<ApiContext>>) -> Json<Genesis> {
    let summary = context.chain.summary();
    Json(Genesis { genesis_time: summary.genesis_time, validator_count: summary.validator_count })
}

#[derive(Serialize)]
pub(super) struct Identity {
    version: String,
    node_id: String,
    peer_id: Option<String>,
}

/// What this program calls itself, to peers, metrics and the API.
#[must_use]
pub fn version() -> String {
    let (architecture, system) = (std::env::consts::ARCH, std::env::consts::OS);
    format!("lamella/v{}/{architecture}-{system}", env!("CARGO_PKG_VERSION"))
}

/// `GET /lean/v0/node/identity`.
pub(super) async fn identity(State(context): State<Arc<ApiContext>>) -> Json<Identity> {
    let facts = &context.facts;
    Json(Identity {
        version: version(),
        node_id: facts.node_id.clone(),
        peer_id: facts.peer_id.clone(),
    })
}

#[derive(Serialize)]
pub(super) struct Syncing {
    is_syncing: bool,
    head_slot: Slot,
    sync_distance: u64,
    finalized_slot: Slot,
    status: &'static str,
}

/// `GET /lean/v0/node/syncing`. `is_syncing` is the node's own decision, `sync_distance` slots behind the clock.
pub(super) async fn syncing(State(context): State<Arc<ApiContext>>) -> Json<Syncing> {
    let summary = context.chain.summary();
    let (head_slot, status) = (summary.head_slot, context.facts.sync_status());
    Json(Syncing {
        is_syncing: status == SyncStatus::Syncing,
        head_slot,
        sync_distance: context.facts.current_slot().saturating_sub(head_slot),
        finalized_slot: summary.finalized.slot,
        status: status.name(),
    })
}

#[derive(Serialize)]
pub(super) struct Peers {
    count: usize,
    peers: Vec<PeerBody>,
}

#[derive(Serialize)]
struct PeerBody {
    peer_id: String,
    address: String,
    direction: &'static str,
    client: Option<String>,
    head_slot: Option<Slot>,
    finalized_slot: Option<Slot>,
    is_in_mesh: bool,
}

impl From<Peer> for PeerBody {
    fn from(peer: Peer) -> Self {
        let Peer { peer_id, address, direction, client, head_slot, finalized_slot, is_in_mesh } =
            peer;
        Self { peer_id, address, direction, client, head_slot, finalized_slot, is_in_mesh }
    }
}

/// `GET /lean/v0/node/peers`.
pub(super) async fn peers(State(context): State<Arc<ApiContext>>) -> Json<Peers> {
    let peers: Vec<_> = context.facts.peers().into_iter().map(PeerBody::from).collect();
    Json(Peers { count: peers.len(), peers })
}

#[derive(Serialize)]
struct DatabaseBody {
    schema_version: u32,
    genesis_time: u64,
    registry_root: String,
    proof_scheme: String,
    /// From this slot on blocks are here up to the head.
    first_slot: Slot,
    head_slot: Slot,
    /// Slots of which every block is here; what lies between is missing.
    held: Vec<HeldSlots>,
    /// What is kept of states: `archive`, all of them, `states:N`, or `light`.
    prune_mode: String,
    /// States are all here from this slot on.
    states_from_slot: Slot,
    /// Bodies are all here from this slot on.
    bodies_from_slot: Slot,
    /// Proofs are all here from this slot on.
    proofs_from_slot: Slot,
    file_bytes: u64,
    used_bytes: u64,
    page_bytes: u64,
    free_pages: u64,
    last_transaction: u64,
    open_readers: u64,
    cached_states: usize,
    cached_bytes: usize,
    tables: Vec<TableBody>,
}

#[derive(Serialize)]
struct TableBody {
    name: &'static str,
    rows: u64,
    bytes: u64,
    depth: u32,
}

/// `GET /lean/v0/node/database`.
pub(super) async fn database(
    State(context): State<Arc<ApiContext>>,
    Extension(client): Extension<Client>,
) -> Result<Response, ApiError> {
    context.read(database_body).await?.respond(&context, &client)
}

fn database_body(chain: &Served) -> Result<Answer, ApiError> {
    let (facts, summary) = (chain.database()?, chain.summary());
    let DatabaseFacts { servable, held, file, trees, .. } = facts;
    let tables = trees.into_iter().map(|table| TableBody {
        name: table.name,
        rows: table.rows,
        bytes: table.bytes,
        depth: table.depth,
    });
    Answer::json(&DatabaseBody {
        schema_version: facts.schema_version,
        genesis_time: summary.genesis_time,
        registry_root: facts.registry_root.to_string(),
        proof_scheme: facts.proof_scheme,
        first_slot: servable.oldest.slot,
        head_slot: summary.head_slot,
        held,
        prune_mode: facts.prune_mode.to_string(),
        states_from_slot: servable.states_from,
        bodies_from_slot: servable.bodies_from,
        proofs_from_slot: servable.proofs_from,
        file_bytes: file.file_bytes,
        used_bytes: file.used_bytes,
        page_bytes: file.page_bytes,
        free_pages: file.free_pages,
        last_transaction: file.last_transaction,
        open_readers: file.open_reads,
        cached_states: facts.cached_states,
        cached_bytes: facts.cached_bytes,
        tables: tables.collect(),
    })
}
