//! Peers that nobody knows, and validators that sign what they should not.

use std::{thread, time::Duration};

use lamella_network::wire::topic::TopicKind;
use lamella_network_dir::{GenesisConfig, ValidatorKeys};
use lamella_state_transition::compute_post_state;
use lamella_testing_devnet::{Network, NetworkPlan, Stranger, log};
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, BlockHeader,
    Checkpoint, Decode as _, MultiMessageAggregate, ProofBytes, Root, SignedAggregatedAttestation,
    SignedAttestation, SignedBlock, SingleMessageAggregate, Slot, State, genesis_state,
    hash_tree_root,
    limits::{PROOF_BYTES_MAX, VALIDATOR_REGISTRY_LIMIT},
    to_ssz,
};

use crate::{TWO, longer};

/// Memory that a node may have under attack: 300 MB.
const MEMORY_BYTES_MAX: u64 = 300_000_000;

/// Blocks that one proposer signs for one slot.
const EQUIVOCATIONS: u64 = 40;

/// Votes that one validator signs for one slot.
const DOUBLE_VOTES: u64 = 20;

/// Symptom: one anonymous peer with blocks of 157 KB of a far future took 3.6 GB and both cores of a node, and cost
/// finality.
/// Mechanism: each unpacked to 3.2 MB, twice, was decoded, hashed, and queued by number, not by bytes, before anyone
/// looked at its slot.
/// Fix: limits by topic before unpacking, slot and proposer read before decoding, budgets in bytes.
#[test]
fn rubbish_from_a_stranger_costs_neither_memory_nor_finality() {
    drill(400);
}

/// A stranger says so many of each kind of rubbish.
pub fn drill(messages: u64) {
    // Given two nodes that finalize,
    let mut network = Network::make(longer(TWO, messages));
    network.start_all();
    network.wait("both finalize", |views| views.iter().all(|view| view.finalized_slot > 0));
    let calm = network.memory_bytes(0);

    // when a stranger sends one of them blocks of a far future, forged blocks of now, forged aggregates and bombs,
    let stranger = Stranger::dial(network.address(0));
    let bomb = to_ssz(&rubbish(u64::MAX, 0, VALIDATOR_REGISTRY_LIMIT));
    let (mut peak, began) = (calm, network.slot());
    for number in 0..messages {
        let mut far = bomb.clone();
        far[8..16].copy_from_slice(&((1 << 40) + number).to_le_bytes());
        stranger.say(TopicKind::Block, &far);
        stranger.say(TopicKind::Block, &to_ssz(&rubbish((1 << 41) + number, number, 8)));
        stranger.say(TopicKind::Block, &to_ssz(&rubbish(network.slot(), number, 8)));
        stranger.say(TopicKind::Aggregation, &forged_aggregate(network.slot(), number));
        peak = peak.max(network.memory_bytes(0));
    }
    drop(bomb);
    let attacked = network.slot();
    network.until("finality goes on", |network| {
        peak = peak.max(network.memory_bytes(0));
        network.views().filter(|views| views.iter().all(|view| view.finalized_slot > attacked))
    });

    // then it stays small,
    assert!(peak <= MEMORY_BYTES_MAX, "{peak} bytes, {calm} before the attack");
    // and nothing of it is in a database.
    drop(stranger);
    network.stop_and_verify_all();
    let blocks = network.blocks(0);
    assert!(blocks.iter().all(|(slot, _)| *slot < 1 << 40));
    let proposed = blocks.iter().filter(|(slot, _)| (began..attacked).contains(slot)).count();
    let slots = attacked - began;
    println!(
        "{calm} bytes before, at most {peak} under attack; {proposed} blocks in {slots} slots"
    );
}

/// A block that nobody signed, with so many votes of everybody.
fn rubbish(slot: Slot, number: u64, votes: usize) -> SignedBlock {
    let vote = AggregatedAttestation {
        aggregation_bits: AggregationBits::zeros(VALIDATOR_REGISTRY_LIMIT),
        data: AttestationData { slot: number, ..AttestationData::default() },
    };
    let body = BlockBody::new(vec![vote; votes]).unwrap();
    let parent_root = Root::new([7; 32]);
    let block = Block { slot, proposer_index: slot % 4, parent_root, body, ..Block::default() };
    let proof = ProofBytes::new(vec![0; PROOF_BYTES_MAX]).unwrap();
    SignedBlock { block, proof: MultiMessageAggregate { proof } }
}

fn forged_aggregate(slot: Slot, number: u64) -> Vec<u8> {
    let head = Checkpoint { root: root(number), slot };
    let data = AttestationData { slot, head, ..AttestationData::default() };
    let participants = AggregationBits::from_indices(0..4).unwrap();
    let proof = ProofBytes::new(vec![0; PROOF_BYTES_MAX]).unwrap();
    let proof = SingleMessageAggregate { participants, proof };
    to_ssz(&SignedAggregatedAttestation { data, proof })
}

