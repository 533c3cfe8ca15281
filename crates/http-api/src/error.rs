//! Why a request has no answer. Unknown, pruned and corrupt are different answers.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use lamella_inspect::{LookupError, NotStored, PrunedPart, StoreError, block_id::BlockIdError};
use lamella_types::{Root, Slot};
use serde::Serialize;
use tracing::error;

/// Seconds after which a refused client may try again: a read takes milliseconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The block id is none.
    #[error(transparent)]
    InvalidId(#[from] BlockIdError),
    /// Something else of the request is wrong.
    #[error("{0}")]
    InvalidRequest(String),
    /// The client accepts no form that this resource has.
    #[error("this resource is {0}; Accept allows neither")]
    NotAcceptable(&'static str),
    /// No such route.
    #[error("no such route")]
    NoRoute,
    /// The route knows no such method.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// No such block is stored.
    #[error(transparent)]
    NotStored(#[from] NotStored),
    /// The archive has no such object, or its segment cannot be made here.
    #[error("{text}")]
    NoObject {
        /// What a program looks at.
        code: &'static str,
        /// What a person reads.
        text: String,
    },
    /// The block is here, its proof was pruned.
    #[error(
        "the proof of block {root} at slot {slot} {how}, proofs are kept from slot {floor}; its application/json needs none"
    )]
    Pruned {
        /// The block.
        root: Root,
        /// Its slot.
        slot: Slot,
        /// The first slot whose proofs are all here.
        floor: Slot,
        /// Why it is not here.
        how: &'static str,
    },
    /// The block's header is here, its state or body was pruned.
    #[error(
        "the {} of block {root} at slot {slot} was pruned, {} are kept from slot {floor}; its header is here", .part.one(), .part.all()
    )]
    PartPruned {
        /// What of it.
        part: PrunedPart,
        /// The block.
        root: Root,
        /// Its slot.
        slot: Slot,
        /// The first slot of which it is all here.
        floor: Slot,
    },
    /// The block's proof was not checked yet, or is bad.
    #[error(
        "the proof of block {root} at slot {slot} was not checked yet; its application/json needs none"
    )]
    Unchecked {
        /// The block.
        root: Root,
        /// Its slot.
        slot: Slot,
    },
    /// What is stored cannot be trusted; it is not served.
    #[error("{0}")]
    Corrupt(String),
    /// The engine failed.
    #[error("{0}")]
    Store(StoreError),
    /// The engine failed for good, and the node knows it: what it said.
    #[error("{0}")]
    Unusable(String),
    /// Too many reads run, or too many answers wait for their clients.
    #[error("too many requests at once, try again")]
    Busy,
    /// The chain was read for as long as it may be for one answer, and the answer was not whole.
    #[error(
        "reading this takes too long here, so it was given up; ask for less, or when the disk is less busy"
    )]
    ReadTooLong,
    /// The head has not come to the slot that the request waited for.
    #[error("the head is at slot {head_slot}, not at slot {wanted} yet")]
    NotYet {
        /// The slot that was waited for.
        wanted: Slot,
        /// Where the head is.
        head_slot: Slot,
    },
    /// Not from there, or not here.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The body is not JSON, or does not say so.
    #[error("this route takes application/json, and the request must say so in Content-Type")]
    UnsupportedMediaType,
    /// The request took too long to arrive or to answer.
    #[error("the request took too long")]
    Timeout,
    /// A fault of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl ApiError {
    /// Status and code, the two things a program looks at.
    const fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidId(_) => (StatusCode::BAD_REQUEST, "invalid_id"),
            Self::InvalidRequest(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::NotAcceptable(_) => (StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "no_route"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::NotStored(reason) => (StatusCode::NOT_FOUND, absence(reason)),
            Self::NoObject { code, .. } => (StatusCode::NOT_FOUND, *code),
            Self::Pruned { .. } | Self::PartPruned { .. } => (StatusCode::GONE, "pruned"),
            Self::Unchecked { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unchecked"),
            Self::Corrupt(_) => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt"),
            Self::Store(_) | Self::Unusable(_) => (StatusCode::INTERNAL_SERVER_ERROR, "engine"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::ReadTooLong => (StatusCode::SERVICE_UNAVAILABLE, "too_long"),
            Self::NotYet { .. } => (StatusCode::SERVICE_UNAVAILABLE, "not_yet"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
            }
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl From<LookupError> for ApiError {
    fn from(error: LookupError) -> Self {
        match error.into_store_error() {
            Ok(error) => Self::Store(error),
            Err(LookupError::NotStored(reason)) => Self::NotStored(reason),
            Err(LookupError::Pruned { root, slot, floor, how }) => {
                Self::Pruned { root, slot, floor, how }
            }
            Err(LookupError::PartPruned { part, root, slot, floor }) => {
                Self::PartPruned { part, root, slot, floor }
            }
            Err(LookupError::Unchecked { root, slot }) => Self::Unchecked { root, slot },
            Err(damage) => Self::Corrupt(damage.to_string()),
        }
    }
}

/// The code of what is not stored.
const fn absence(reason: &NotStored) -> &'static str {
    match reason {
        NotStored::UnknownRoot { .. } => "unknown",
        NotStored::Skipped { .. } => "skipped_slot",
        NotStored::BeyondHead { .. } => "beyond_head",
        NotStored::BeforeOldest { .. } => "before_bootstrap",
    }
}

#[derive(Serialize)]
struct Body {
    error: String,
    code: &'static str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.kind();
        let error = self.to_string();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            error!(code, %error, "HTTP request failed");
        }
        let mut response = (status, Json(Body { error, code })).into_response();
        if matches!(self, Self::Busy | Self::ReadTooLong | Self::NotYet { .. }) {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}
