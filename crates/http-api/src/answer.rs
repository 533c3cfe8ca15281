//! A finished answer, and the memory that it takes until its client has it.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, header::CONTENT_TYPE},
    response::Response,
};
use lamella_types::Root;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::{ApiContext, ApiError, accept::Form, clients::Client};

/// Says which block an answer is about: `finalized` may be another one by the time of the next request.
pub(super) const BLOCK_ROOT: HeaderName = HeaderName::from_static("x-block-root");

/// Bytes in a form.
pub(super) struct Answer {
    form: Form,
    bytes: Vec<u8>,
    block: Option<Root>,
}

impl Answer {
    pub(super) fn ssz(bytes: Vec<u8>) -> Self {
        Self { form: Form::Ssz, bytes, block: None }
    }

    pub(super) fn json(value: &impl Serialize) -> Result<Self, ApiError> {
        Self::json_text(serde_json::to_vec(value))
    }

    /// JSON that was written already.
    pub(super) fn json_text(bytes: serde_json::Result<Vec<u8>>) -> Result<Self, ApiError> {
        let bytes = bytes.map_err(|error| ApiError::Internal(error.to_string()))?;
        Ok(Self { form: Form::Json, bytes, block: None })
    }

    pub(super) fn about(self, block: Root) -> Self {
        Self { block: Some(block), ..self }
    }

    /// The response, if there is room for it among those that wait for their clients, and among this client's.
    pub(super) fn respond(
        self,
        context: &ApiContext,
        client: &Client,
    ) -> Result<Response, ApiError> {
        let kib = u32::try_from(self.bytes.len().div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&context.answers).try_acquire_many_owned(kib).ok();
        let room = client.answer(kib).zip(room).ok_or_else(|| {
            context.metrics.storage.count_refused_read();
            ApiError::Busy
        })?;
        let body = Bytes::from_owner(Waiting { bytes: self.bytes, _room: room });
        let mut response = Response::new(Body::from(body));
        let content_type = HeaderValue::from_static(self.form.content_type());
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        if let Some(Ok(root)) = self.block.map(|root| HeaderValue::from_str(&root.to_string())) {
            response.headers_mut().insert(BLOCK_ROOT, root);
        }
        Ok(response)
    }
}

/// Bytes that give back their room when the connection lets go of them.
struct Waiting {
    bytes: Vec<u8>,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
