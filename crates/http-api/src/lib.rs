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
//! | which pages may ask, and for what | `config`, `access` |
//! | how much all clients may take, and one of them | `limits`, `clients` |
//! | whether the node does what it is for | `standing`, `ready` |
//! | SSZ or JSON | `accept`, `answer` |
//! | blocks and headers, states, fork choice | `blocks`, `states`, `fork_choice` |
//! | one block or state proven under another; the chain as an archive, and who reads it | `proofs`, `archive`, `sealed`, `followers` |
//! | fork trees, participation, changes of states | `history` |
//! | pages for people, which it is handed | `pages` |
//! | the node itself, the aggregator role | `node`, `admin` |
//! | server-sent events: published, streamed | `events`, `stream` |
//! | how far an answer is, and waiting for a slot | `freshness` |
//! | unknown, pruned, corrupt, busy | `error` |
//! | sockets, timeouts, connections, the thread | `server`, `stall` |
//!
//! Absent on purpose: authentication and TLS. The admin route is open to programs of this machine; beyond it, to whoever
//! reaches the port, and only where an operator asked for that.

mod accept;
mod access;
mod admin;
mod answer;
mod archive;
mod blocks;
mod clients;
mod config;
mod context;
mod error;
mod events;
mod facts;
mod followers;
mod fork_choice;
mod freshness;
mod history;
mod limits;
mod node;
mod pages;
mod proofs;
mod ready;
mod routes;
mod sealed;
mod server;
mod stall;
mod standing;
mod states;
mod stream;

pub use config::ServerConfig;
pub use context::{ApiContext, Ended, StoreFailed};
pub use error::ApiError;
pub use events::{EVENT_CAPACITY, Events, Scrubbed};
pub use facts::NodeFacts;
pub use limits::Limits;
pub use node::version;
pub use pages::Page;
pub use server::{ApiServer, ServeError, serve};
pub use standing::{FollowStanding, HELD_BYTES_MAX, KeysStanding, Standing};
