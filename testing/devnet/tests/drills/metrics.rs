//! Every metric is fed: real nodes live through whatever there is a metric of.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lamella_devnet::{client::Client, ports::Ports};
use lamella_hostile::{Thief, rubbish::forged_aggregate};
use lamella_network::wire::topic::TopicKind;
use lamella_state_transition::compute_post_state;
use lamella_tables::{Database, DatabaseView, OpenMode, Options};
use lamella_testing_devnet::{Network, NetworkPlan, stranger};
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, Checkpoint,
    Decode as _, MultiMessageAggregate, ProofBytes, Root, SignedAggregatedAttestation,
    SignedAttestation, SignedBlock, SingleMessageAggregate, Slot, State, hash_tree_root,
    limits::INTERVALS_PER_SLOT, to_ssz,
};
use lamella_xmss::SecretKey;

use crate::TWO;

/// Two subnets, a short window of proofs, and slots in whose intervals a stranger has time to speak.
const PLAN: NetworkPlan = NetworkPlan {
    slot_ms: 1_000,
    flags: &["--attestation-committee-count", "2", "--signature-window", "8"],
    ..TWO
};

/// More connections than the API gives one address.
const CONNECTIONS: usize = 300;

/// The API's tests see these move: one holds a read open, which here are over in a millisecond and looked at every ten
/// seconds; one has a chain of more than 1,024 slots, which is where segments begin. The last one moves where states are
/// pruned (`over_http_states_are_pruned_and_all_else_is_served`).
const ELSEWHERE: [&str; 4] = [
    "lean_storage_open_readers",
    "lean_storage_oldest_reader_age_milliseconds",
    "lean_storage_cache_segments",
    "lean_storage_state_floor_slot",
];

/// `what_a_shipping_node_counts_is_what_it_shipped` sees the first move, since an archive begins with 1,024 finalized slots,
/// `rows_that_rotted_are_found_and_fetched_from_a_peer_while_the_node_runs` the second,
/// `a_node_that_began_later_fetches_its_history_from_another` the third, and no node follows.
const OF_OTHERS: [&str; 4] = ["lean_archive_", "lean_scrub_", "lean_history_", "lean_follow_"];

/// What was seen of each metric that any node has.
#[derive(Default)]
struct Seen {
    /// The largest value of each series, without the buckets of histograms.
    series: BTreeMap<String, f64>,
    /// The series of each metric.
    metrics: BTreeMap<String, Vec<String>>,
}

impl Seen {
    fn look(&mut self, client: &Client) {
        // A node that refuses an answer is asked again.
        let Ok(scrape) = client.metrics() else { return };
        let mut metric = "";
        for line in scrape.text().lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                metric = kind.split(' ').next().unwrap();
                self.metrics.entry(metric.to_owned()).or_default();
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let rest = series.strip_prefix(metric).unwrap();
                if rest.starts_with("_bucket") || rest.starts_with("_sum") {
                    continue;
                }
                let value: f64 = value.parse().unwrap();
                let most = self.series.entry(series.to_owned()).or_insert_with(|| {
                    self.metrics.get_mut(metric).unwrap().push(series.to_owned());
                    value
                });
                *most = most.max(value);
            }
        }
    }

    fn has(&self, series: &str) -> bool {
        self.series.iter().any(|(name, value)| name.starts_with(series) && *value != 0.0)
    }

    /// Metrics of which no series has ever been anything but zero.
    fn silent(&self) -> Vec<&str> {
        let is_silent = |series: &String| self.series[series] == 0.0;
        let silent = self.metrics.iter().filter(|(_, series)| series.iter().all(is_silent));
        let silent = silent.map(|(metric, _)| metric.as_str());
        let is_ours = |metric: &&str| {
            !ELSEWHERE.contains(metric) && !OF_OTHERS.iter().any(|of| metric.starts_with(of))
        };
        silent.filter(is_ours).collect()
    }

    /// Does this again and again, until all these series have moved.
    fn until(&mut self, network: &mut Network, series: &[&str], mut cause: impl FnMut(&Network)) {
        for series in series {
            network.until(&format!("{series} moves"), |network| {
                cause(network);
                for index in network.running() {
                    self.look(network.client(index));
                }
                self.has(series).then_some(())
            });
        }
    }
}

