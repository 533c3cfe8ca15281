//! Every route, and what holds for all of them: bodies, times, refusals.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::header::CONTENT_TYPE,
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use lamella_metrics::Scraped;
use tokio::time::timeout;

use super::{
    access::{self, Access},
    admin, archive, blocks,
    context::ApiContext,
    error::ApiError,
    fork_choice, freshness, history, node,
    pages::{self, Page},
    proofs, ready, states, stream,
};

/// Bytes of a request body: the only one taken is `{"enabled":true}`.
const REQUEST_BYTES_MAX: usize = 4096;

/// Longest time from the request's head to the answer's: the largest state as JSON (19 MB) takes 0.7 s even in an
/// unoptimised build.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Prometheus' text format. leanSpec `METRICS_CONTENT_TYPE`.
const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every route of the API port, `/metrics` included as in leanSpec, and these pages.
pub(super) fn router(context: Arc<ApiContext>, access: Access, pages: &[Page]) -> Router {
    let access = Arc::new(access);
    let admin = Router::new()
        .route("/lean/v0/admin/aggregator", get(admin::aggregator).post(admin::set_aggregator))
        .route_layer(from_fn_with_state(Arc::clone(&access), access::check_admin));
    let routes = Router::new()
        .route("/lean/v0/config/spec", get(node::spec))
        .route("/lean/v0/genesis", get(node::genesis))
        .route("/lean/v0/blocks/{id}", get(blocks::block))
        .route("/lean/v0/blocks/{id}/header", get(blocks::header))
        .route("/lean/v0/headers/{id}", get(blocks::header))
        .route("/lean/v0/states/{id}", get(states::state))
        .route("/lean/v0/states/{id}/change", get(history::change))
        .route("/lean/v0/tree/{slot}", get(history::tree))
        .route("/lean/v0/participation/{slot}", get(history::participation))
        .route("/lean/v0/proof/block/{slot}", get(proofs::proof))
        .route("/lean/v0/proof/state/{slot}", get(proofs::proof))
        .route("/lean/v0/archive", get(archive::networks))
        .route("/lean/v0/archive/{network}", get(archive::list))
        .route("/lean/v0/archive/{network}/{*name}", get(archive::object))
        .route("/lean/v0/checkpoints/justified", get(fork_choice::justified))
        .route("/lean/v0/fork_choice", get(fork_choice::fork_choice))
        .route("/lean/v0/node/identity", get(node::identity))
        .route("/lean/v0/node/syncing", get(node::syncing))
        .route("/lean/v0/node/peers", get(node::peers))
        .route("/lean/v0/node/followers", get(archive::followers))
        .route("/lean/v0/node/database", get(node::database))
        .route("/lean/v0/node/ready", get(ready::ready))
        .route("/lean/v0/events", get(stream::events))
        .merge(admin)
        .merge(pages::routes(pages))
        // Before the layer, which answers a browser's OPTIONS.
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&context), freshness::mark))
        .layer(from_fn_with_state(Arc::clone(&access), access::check));
    let monitored = monitored().layer(from_fn_with_state(access, access::allow_origin));
    finish(routes.merge(monitored), context)
}

/// The routes of a metrics port of its own.
pub(super) fn metrics_router(context: Arc<ApiContext>) -> Router {
    finish(monitored(), context)
}

/// What monitors ask for, by whatever name they have for this machine.
fn monitored() -> Router<Arc<ApiContext>> {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/lean/v0/health", get(node::health))
        .route("/v0/health", get(node::health))
        .route("/health", get(node::health))
}

fn finish(routes: Router<Arc<ApiContext>>, context: Arc<ApiContext>) -> Router {
    routes
        .fallback(|| async { ApiError::NoRoute })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(from_fn(limit_time))
        .with_state(context)
}

async fn method_not_allowed() -> ApiError {
    ApiError::MethodNotAllowed
}

/// Bounds the time of everything but the sending of the body: reading the request, waiting for a turn, answering.
async fn limit_time(request: Request, next: Next) -> Response {
    match timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::Timeout.into_response(),
    }
}

/// `GET /metrics`. leanSpec `metrics`.
async fn metrics(State(context): State<Arc<ApiContext>>) -> Response {
    let facts = &context.facts;
    let text = context.metrics.scrape(&Scraped {
        view: &context.chain.chain().fork_choice(),
        current_slot: facts.current_slot(),
        is_aggregator: facts.is_aggregator(),
        sync_status: facts.sync_status(),
        peers: &facts.peers(),
    });
    ([(CONTENT_TYPE, METRICS_CONTENT_TYPE)], text).into_response()
}
