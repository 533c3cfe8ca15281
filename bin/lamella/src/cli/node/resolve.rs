//! Flags and network files to a [`NodeConfig`]. A flag beats the node's entry in `validator-config.yaml`, which beats
//! the default. A file that a flag names must exist; one that is only expected beside `config.yaml` may be absent.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lamella_chain::Settings;
use lamella_http_api::{Page, ServerConfig};
use lamella_network::service::Dial;
use lamella_network_dir::{
    Assignments, Bootnode, GenesisConfig, NetworkDir, NetworkFileError, NodeEntry, NodeKey,
    ValidatorConfig,
};
use lamella_tables::Durability;
use lamella_types::SlotClock;
use tracing::warn;

use super::NodeArgs;
use crate::config::{
    GossipConfig, IdentityKey, IdentityKeyError, KeySource, NodeConfig, ScrubConfig,
};

/// Ports where neither flag nor file says one: ethlambda's.
const GOSSIPSUB_PORT: u16 = 9000;
const API_PORT: u16 = 5052;
const METRICS_PORT: u16 = 5054;

/// What a node that dials nobody is given for `--bootnodes`.
const NO_BOOTNODES: &str = "none";

/// How a record begins that is given in place of a file.
const RECORD_PREFIX: &str = "enr:";

/// What a checkpoint URL of older scripts ends with.
const LEGACY_CHECKPOINT_PATH: &str = "/lean/v0/states/finalized";

/// Why the flags do not make a node.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    /// A file of the network.
    #[error(transparent)]
    Network(#[from] NetworkFileError),
    /// No identity.
    #[error(transparent)]
    Identity(#[from] IdentityKeyError),
    /// A record on the command line.
    #[error("--bootnodes: {record} is not an ENR: {reason}; copy the whole `enr:...` text")]
    Record {
        /// The text.
        record: String,
        /// What the decoder said.
        reason: String,
    },
    /// Subnets without the role that listens to them.
    #[error("--aggregate-subnet-ids is for an aggregator: add --is-aggregator")]
    NotAggregator,
    /// A subnet that does not exist.
    #[error(
        "--aggregate-subnet-ids: there is no subnet {subnet}, there are {committee_count} from 0; \
         --attestation-committee-count says how many"
    )]
    NoSubnet {
        /// The subnet.
        subnet: u64,
        /// Subnets that exist.
        committee_count: u64,
    },
    /// The slot length is the network's.
    #[error(
        "--slot-ms {asked}: the slots of this network have {found} ms, as {} says; leave the flag out",
        path.display()
    )]
    SlotLength {
        /// As the flag has it.
        asked: u64,
        /// As the file has it.
        found: u64,
        /// The file.
        path: PathBuf,
    },
    /// Not a URL of an HTTP API.
    #[error("--checkpoint-sync-url: {url:?} does not begin with http:// or https://")]
    CheckpointUrl {
        /// The text.
        url: String,
    },
}

impl FlagError {
    /// Whether a flag is wrong, rather than a file that it names.
    pub(in crate::cli) const fn is_usage(&self) -> bool {
        !matches!(self, Self::Network(_) | Self::Identity(_))
    }
}