/// Symptom: coverage had one section of eight, its difference was always zero, reasons were counted that never were, and
/// votes that came early or twice were invalid ones.
/// Mechanism: metrics were registered, and nobody told them; nobody looked.
/// Fix: each is fed where its cause is, or gone, and this drill ends with those of which it saw nothing.
#[test]
fn every_metric_is_fed() {
    let mut seen = Seen::default();
    let mut network = Network::make(PLAN);
    let skew = network.paths().root.join("skew");
    set_skew(&skew, 0);
    network.start_with(0, &["--aggregate-subnet-ids", "0,1"]);
    network.start_with(1, &["--clock-skew-file", skew.to_str().unwrap()]);
    seen.until(
        &mut network,
        &["lean_storage_pruned_rows_total", "lean_latest_finalized_slot"],
        |_| (),
    );
    seen.until(&mut network, &["lean_gossip_signatures", "lean_latest_new_aggregated"], |_| ());

    clocks_and_guards(&mut seen, &mut network, &skew);
    two_chains(&mut seen, &mut network);
    damage(&mut seen, &mut network);
    readers(&mut seen, &mut network);
    nobody_reads_the_log(&mut seen, &network);
    network.kill(1);
    votes(&mut seen, &mut network);
    rubbish(&mut seen, &mut network);

    assert_eq!(seen.silent(), [""; 0], "nobody feeds these");
}

/// A clock that is set back and forward again; a guard that cannot be written, and one that cannot be read.
fn clocks_and_guards(seen: &mut Seen, network: &mut Network, skew: &Path) {
    set_skew(skew, -6 * i64::try_from(PLAN.slot_ms).unwrap());
    let back = ["lean_clock_leaps_total{direction=\"back\"}", "lean_clock_peers_ahead"];
    seen.until(network, &back, |_| ());
    set_skew(skew, 0);
    seen.until(network, &["lean_clock_leaps_total{direction=\"forward\"}"], |_| ());

    let guard = guard_file(network);
    let text = fs::read(&guard).unwrap();
    fs::remove_file(&guard).unwrap();
    fs::create_dir_all(guard.join("in the way")).unwrap();
    let failures = ["lean_sign_guard_copy_failures_total", "lean_block_building_failures_total"];
    seen.until(network, &failures, |_| ());
    fs::remove_dir_all(&guard).unwrap();
    fs::write(&guard, text).unwrap();
}

/// Both nodes go on without each other, and one of them has to come back.
fn two_chains(seen: &mut Seen, network: &mut Network) {
    network.set_cut(&[0], &[1], true);
    network.wait("they lose each other", |views| views.iter().all(|view| view.peers == 0));
    network.pass_slots(5);
    network.set_cut(&[0], &[1], false);
    seen.until(network, &["lean_fork_choice_reorgs_total"], |_| ());
}

/// Damaged rows of an index and of a proof, a damaged guard; and a state that has to be put together again.
fn damage(seen: &mut Seen, network: &mut Network) {
    network.stop(1);
    let data = network.data_dir(1).join("db");
    flip(&data, "Slots");
    let key = flip(&data, "Signatures");
    // By its root: it may be of the chain that was left.
    let root = Root::new(key[8..].try_into().unwrap());
    let guard = guard_file(network);
    let text = fs::read_to_string(&guard).unwrap();
    fs::write(&guard, text.replacen("1 attestation ", "1 attestation 1", 1)).unwrap();
    network.start(1);
    let found = [
        "lean_storage_derived_rows_total{table=\"Slots\"}",
        "lean_validator_silenced_keys",
        "lean_storage_corrupt_reads_total",
        "lean_storage_cold_read_rows_total",
        "lean_sync_blocks_received_total",
        "lean_sync_blocks_asked_total",
    ];
    seen.until(network, &found, |network| {
        // The one is damaged, the other is cold.
        let _ = (network.client(1).block(root), network.client(1).state(2));
    });
}

/// Who reads, who is refused, and another process that holds an old snapshot.
fn readers(seen: &mut Seen, network: &mut Network) {
    let view = DatabaseView::open(&network.data_dir(1).join("db")).unwrap();
    let snapshot = view.read().unwrap();
    seen.until(network, &["lean_storage_held_bytes"], |_| ());
    drop(snapshot);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, network.client(1).port()));
    seen.until(network, &["lean_storage_refused_reads_total"], |_| {
        let open: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(address)).collect();
        drop(open);
    });
}

