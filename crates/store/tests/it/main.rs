//! The store as another client uses it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod api;
mod client;
mod examples;
mod store;
