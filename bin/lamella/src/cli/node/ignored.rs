//! Flags that other clients' scripts pass and that change nothing here. Each one given is warned about, so that nobody
//! believes in an effect it does not have.

use std::net::IpAddr;

use clap::{ArgAction, Args};
use tracing::warn;

/// Accepted without effect.
#[derive(Debug, Args)]
#[command(next_help_heading = "Accepted without effect, with a warning")]
pub(super) struct IgnoredArgs {
    /// ethlambda's discovery. The lean network has none: only --bootnodes are dialled.
    #[arg(long = "discovery.enable", hide_short_help = true)]
    discovery_enable: bool,

    /// See --discovery.enable.
    #[arg(long = "discovery.port", value_name = "PORT", hide_short_help = true)]
    discovery_port: Option<u16>,

    /// See --discovery.enable.
    #[arg(long = "discovery.advertise-ip", value_name = "IP", hide_short_help = true)]
    discovery_advertise_ip: Option<IpAddr>,

    /// ethlambda's option to merge proofs while proposing. Proposers here always do.
    #[arg(long, hide_short_help = true)]
    enable_proposer_aggregation: bool,

    /// ethlambda's limit of attestations in a block. Blocks here carry as many as the protocol allows.
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    max_attestations_per_block: Option<u64>,

    /// Others' switch of the metrics. They are served with the API; --no-api switches both off.
    #[arg(long, alias = "metrics-enable", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set, hide_short_help = true)]
    metrics: Option<bool>,
}

impl IgnoredArgs {
    /// One line for each flag that was given.
    pub(super) fn warn(&self) {
        let discovery = "there is no discovery: only the bootnodes are dialled";
        let given = [
            (self.discovery_enable, "--discovery.enable", discovery),
            (self.discovery_port.is_some(), "--discovery.port", discovery),
            (self.discovery_advertise_ip.is_some(), "--discovery.advertise-ip", discovery),
            (
                self.enable_proposer_aggregation,
                "--enable-proposer-aggregation",
                "proposers always merge the proofs they know",
            ),
            (
                self.max_attestations_per_block.is_some(),
                "--max-attestations-per-block",
                "a block carries as many as the protocol allows",
            ),
            (
                self.metrics == Some(false),
                "--metrics",
                "the metrics are served with the API; --no-api switches both off",
            ),
        ];
        for (_, flag, reason) in given.into_iter().filter(|(is_given, ..)| *is_given) {
            warn!(flag, reason, "Flag without effect");
        }
    }
}
