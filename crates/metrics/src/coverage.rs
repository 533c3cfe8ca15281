//! Who voted in a round, and where this node saw it: leanMetrics' coverage of aggregates.
//!
//! A round is all votes for one slot. What is seen of it is added up as it comes; one report, three intervals into the
//! next slot, says it, if a block of the head's chain carries votes of the round: of a slot without a block nothing can
//! be said of what proposers leave out. The other sections are of the moment in which they are observed.
//!
//! | section | validators whose votes of the round |
//! |---|---|
//! | `timely` | came in aggregates before they were accepted, at interval 4 |
//! | `late` | came in aggregates after that |
//! | `block` | blocks of the head's chain carry |
//! | `combined` | are in one of these |
//! | `aggregate_start_new` | waited for their acceptance when this node began to aggregate |
//! | `proposal_payloads` | this node could choose from for its block |
//! | `proposal_gossip` | this node has as single signatures when it proposes; a block cannot carry them |
//! | `proposal_combined` | are in one of these two |

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use lamella_types::{AggregationBits, Block, Slot};
use parking_lot::Mutex;
use prometheus::IntGaugeVec;

use super::register::{Register, gauge};

/// leanSpec `ATTESTATION_AGGREGATE_COVERAGE_SECTIONS`: label `section`.
const COVERAGE_SECTIONS: [&str; 8] = [
    "timely",
    "late",
    "block",
    "combined",
    "aggregate_start_new",
    "proposal_payloads",
    "proposal_gossip",
    "proposal_combined",
];

/// leanSpec `ATTESTATION_AGGREGATE_COVERAGE_DIFF_DIRECTIONS`: label `direction`.
const COVERAGE_DIRECTIONS: [&str; 2] = ["block_only", "timely_only"];

/// Rounds added up at once; the oldest makes room. A round is reported within two slots.
const ROUNDS_MAX: usize = 8;

/// What was seen of a round.
#[derive(Debug, Default)]
struct Round {
    timely: AggregationBits,
    late: AggregationBits,
    block: AggregationBits,
    /// What comes from now on is late.
    is_accepted: bool,
}

/// Who voted, and where it was seen.
#[derive(Debug)]
pub struct CoverageMetrics {
    validators: IntGaugeVec,
    subnets: IntGaugeVec,
    difference: IntGaugeVec,
    committee_count: AtomicU64,
    rounds: Mutex<BTreeMap<Slot, Round>>,
}