impl NodeArgs {
    /// Reads the network's files and decides everything that can be decided before the data directory is opened.
    pub(super) fn resolve(&self) -> Result<NodeConfig, FlagError> {
        let paths = self.paths();
        let genesis = GenesisConfig::load(&paths.config)?;
        let slot_ms = genesis.slot_ms(self.slot_ms).map_err(|found| FlagError::SlotLength {
            asked: self.slot_ms.unwrap_or(found),
            found,
            path: paths.config.clone(),
        })?;
        let listed = self.validator_config(&paths)?;
        let entry = listed.as_ref().and_then(|listed| listed.node(&self.node_id));
        let assigned = match self.assignments(&paths)? {
            Some(assignments) => assignments.of(&self.node_id)?,
            None => None,
        };
        let committee_count = self
            .attestation_committee_count
            .or(listed.as_ref().and_then(|listed| listed.attestation_committee_count))
            .unwrap_or(genesis.attestation_committee_count);
        let is_aggregator =
            self.is_aggregator.unwrap_or(entry.is_some_and(|entry| entry.is_aggregator));
        let indices = assigned.iter().flatten().map(|validator| validator.index);
        let subnets = self.subnets(indices, committee_count, is_aggregator)?;
        let identity = self.identity(entry, &paths)?;
        let port = self
            .gossipsub_port
            .or(entry.and_then(|entry| entry.enr_fields.quic))
            .unwrap_or(GOSSIPSUB_PORT);
        Ok(NodeConfig {
            node_id: self.node_id.clone(),
            data_dir: self.data_dir.clone(),
            genesis,
            assigned,
            keys_dir: paths.keys_dir.clone(),
            slot_ms,
            is_aggregator,
            duty_sync_gate: !self.disable_duty_sync_gate,
            proof_scheme: self.proof_scheme.into(),
            settings: self.settings(slot_ms),
            gossip: GossipConfig {
                listen: SocketAddr::new(self.gossipsub_address, port),
                dial: dial(self.bootnodes(&paths)?, &identity.key),
                identity,
                committee_count,
                subnets,
            },
            api: self.api(entry),
            checkpoint_urls: self.checkpoint_urls()?,
            checkpoint_root: self.checkpoint_root,
            #[cfg(feature = "archive")]
            archive: self.archive.clone(),
            #[cfg(feature = "archive")]
            archive_proofs: self.archive_proofs,
            #[cfg(feature = "archive")]
            archive_required: self.archive_required,
            #[cfg(feature = "archive")]
            history: self.history.clone(),
            #[cfg(feature = "archive")]
            archive_new_writer: self.archive_new_writer,
            scrub: self.scrub(),
            lost_log_lines: Arc::default(),
        })
    }

    /// How often the store is read whole; never for 0 hours.
    fn scrub(&self) -> Option<ScrubConfig> {
        let every = Duration::try_from_secs_f64(self.scrub_hours * 3_600.0).ok()?;
        (!every.is_zero()).then_some(ScrubConfig { every, repairs: !self.no_scrub_repair })
    }

    /// Where the network's files are.
    fn paths(&self) -> NetworkDir {
        let beside = |file: &Path| file.parent().map(NetworkDir::new);
        let mut paths = match &self.network_dir {
            Some(folder) => NetworkDir::find(folder),
            // The parser insists on one of the two flags.
            None => {
                self.genesis.as_deref().and_then(beside).unwrap_or(NetworkDir::new(Path::new(".")))
            }
        };
        let replace = |path: &mut PathBuf, flag: &Option<PathBuf>| {
            if let Some(named) = flag {
                path.clone_from(named);
            }
        };
        replace(&mut paths.config, &self.genesis);
        replace(&mut paths.annotated_validators, &self.validators);
        replace(&mut paths.validator_config, &self.validator_config);
        replace(&mut paths.keys_dir, &self.hash_sig_keys_dir);
        paths
    }

