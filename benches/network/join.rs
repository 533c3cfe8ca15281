//! `join_from_genesis`: an empty node and one peer that has the chain in memory, from the connection to the last commit.

use std::{
    collections::HashMap,
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use enr::Enr;
use lamella_benches::{Times, signed};
use lamella_devnet::{
    ports::Ports,
    process::{NodeCommand, NodeProcess},
};
use lamella_network::service::{
    BlockSource, Listener, Network, NetworkConfig, NetworkEvent, Observation, SourceBlock,
    SourceFailure, SourceRange,
};
use lamella_network_dir::{
    GenesisConfig, NetworkDir, NodeKey, ValidatorKeys,
    genesis::{GenesisOptions, create},
};
use lamella_types::{
    BlockHeader, Checkpoint, Root, Slot, Status, genesis_state, hash_tree_root, limits::SLOT_MS,
    to_ssz,
};
use lamella_xmss::PRODUCTION;

use crate::{
    by_clock,
    log::{At, field},
};

/// Blocks of a chain whose proofs have 5 signatures, 13 KB: 27 MB.
pub const BLOCKS_OF_5: usize = 2_048;

/// The same of 129 signatures, 330 KB: 84 MB.
pub const BLOCKS_OF_129: usize = 256;

/// Joins, each of an empty node.
const JOINS: usize = 5;

/// Longest wait for one of them.
const PATIENCE: Duration = Duration::from_secs(300);

/// A chain in memory.
struct Chain {
    blocks: HashMap<Root, Vec<u8>>,
    /// By slot, from 0 on.
    roots: Vec<Root>,
}

impl BlockSource for Chain {
    fn status(&self) -> Status {
        let slot = self.roots.len() as u64 - 1;
        let head = Checkpoint { root: self.roots[self.roots.len() - 1], slot };
        Status { finalized: Checkpoint::default(), head }
    }

    fn block(&self, root: &Root) -> Result<SourceBlock, SourceFailure> {
        Ok(self.blocks.get(root).cloned().map_or(SourceBlock::Unknown, SourceBlock::Found))
    }

    fn canonical_roots(&self, start_slot: Slot, count: u64) -> Result<SourceRange, SourceFailure> {
        let (start, count) =
            (usize::try_from(start_slot).unwrap(), usize::try_from(count).unwrap());
        Ok(SourceRange::Roots(self.roots.iter().skip(start).take(count).copied().collect()))
    }
}

struct Deaf;

impl Listener for Deaf {
    fn event(&self, _: NetworkEvent) -> Result<(), Box<NetworkEvent>> {
        Ok(())
    }

    fn observe(&self, _: Observation) {}
}

/// Several joins of the same chain.
pub fn measure(name: String, validators: u64, blocks: usize) {
    let dir = tempfile::tempdir().unwrap();
    let network_dir = NetworkDir::new(&dir.path().join("network"));
    let chain = make_chain(&network_dir, validators, blocks);
    let key = NodeKey::random().unwrap();
    let config = NetworkConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        secret_key: *key.as_bytes(),
        dial: Vec::new(),
        redial: Duration::from_secs(1),
        committee_count: 1,
        subnets: vec![0],
        signature_bytes: PRODUCTION.signature_bytes(),
        agent: "lamella-bench".to_owned(),
    };
    let server = Network::start(&config, Arc::new(chain), Arc::new(Deaf)).unwrap();
    let record = Enr::builder()
        .ip4(Ipv4Addr::LOCALHOST)
        .add_value("quic", &server.address().port())
        .build(&key.signing_key())
        .unwrap();
    let bootnodes = dir.path().join("bootnodes.yaml");
    fs::write(&bootnodes, format!("- {}\n", record.to_base64())).unwrap();
    let mut times = Times::new(name);
    for number in 0..JOINS {
        let place = &mut Ports::free(1).unwrap().0[0];
        place.release();
        let command = NodeCommand {
            program: env::current_exe().unwrap(),
            network_dir: network_dir.root.clone(),
            node_id: format!("joiner_{number}"),
            data_dir: dir.path().join(format!("data-{number}")),
            log: dir.path().join(format!("{number}.log")),
            slot_ms: SLOT_MS,
            ports: place.ports,
            environment: vec![("RUST_LOG".to_owned(), "info".to_owned())],
            flags: vec!["--bootnodes".to_owned(), bootnodes.display().to_string()],
        };
        times.add(by_clock(join(command, blocks)));
    }
    times.record();
}

/// Starts an empty node; the time from its connection to the commit of the last block.
fn join(command: NodeCommand, blocks: usize) -> Duration {
    let mut node = NodeProcess::start(command).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        thread::sleep(Duration::from_millis(100));
        let log = node.logged().unwrap();
        let ended = node.ended().unwrap();
        assert!(ended.is_none() && Instant::now() < deadline, "{log}");
        let is_last = |line: &&str| {
            let head = field(line, "head_slot").and_then(|slot| slot.parse::<usize>().ok());
            line.contains("imported") && head == Some(blocks)
        };
        let Some(last) = log.lines().find(is_last) else { continue };
        let connected = log.lines().find(|line| line.contains(" Peer connected ")).unwrap();
        return At::of(connected).unwrap().until(At::of(last).unwrap());
    }
}

/// Keys, genesis so long ago that the chain ends now, and the chain, signed by everyone.
fn make_chain(paths: &NetworkDir, validators: u64, blocks: usize) -> Chain {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let age_s = blocks as u64 * SLOT_MS / 1_000;
    let options = GenesisOptions {
        nodes: 1,
        validators,
        out: paths.root.clone(),
        genesis_time: Some(now - age_s),
        slot_ms: SLOT_MS,
        lead_s: 0,
        ports: None,
        key_slots: blocks as u64 + 1,
    };
    create(&options, &|_| {}).unwrap();
    let config = GenesisConfig::load(&paths.config).unwrap();
    let assigned = paths.assignments().unwrap().unwrap().of("lamella_0").unwrap().unwrap();
    let keys = ValidatorKeys::load(&config.validators, &assigned, &paths.keys_dir, &PRODUCTION);
    let keys = keys.unwrap().validators.into_iter().map(|keys| [keys.attester, keys.proposer]);
    let genesis = genesis_state(config.genesis_time, config.validators);
    let header = BlockHeader { state_root: genesis.root(), ..genesis.latest_block_header };
    let made = signed::blocks(&genesis, keys.collect(), blocks);
    let named: Vec<_> = made.iter().map(|signed| hash_tree_root(&signed.block)).collect();
    let roots = [vec![hash_tree_root(&header)], named.clone()].concat();
    Chain { blocks: named.into_iter().zip(made.iter().map(to_ssz)).collect(), roots }
}
