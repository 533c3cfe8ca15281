//! The HTTP API and the metrics over real sockets, on a small chain that went through the real import.

mod data;
mod events;
mod limits;
mod metrics;
mod refusals;
mod routes;
pub(crate) mod support;
