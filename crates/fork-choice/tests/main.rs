//! Fork choice against a naive model, at scale, and at its edges.

#![expect(clippy::unwrap_used, reason = "clippy takes the helpers of these tests for a library")]

mod edges;
mod model;
mod random;
mod scale;
mod support;