/// A follower whose log has no room.
fn nobody_reads_the_log(seen: &mut Seen, network: &Network) {
    let mut place = Ports::free(1).unwrap().0.remove(0);
    place.release();
    let data = tempfile::tempdir().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut follower = Command::new(PLAN.program)
        .args(["node", "--node-id", "unheard", "--gossipsub-port", "0", "--exit-with-parent"])
        .args(["--api-port", &place.ports.api.to_string(), "--metrics-port", "0", "--network-dir"])
        .arg(network.paths().root)
        .arg("--data-dir")
        .arg(data.path())
        .stdin(Stdio::piped())
        .stderr(full)
        .spawn()
        .unwrap();
    let client = Client::new(place.ports.api);
    lamella_testing_devnet::wait::until("lines are lost, and counted", || {
        seen.look(&client);
        seen.has("lean_log_lost_lines_total").then_some(())
    });
    follower.kill().unwrap();
    follower.wait().unwrap();
}

/// Votes that come in time, late, early and twice, and a proposer that leaves others' out.
fn votes(seen: &mut Seen, network: &mut Network) {
    let thief = Thief::of(&network.paths(), "lamella_1", 2).unwrap();
    let stranger = stranger(network.address(0));
    let subnet = TopicKind::Attestation { subnet: 1 };
    let of = |section: &str| {
        format!(
            "lean_attestation_aggregate_coverage_validators{{section=\"{section}\",subnet=\"combined\"}}"
        )
    };
    let sections = [
        "timely",
        "late",
        "block",
        "combined",
        "aggregate_start_new",
        "proposal_payloads",
        "proposal_gossip",
        "proposal_combined",
    ];
    let mut wanted: Vec<String> = sections.iter().map(|section| of(section)).collect();
    for side in ["block_only", "timely_only"] {
        wanted.push(format!(
            "lean_attestation_aggregate_coverage_diff_validators{{direction=\"{side}\"}}"
        ));
    }
    wanted.push("lean_attestation_aggregate_coverage_subnets".to_owned());
    wanted.push("lean_gossip_dropped_total{reason=\"ignored\"}".to_owned());
    wanted.push("lean_gossip_dropped_total{reason=\"not_worth_reading\"}".to_owned());
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let mut done = 0;
    seen.until(network, &wanted, |network| {
        let interval = network.interval();
        if std::mem::replace(&mut done, interval) == interval {
            return;
        }
        let (slot, phase) = (interval / INTERVALS_PER_SLOT, interval % INTERVALS_PER_SLOT);
        let Some((root, parent, head)) = head(network) else { return };
        if head.slot > slot {
            return;
        }
        let source = parent.latest_justified;
        let data = |slot| AttestationData { slot, head, target: head, source };
        match (slot % 2, phase) {
            // Its slot: it proposes with a vote that nobody else has heard of, and leaves out what all have.
            (1, 0) if head.slot < slot => {
                let vote = vote(&thief, slot - 1, slot).data;
                let block = block(&thief, root, &parent, slot, vote);
                stranger.say(TopicKind::Block, &to_ssz(&block));
            }
            // An aggregate before the aggregator begins, and a vote when it is done.
            (1, 1) => stranger.say(TopicKind::Aggregation, &to_ssz(&aggregate(&thief, data(slot)))),
            (1, 3) => stranger.say(subnet, &sign(&thief, data(slot)).to_ssz()),
            // A vote for what is finalized, one of the future, one for a block that nobody has, and one more.
            (0, 1) => stranger.say(subnet, &sign(&thief, old(&parent, slot)).to_ssz()),
            (0, 2) => stranger.say(subnet, &vote(&thief, slot + 9, 0).to_ssz()),
            (0, 3) => stranger.say(subnet, &vote(&thief, slot, 1).to_ssz()),
            (0, 4) => stranger.say(subnet, &vote(&thief, slot, 2).to_ssz()),
            _ => {}
        }
    });
    let invalid = network.client(0).metrics().unwrap();
    let invalid = invalid.value("lean_attestations_invalid_total{source=\"gossip\"}");
    assert_eq!(invalid, Some(0.0), "early, late and second votes are not invalid");
}

/// What is invalid.
fn rubbish(seen: &mut Seen, network: &mut Network) {
    let thief = Thief::of(&network.paths(), "lamella_1", 2).unwrap();
    let stranger = stranger(network.address(0));
    let subnet = TopicKind::Attestation { subnet: 1 };
    let wanted = [
        "lean_attestations_invalid_total",
        "lean_pq_sig_attestation_signatures_invalid_total",
        "lean_pq_sig_aggregated_signatures_invalid_total",
        "lean_gossip_dropped_total{reason=\"garbage\"}",
        "lean_peer_offences_total{offence=\"garbage\"}",
        "lean_peer_offences_total{offence=\"invalid\"}",
    ];
    let mut done = 0;
    seen.until(network, &wanted, |network| {
        let slot = network.slot();
        if std::mem::replace(&mut done, slot) == slot {
            return;
        }
        let mut forged = vote(&thief, slot, 3).to_ssz();
        *forged.last_mut().unwrap() ^= 1;
        stranger.say(subnet, &forged);
        stranger.say(TopicKind::Aggregation, &forged_aggregate(slot, 4, slot));
        stranger.say(TopicKind::Block, b"nothing that is a block");
    });
}