/// Symptom: 600 of 600 blocks that a proposer signed for one slot were imported, forwarded and kept for ever; a
/// validator's votes for one slot were each verified, and kept where their heads were unknown.
/// Mechanism: gossip took whatever was valid.
/// Fix: gossip takes the first block of a slot and proposer and the first vote of a slot and validator.
#[test]
fn of_many_blocks_and_votes_signed_for_one_slot_gossip_takes_the_first() {
    // Given a node with half of the validators, and strangers with the keys of the others.
    const LONE: NetworkPlan = NetworkPlan { slot_ms: 2_000, ..TWO };
    let mut network = Network::make(LONE);
    network.start(0);
    let rogue = Rogue::of(&network, "lamella_1");
    let (stranger, listener) =
        (Stranger::dial(network.address(0)), Stranger::dial(network.address(0)));

    // When the proposer of a slot signs many blocks for it, and the next one of ours only one,
    let slot = (network.slot() + 2) | 1;
    let many: Vec<_> = (0..EQUIVOCATIONS).map(|number| rogue.block(slot, number)).collect();
    let one = rogue.block(slot + 2, 0);
    let votes: Vec<_> = (0..DOUBLE_VOTES).map(|number| rogue.vote(slot, number)).collect();
    network.until("the slot", |network| (network.slot() >= slot).then_some(()));
    many.iter().for_each(|block| stranger.say(TopicKind::Block, &to_ssz(block)));
    let verified = |network: &Network| {
        let series = "lean_pq_sig_attestation_signatures_valid_total";
        network.client(0).metrics().unwrap().value(series)
    };
    // Votes that come together are verified together, so the first comes alone.
    for (number, vote) in votes.iter().enumerate() {
        stranger.say(TopicKind::Attestation { subnet: 0 }, &vote.to_ssz());
        if number == 0 {
            network.until("a vote is verified", |network| {
                (verified(network) == Some(1.0)).then_some(())
            });
        }
    }
    network.until("the next slot", |network| (network.slot() >= slot + 2).then_some(()));
    stranger.say(TopicKind::Block, &to_ssz(&one));
    let last = hash_tree_root(&one.block);
    let mut heard = Vec::new();
    network.until("the last block goes on", |_| {
        thread::sleep(Duration::from_millis(20));
        heard.extend(listener.heard().iter().map(|ssz| SignedBlock::from_ssz(ssz).unwrap().block));
        heard.iter().any(|block| hash_tree_root(block) == last).then_some(())
    });

    // then others hear of the first alone, and one vote was worth verifying,
    let of_slot: Vec<_> = heard.iter().filter(|block| block.slot == slot).collect();
    assert_eq!(of_slot, [&many[0].block]);
    assert_eq!(verified(&network), Some(1.0));
    // the proposer is named once, and the database has the first.
    let logged = network.stop(0);
    let said = logged.lines().filter(|line| line.contains("A proposer signed a second block"));
    let said: Vec<_> = said.map(|line| log::field(line, "slot").unwrap()).collect();
    assert_eq!(said, [slot.to_string()]);
    network.verify(0);
    let stored: Vec<_> =
        network.blocks(0).into_iter().filter(|(stored, _)| *stored == slot).collect();
    assert_eq!(stored, [(slot, hash_tree_root(&many[0].block))]);
}

/// Validators that do what they should not.
struct Rogue {
    keys: ValidatorKeys,
    genesis: State,
    genesis_root: Root,
}

impl Rogue {
    /// The validators of a node.
    fn of(network: &Network, node_id: &str) -> Self {
        let paths = network.paths();
        let config = GenesisConfig::load(&paths.config).unwrap();
        let assigned = paths.assignments().unwrap().unwrap().of(node_id).unwrap().unwrap();
        let keys = ValidatorKeys::load(
            &config.validators,
            &assigned,
            &paths.keys_dir,
            &lamella_xmss::PRODUCTION,
        )
        .unwrap();
        let genesis = genesis_state(config.genesis_time, config.validators);
        let header = BlockHeader { state_root: genesis.root(), ..genesis.latest_block_header };
        Self { keys, genesis, genesis_root: hash_tree_root(&header) }
    }

    /// A valid child of genesis, one of many by its vote.
    fn block(&self, slot: Slot, number: u64) -> SignedBlock {
        let proposer_index = slot % 4;
        let keys = self.keys.get(proposer_index).unwrap();
        let data = self.data(slot, number);
        let aggregation_bits = AggregationBits::from_indices([proposer_index]).unwrap();
        let body = BlockBody::new(vec![AggregatedAttestation { aggregation_bits, data }]).unwrap();
        let mut block = Block {
            slot,
            proposer_index,
            parent_root: self.genesis_root,
            body,
            ..Block::default()
        };
        let (_, state_root) = compute_post_state(&self.genesis, &block).unwrap();
        block.state_root = state_root;
        let sign = |key: &lamella_xmss::SecretKey, message: Root| {
            key.sign(slot, message.as_bytes()).unwrap().encode()
        };
        let proof = [
            sign(&keys.attester, hash_tree_root(&data)),
            sign(&keys.proposer, hash_tree_root(&block)),
        ];
        let proof = ProofBytes::new(proof.concat()).unwrap();
        SignedBlock { block, proof: MultiMessageAggregate { proof } }
    }

    /// The vote of a validator, one of many by its head.
    fn vote(&self, slot: Slot, number: u64) -> SignedAttestation {
        let keys = &self.keys.validators[0];
        let data = self.data(slot, number);
        let signature = keys.attester.sign(slot, hash_tree_root(&data).as_bytes()).unwrap();
        SignedAttestation { validator_index: keys.index, data, signature: signature.encode() }
    }

    fn data(&self, slot: Slot, number: u64) -> AttestationData {
        let genesis = Checkpoint { root: self.genesis_root, slot: 0 };
        let head = Checkpoint { root: root(number), slot };
        AttestationData { slot, head, target: genesis, source: genesis }
    }
}

fn root(number: u64) -> Root {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Root::new(bytes)
}
