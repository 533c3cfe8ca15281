//! The store as another client uses it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod api;
#[path = "../../examples/client/main.rs"]
mod client;
mod example;
mod store;
