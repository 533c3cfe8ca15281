//! The store as another client uses it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod api;
#[path = "../../examples/client/main.rs"]
mod client;
#[path = "../../examples/ethlambda/main.rs"]
mod ethlambda;
#[path = "ethlambda.rs"]
mod ethlambda_laws;
mod example;
mod store;