impl CoverageMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        let gauges = |of: &str, help: &str, labels: &[&str]| {
            let name = format!("lean_attestation_aggregate_coverage_{of}");
            let gauges = r.gauges(&name, help, labels);
            for section in COVERAGE_SECTIONS {
                gauges.with_label_values(&[section, "combined"][..labels.len()]);
            }
            gauges
        };
        let difference = r.gauges(
            "lean_attestation_aggregate_coverage_diff_validators",
            "Validators covered by blocks only or by timely aggregates only.",
            &["direction"],
        );
        for direction in COVERAGE_DIRECTIONS {
            difference.with_label_values(&[direction]);
        }
        Self {
            validators: gauges(
                "validators",
                "Validators covered by aggregates, by section and subnet.",
                &["section", "subnet"],
            ),
            subnets: gauges("subnets", "Subnets covered by aggregates, by section.", &["section"]),
            difference,
            committee_count: AtomicU64::new(1),
            rounds: Mutex::default(),
        }
    }

    pub(super) fn set_committee_count(&self, count: u64) {
        self.committee_count.store(count.max(1), Ordering::Relaxed);
    }

    /// An aggregate was taken.
    pub fn aggregate(&self, slot: Slot, participants: &AggregationBits) {
        self.round(slot, |round| {
            let side = if round.is_accepted { &mut round.late } else { &mut round.timely };
            side.add_all(participants);
        });
    }

    /// A block of the head's chain was imported.
    pub fn block(&self, block: &Block) {
        for vote in block.attestations() {
            self.round(vote.data.slot, |round| round.block.add_all(&vote.aggregation_bits));
        }
    }

    /// The votes of this slot were accepted.
    pub fn accepted(&self, slot: Slot) {
        self.round(slot, |round| round.is_accepted = true);
    }

    /// Reports the round of this slot, and forgets it and those before.
    pub fn report(&self, slot: Slot) {
        let round = {
            let mut rounds = self.rounds.lock();
            let after = rounds.split_off(&(slot + 1));
            std::mem::replace(&mut *rounds, after).remove(&slot)
        };
        let Some(Round { timely, late, block, .. }) = round else { return };
        if block.count_ones() == 0 {
            return;
        }
        let only = |of: &AggregationBits, than: &AggregationBits| {
            of.ones().filter(|index| than.get(*index) != Some(true)).count() as u64
        };
        for (direction, count) in
            COVERAGE_DIRECTIONS.into_iter().zip([only(&block, &timely), only(&timely, &block)])
        {
            self.difference.with_label_values(&[direction]).set(gauge(count));
        }
        self.observe("combined", [&timely, &late, &block]);
        for (section, bits) in [("timely", &timely), ("late", &late), ("block", &block)] {
            self.observe(section, [bits]);
        }
    }

    /// What a section covers now.
    pub fn observe<'a>(
        &self,
        section: &str,
        aggregates: impl IntoIterator<Item = &'a AggregationBits>,
    ) {
        debug_assert!(COVERAGE_SECTIONS.contains(&section), "{section} is no section");
        let mut covered = AggregationBits::default();
        aggregates.into_iter().for_each(|bits| covered.add_all(bits));
        let set = |subnet: &str, count: u64| {
            self.validators.with_label_values(&[section, subnet]).set(gauge(count));
        };
        set("combined", covered.count_ones() as u64);
        let committees = self.committee_count.load(Ordering::Relaxed);
        let mut by_subnet: BTreeMap<u64, u64> = BTreeMap::new();
        for index in covered.ones() {
            *by_subnet.entry(index as u64 % committees).or_default() += 1;
        }
        // A registry has 4,096 validators at most, so no more subnets than that have any.
        for subnet in 0..committees.min(lamella_types::limits::VALIDATOR_REGISTRY_LIMIT as u64) {
            set(&format!("subnet_{subnet}"), by_subnet.get(&subnet).copied().unwrap_or(0));
        }
        self.subnets.with_label_values(&[section]).set(gauge(by_subnet.len() as u64));
    }

    fn round(&self, slot: Slot, change: impl FnOnce(&mut Round)) {
        let mut rounds = self.rounds.lock();
        change(rounds.entry(slot).or_default());
        while rounds.len() > ROUNDS_MAX {
            rounds.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use lamella_types::{AggregatedAttestation, AttestationData, BlockBody};
    use prometheus::Registry;

    use super::*;

    fn bits(indices: &[u64]) -> AggregationBits {
        AggregationBits::from_indices(indices.iter().copied()).unwrap()
    }

    fn fresh() -> CoverageMetrics {
        let metrics = CoverageMetrics::new(&Register(&Registry::new()));
        metrics.set_committee_count(2);
        metrics
    }

    /// A block with votes of validators for slots.
    fn block(votes: &[(Slot, &[u64])]) -> Block {
        let votes = votes.iter().map(|(slot, voters)| AggregatedAttestation {
            aggregation_bits: bits(voters),
            data: AttestationData { slot: *slot, ..AttestationData::default() },
        });
        let body = BlockBody::new(votes.collect()).unwrap();
        Block { body, ..Block::default() }
    }

    /// What a section says: of both subnets, of each, and how many subnets.
    fn said(metrics: &CoverageMetrics, section: &str) -> [i64; 4] {
        let of = |subnet: &str| metrics.validators.with_label_values(&[section, subnet]).get();
        let subnets = metrics.subnets.with_label_values(&[section]).get();
        [of("combined"), of("subnet_0"), of("subnet_1"), subnets]
    }

    fn differences(metrics: &CoverageMetrics) -> [i64; 2] {
        COVERAGE_DIRECTIONS.map(|name| metrics.difference.with_label_values(&[name]).get())
    }

    #[test]
    fn each_validator_counts_once_in_its_subnet() {
        let metrics = fresh();
        metrics.observe("proposal_payloads", [&bits(&[0, 9]), &bits(&[9, 2])]);
        assert_eq!(said(&metrics, "proposal_payloads"), [3, 2, 1, 2]);
        metrics.observe("proposal_payloads", []);
        assert_eq!(said(&metrics, "proposal_payloads"), [0; 4]);
    }

    #[test]
    fn a_round_says_what_came_in_time_what_late_and_what_blocks_carry() {
        let metrics = fresh();
        metrics.aggregate(7, &bits(&[0, 1, 2]));
        metrics.aggregate(6, &bits(&[5]));
        metrics.accepted(7);
        metrics.aggregate(7, &bits(&[4]));
        metrics.aggregate(8, &bits(&[6]));
        metrics.block(&block(&[(7, &[1, 3]), (6, &[5]), (8, &[8])]));
        metrics.report(7);
        let sections = ["timely", "late", "block", "combined"].map(|name| said(&metrics, name));
        assert_eq!(sections, [[3, 2, 1, 2], [1, 1, 0, 1], [2, 0, 2, 1], [5, 3, 2, 2]]);
        assert_eq!(differences(&metrics), [1, 2], "3; 0 and 2");

        // Of a round that no block carries nothing new is said.
        metrics.aggregate(9, &bits(&[0]));
        metrics.report(9);
        assert_eq!((said(&metrics, "timely"), differences(&metrics)), ([3, 2, 1, 2], [1, 2]));
    }

    #[test]
    fn rounds_that_nobody_reports_are_bounded() {
        let metrics = fresh();
        (0..100).for_each(|slot| metrics.accepted(slot));
        assert!(metrics.rounds.lock().keys().copied().eq(92..100));
        metrics.report(98);
        assert!(metrics.rounds.lock().keys().copied().eq(99..100));
    }
}