/// A vote of its first validator, one of many by a head that nobody has.
fn vote(thief: &Thief, slot: Slot, number: u64) -> SignedAttestation {
    thief.vote(&thief.validators()[0], slot, number).unwrap()
}

/// A vote of its first validator for this.
fn sign(thief: &Thief, data: AttestationData) -> SignedAttestation {
    let keys = &thief.validators()[0];
    let signature = keys.attester.sign(data.slot, hash_tree_root(&data).as_bytes()).unwrap();
    SignedAttestation { validator_index: keys.index, data, signature: signature.encode() }
}

/// The same as an aggregate of one.
fn aggregate(thief: &Thief, data: AttestationData) -> SignedAggregatedAttestation {
    let SignedAttestation { validator_index, data, signature } = sign(thief, data);
    let participants = AggregationBits::from_indices([validator_index]).unwrap();
    let proof = ProofBytes::new(signature).unwrap();
    SignedAggregatedAttestation { data, proof: SingleMessageAggregate { participants, proof } }
}

/// A vote for what is finalized.
fn old(parent: &State, slot: Slot) -> AttestationData {
    let finalized = parent.latest_finalized;
    AttestationData { slot, head: finalized, target: finalized, source: finalized }
}

/// A valid child of the block of this state, with its proposer's vote alone.
fn block(
    thief: &Thief,
    parent_root: Root,
    parent: &State,
    slot: Slot,
    data: AttestationData,
) -> SignedBlock {
    let keys = thief.validators().iter().find(|keys| keys.index == slot % 4).unwrap();
    let proposer_index = keys.index;
    let aggregation_bits = AggregationBits::from_indices([proposer_index]).unwrap();
    let body = BlockBody::new(vec![AggregatedAttestation { aggregation_bits, data }]).unwrap();
    let mut block = Block { slot, proposer_index, parent_root, body, ..Block::default() };
    let (_, state_root) = compute_post_state(parent, &block).unwrap();
    block.state_root = state_root;
    let sign =
        |key: &SecretKey, slot, message: Root| key.sign(slot, message.as_bytes()).unwrap().encode();
    let vote = sign(&keys.attester, data.slot, hash_tree_root(&data));
    let proposal = sign(&keys.proposer, slot, hash_tree_root(&block));
    let proof = ProofBytes::new([vote, proposal].concat()).unwrap();
    SignedBlock { block, proof: MultiMessageAggregate { proof } }
}

/// The head, its state, and where it is.
fn head(network: &Network) -> Option<(Root, State, Checkpoint)> {
    let (root, state) = network.client(0).state("head").ok()??;
    let state = State::from_ssz(&state).unwrap();
    let slot = state.latest_block_header.slot;
    Some((root, state, Checkpoint { root, slot }))
}

/// Sets the clock of the node that reads this file wrong by so much.
fn set_skew(file: &Path, ms: i64) {
    // Whole in one step: the node reads it at any moment.
    let new = file.with_extension("new");
    fs::write(&new, ms.to_string()).unwrap();
    fs::rename(new, file).unwrap();
}

/// The guard beside the keys of the second node.
fn guard_file(network: &Network) -> PathBuf {
    let files = fs::read_dir(network.paths().keys_dir).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let is_guard = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.contains("sign-guard") && name.contains("lamella_1")
    };
    files.find(is_guard).unwrap()
}

/// Flips a bit of the last row of a table; its key.
fn flip(database: &Path, table: &str) -> Vec<u8> {
    let database = Database::open(database, Options::new(OpenMode::Existing)).unwrap();
    let mut rows: Vec<_> = {
        let txn = database.read().unwrap();
        txn.raw_rows(table).unwrap().unwrap().map(Result::unwrap).collect()
    };
    let mut row = rows.pop().unwrap();
    row.stored[2] ^= 4;
    let mut txn = database.write().unwrap();
    txn.put_raw(table, &row.key, &row.stored).unwrap();
    txn.commit().unwrap();
    row.key
}
