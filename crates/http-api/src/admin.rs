//! The aggregator role, switched at run time. leanSpec `aggregator_status` and `aggregator_toggle`.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use serde::Serialize;
use serde_json::Value;
use tracing::info;

use super::{ApiContext, ApiError};

/// leanSpec `AggregatorStatusBody`.
#[derive(Serialize)]
pub(super) struct Status {
    is_aggregator: bool,
}

/// leanSpec `AggregatorToggleBody`.
#[derive(Serialize)]
pub(super) struct Changed {
    is_aggregator: bool,
    previous: bool,
}

/// `GET /lean/v0/admin/aggregator`.
pub(super) async fn aggregator(State(context): State<Arc<ApiContext>>) -> Json<Status> {
    Json(Status { is_aggregator: context.facts.is_aggregator() })
}

/// `POST /lean/v0/admin/aggregator` with `{"enabled": bool}`.
pub(super) async fn set_aggregator(
    State(context): State<Arc<ApiContext>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Changed>, ApiError> {
    let invalid = |what: &str| ApiError::InvalidRequest(what.to_owned());
    let body = body.map_err(|rejection| ApiError::InvalidRequest(rejection.body_text()))?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| invalid("invalid JSON body"))?;
    let enabled = body.as_object().and_then(|body| body.get("enabled"));
    let enabled = enabled.ok_or_else(|| invalid("missing 'enabled' field in body"))?;
    let enabled = enabled.as_bool().ok_or_else(|| invalid("'enabled' must be a boolean"))?;
    let previous = context.facts.set_aggregator(enabled);
    if previous != enabled {
        info!(is_aggregator = enabled, "Aggregator role changed by the admin API");
    }
    Ok(Json(Changed { is_aggregator: enabled, previous }))
}
