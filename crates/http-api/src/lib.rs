//! The HTTP API: leanSpec's routes exactly, ethlambda's beside them, and any block and state ever imported.
//!
//! The hard idea: no client, however slow or however many, may hold the database or the node. So every read of the
//! chain runs on a blocking thread, a bounded number at once, in one short transaction; the answer is finished and
//! the transaction over before the first byte goes out; answers that wait for their clients share a byte budget.
//! The server has a thread and a runtime of its own, so the consensus never waits for it.
//!
//! | question | file |
//! |---|---|
//! | every route, and the limits that all share | `routes` |
//! | what a handler works with | `context`, `facts` |
//! | SSZ or JSON | `accept`, `answer` |
//! | blocks and headers, states, fork choice | `blocks`, `states`, `fork_choice` |
//! | the node itself, the aggregator role | `node`, `admin` |
//! | server-sent events: published, streamed | `events`, `stream` |
//! | unknown, pruned, corrupt, busy | `error` |
//! | sockets, timeouts, connections, the thread | `server`, `stall` |
//!
//! Absent on purpose: authentication and TLS. As in leanSpec the admin route is open to whoever reaches the port;
//! bind it where only operators are.

mod accept;
mod admin;
mod answer;
mod blocks;
mod context;
mod error;
mod events;
mod facts;
mod fork_choice;
mod node;
mod routes;
mod server;
mod stall;
mod states;
mod stream;

pub use context::{ApiContext, Limits, StoreFailed};
pub use error::ApiError;
pub use events::{EVENT_CAPACITY, Events};
pub use facts::NodeFacts;
pub use node::version;
pub use routes::{metrics_router, router};
pub use server::{ApiServer, ServeError, ServerConfig, serve};