    fn validator_config(&self, paths: &NetworkDir) -> Result<Option<ValidatorConfig>, FlagError> {
        match ValidatorConfig::load(&paths.validator_config) {
            Ok(listed) => Ok(Some(listed)),
            Err(NetworkFileError::Missing { .. }) if self.validator_config.is_none() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn assignments(&self, paths: &NetworkDir) -> Result<Option<Assignments>, FlagError> {
        match &self.validators {
            Some(path) => Ok(Some(Assignments::load(path)?)),
            None => Ok(paths.assignments()?),
        }
    }

    fn bootnodes(&self, paths: &NetworkDir) -> Result<Vec<Bootnode>, FlagError> {
        if self.bootnodes.is_empty() {
            return match Bootnode::load_all(&paths.nodes) {
                Err(NetworkFileError::Missing { .. }) => Ok(Vec::new()),
                loaded => Ok(loaded?),
            };
        }
        let mut nodes = Vec::new();
        for given in self.bootnodes.iter().filter(|given| *given != NO_BOOTNODES) {
            if given.starts_with(RECORD_PREFIX) {
                for record in given.split(',') {
                    nodes.push(Bootnode::parse(record).map_err(|reason| FlagError::Record {
                        record: record.to_owned(),
                        reason,
                    })?);
                }
            } else {
                nodes.extend(Bootnode::load_all(Path::new(given))?);
            }
        }
        Ok(nodes)
    }

    /// The subnets of our validators; an aggregator's own besides, or subnet 0 if that makes none. leanSpec's and
    /// ethlambda's rule.
    fn subnets(
        &self,
        validators: impl Iterator<Item = u64>,
        committee_count: u64,
        is_aggregator: bool,
    ) -> Result<Vec<u64>, FlagError> {
        let chosen = &self.aggregate_subnet_ids;
        if let Some(&subnet) = chosen.iter().find(|subnet| **subnet >= committee_count) {
            return Err(FlagError::NoSubnet { subnet, committee_count });
        }
        if !chosen.is_empty() && !is_aggregator {
            return Err(FlagError::NotAggregator);
        }
        // Neither zero: flag and files are checked to be at least 1.
        let mut subnets: BTreeSet<u64> =
            validators.filter_map(|index| index.checked_rem(committee_count)).collect();
        subnets.extend(chosen);
        if is_aggregator && subnets.is_empty() {
            subnets.insert(0);
        }
        Ok(subnets.into_iter().collect())
    }

    fn identity(
        &self,
        entry: Option<&NodeEntry>,
        paths: &NetworkDir,
    ) -> Result<IdentityKey, FlagError> {
        if let Some(path) = &self.node_key {
            let key = NodeKey::load(path)?;
            return Ok(IdentityKey { key, source: KeySource::File(path.clone()) });
        }
        match entry.and_then(|entry| entry.private_key.clone()) {
            Some(key) => {
                let source = KeySource::ValidatorConfig(paths.validator_config.clone());
                Ok(IdentityKey { key, source })
            }
            None => Ok(IdentityKey::of_data_dir(&self.data_dir)?),
        }
    }

    fn api(&self, entry: Option<&NodeEntry>) -> Option<ServerConfig> {
        let port =
            |flag: Option<u16>, listed: Option<u16>, default| flag.or(listed).unwrap_or(default);
        let server = || ServerConfig {
            address: self.http_address,
            metrics_address: self.metrics_address,
            api_port: port(self.api_port, entry.and_then(|entry| entry.api_port), API_PORT),
            metrics_port: Some(port(
                self.metrics_port,
                entry.and_then(|entry| entry.metrics_port),
                METRICS_PORT,
            )),
            admin: self.http_admin,
            allowed_hosts: self.http_allow_host.clone(),
            allowed_origins: self.allowed_origins(),
            pages: if self.explorer { pages(&self.explorer_node) } else { Vec::new() },
        };
        (!self.no_api).then(server)
    }

    /// Pages of the nodes that are shown together read each other's, by whichever name this machine was opened.
    fn allowed_origins(&self) -> Vec<String> {
        let shown = self.explorer_node.iter().map(|node| &node.origin);
        let twins = shown
            .flat_map(|origin| [origin.clone(), origin.replace("//127.0.0.1:", "//localhost:")]);
        self.http_allow_origin.iter().cloned().chain(twins).collect()
    }

    fn settings(&self, slot_ms: u64) -> Settings {
        let durability = if self.lazy_commits { Durability::Lazy } else { Durability::Durable };
        Settings {
            durability,
            signature_window_slots: self.signature_window,
            slot_ms: SlotClock::new(0, slot_ms).slot_ms(),
            size_bytes_max: self.db_size_max,
            ..Settings::default()
        }
    }

    fn checkpoint_urls(&self) -> Result<Vec<String>, FlagError> {
        let given = self.checkpoint_sync_url.iter().map(|url| url.trim());
        // Scripts pass the flag with nothing in it to mean none.
        given.filter(|url| !url.is_empty()).map(base_url).collect()
    }
}

fn pages(nodes: &[lamella_explorer::Node]) -> Vec<Page> {
    let page = |file| {
        let lamella_explorer::File { path, content_type, etag, policy, bytes } = file;
        Page { path, content_type, etag, policy, bytes }
    };
    lamella_explorer::files(nodes).into_iter().map(page).collect()
}

/// The URL without trailing slashes and the path that older scripts add.
fn base_url(url: &str) -> Result<String, FlagError> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(FlagError::CheckpointUrl { url: url.to_owned() });
    }
    let url = url.trim_end_matches('/');
    let base = url.strip_suffix(LEGACY_CHECKPOINT_PATH).unwrap_or(url);
    Ok(base.trim_end_matches('/').to_owned())
}

/// The nodes that can be dialled, without ourselves.
fn dial(nodes: Vec<Bootnode>, ourselves: &NodeKey) -> Vec<Dial> {
    let ourselves = ourselves.public_key();
    let others = nodes.into_iter().filter(|node| node.public_key != ourselves);
    others
        .filter_map(|node| {
            let Some(address) = node.address() else {
                warn!(enr = node.enr, "A bootnode without address and port cannot be dialled");
                return None;
            };
            Some(Dial { address, public_key: node.public_key })
        })
        .collect()
}

#[cfg(test)]
mod tests;
