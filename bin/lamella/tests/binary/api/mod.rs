//! The HTTP API and the metrics over real sockets, on a small chain that went through the real import.

mod access;
mod data;
mod docs;
mod events;
mod history;
mod limits;
mod metrics;
mod ready;
mod refusals;
mod routes;
pub(crate) mod support;
