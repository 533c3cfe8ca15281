//! What goes on for as long as a node runs and nobody waits for: scrubbing, shipping, fetching history. Dropped, it ends.

use std::sync::Arc;

use lamella_chain::Chain;
use lamella_http_api::{Events, NodeFacts};
use lamella_metrics::Metrics;

use super::{
    error::NodeError,
    scrub::{Scrubber, Wanted},
};
#[cfg(feature = "archive")]
use super::{
    historian::Historian,
    shipper::{Shipper, Ships},
};
use crate::config::NodeConfig;

/// Whom background work belongs to, and what it starts from.
pub(super) struct Owner<'a> {
    pub(super) config: &'a NodeConfig,
    pub(super) chain: &'a Arc<Chain>,
    #[cfg_attr(
        not(feature = "archive"),
        expect(dead_code, reason = "history comes from archives")
    )]
    pub(super) facts: &'a Arc<NodeFacts>,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) events: &'a Events,
    /// Slots of history that the directory lacks.
    #[cfg_attr(
        not(feature = "archive"),
        expect(dead_code, reason = "history comes from archives")
    )]
    pub(super) missing_slots: u64,
}

/// What goes on until it is dropped.
pub(super) struct Background {
    _scrubber: Option<Scrubber>,
    #[cfg(feature = "archive")]
    shipper: Option<Shipper>,
    #[cfg(feature = "archive")]
    _historian: Option<Historian>,
}

impl Background {
    /// There is something new to ship. Never waits.
    #[cfg_attr(
        not(feature = "archive"),
        expect(clippy::unused_self, reason = "only an archive is shipped to")
    )]
    pub(super) fn ring(&self) {
        #[cfg(feature = "archive")]
        if let Some(shipper) = &self.shipper {
            shipper.ring();
        }
    }
}

impl Owner<'_> {
    /// Starts what the configuration asks for. What the scrubber finds it says to `wanted`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(&self, wanted: &Wanted) -> Result<Background, NodeError> {
        #[cfg(feature = "archive")]
        let shipper = self.ship()?;
        #[cfg(feature = "archive")]
        let historian = self.fetch_history()?;
        Ok(Background {
            _scrubber: self.scrub(wanted)?,
            #[cfg(feature = "archive")]
            shipper,
            #[cfg(feature = "archive")]
            _historian: historian,
        })
    }

    fn scrub(&self, wanted: &Wanted) -> Result<Option<Scrubber>, NodeError> {
        let Self { config, chain, metrics, events, .. } = self;
        let Some(scrub) = config.scrub.clone() else { return Ok(None) };
        let (archive, wanted) = (config.archive(), wanted.clone());
        let started = Scrubber::start(chain, scrub, archive, wanted, metrics, events);
        started.map(Some).map_err(NodeError::Scrubber)
    }

    #[cfg(feature = "archive")]
    fn ship(&self) -> Result<Option<Shipper>, NodeError> {
        let Self { config, chain, metrics, .. } = self;
        let Some(to) = config.archive.clone() else { return Ok(None) };
        let started = Shipper::start(chain, to, Ships::of(config), metrics);
        started.map(Some).map_err(NodeError::Archiver)
    }

    #[cfg(feature = "archive")]
    fn fetch_history(&self) -> Result<Option<Historian>, NodeError> {
        let Self { config, chain, facts, metrics, missing_slots, .. } = self;
        if *missing_slots == 0 || config.history.is_empty() {
            return Ok(None);
        }
        if !chain.takes_history() {
            return Err(NodeError::HistoryPruned);
        }
        let started = Historian::start(chain, config.history.clone(), facts, metrics);
        started.map(Some).map_err(NodeError::Historian)
    }
}
