//! Metrics in Prometheus' text format: leanMetrics' names, and `lean_storage_*`.
//!
//! A scrape costs the same whatever the chain. What happens is counted when it happens (`observe_*`); what the
//! published view says is read at the scrape, a handful of fields; what would cost a transaction is sampled every
//! few seconds by the API's own thread ([`StorageSample`]).
//!
//! Knows no node: it is told durations and counts.
//!
//! The registry is the node's, not the process's, so that tests run nodes side by side.
//!
//! | question | file |
//! |---|---|
//! | fork choice, votes | `fork_choice` |
//! | who voted, and where it was seen | `coverage` |
//! | state transition, validators | `duties` |
//! | peers, gossip, signatures | `network` |
//! | the store | `storage` |
//! | what is archived; what is followed; what is fetched of history | `archive`; `follow`; `history` |
//! | clocks, logs, readers, guards, keys | `watch` |
//! | what is counted, and the text of a scrape | `metrics` |
//! | buckets, and making a metric | `register` |

mod archive;
mod coverage;
mod duties;
mod follow;
mod fork_choice;
mod history;
mod metrics;
mod network;
mod register;
mod scrub;
mod storage;
mod watch;

pub use archive::{ArchiveMetrics, ShippingJob};
pub use coverage::CoverageMetrics;
pub use duties::{TransitionMetrics, ValidatorMetrics};
pub use follow::FollowMetrics;
pub use fork_choice::ForkChoiceMetrics;
pub use history::HistoryMetrics;
pub use metrics::{Metrics, Scraped};
pub use network::{NetworkMetrics, SignatureMetrics};
pub use register::float;
pub use storage::{StorageMetrics, StorageSample};
pub use watch::WatchMetrics;
