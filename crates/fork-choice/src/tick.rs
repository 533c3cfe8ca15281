//! Time: five intervals a slot, each with its action. leanSpec `timeline.py` and `aggregation.py`.

use std::sync::Arc;

use lamella_types::{
    AttestationData, SignedAggregatedAttestation, SingleMessageAggregate, ValidatorIndex,
    coverage::select_proofs_for_coverage, limits::INTERVALS_PER_SLOT,
};

use crate::{
    fork_choice::{ForkChoice, HeadChange},
    pool::{Pool, PoolEntry},
};

/// Material for one aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregationTask {
    /// The vote.
    pub data: AttestationData,
    /// Proofs to merge.
    pub children: Vec<Arc<SingleMessageAggregate>>,
    /// Signatures of validators that no child covers, by ascending validator index.
    pub raw: Vec<(ValidatorIndex, Arc<[u8]>)>,
}

/// An aggregation under way: what is to be combined, and what was pending when it started.
#[derive(Debug)]
pub struct Aggregation {
    /// What to combine.
    pub tasks: Vec<AggregationTask>,
    pending: Pool,
}

/// The prover of an aggregator.
pub trait Combine {
    /// One proof for everyone in the task; `None` if none can be made, and the votes stay as they are.
    fn combine(&mut self, task: &AggregationTask) -> Option<SingleMessageAggregate>;
}

/// What one interval brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The head, changed or not.
    pub head: HeadChange,
    /// Aggregates to publish.
    pub aggregates: Vec<SignedAggregatedAttestation>,
}

impl ForkChoice {
    /// Moves time on by one interval and does what that interval asks for. leanSpec `tick_interval`.
    ///
    /// | interval | action |
    /// |---|---|
    /// | 0 | accept pending votes, if a proposal is due |
    /// | 2 | aggregate, if this node does |
    /// | 3 | update the safe target |
    /// | 4 | accept pending votes |
    pub fn tick_interval(
        &mut self,
        has_proposal: bool,
        aggregator: Option<&mut dyn Combine>,
    ) -> Tick {
        self.time = self.time.saturating_add(1);
        let mut tick = Tick { head: self.no_head_change(), aggregates: Vec::new() };
        match self.time % INTERVALS_PER_SLOT {
            0 if has_proposal => tick.head = self.accept_new_attestations(),
            2 => {
                if let Some(prover) = aggregator {
                    let aggregation = self.start_aggregation();
                    let made = aggregation.tasks.iter().map(|task| prover.combine(task)).collect();
                    tick.aggregates = self.finish_aggregation(&aggregation, made);
                }
            }
            3 => self.update_safe_target(),
            4 => tick.head = self.accept_new_attestations(),
            _ => {}
        }
        tick
    }

    /// Moves time forward to `interval` without any action, for a node that is far behind. Never back.
    pub fn skip_to_interval(&mut self, interval: u64) {
        self.time = self.time.max(interval);
    }

    /// Sets time to what the caller's clock says, back as well: a clock that was ahead once was wrong, and votes are
    /// judged by the one that is right now.
    pub const fn set_time(&mut self, interval: u64) {
        self.time = interval;
    }

    /// What an aggregator has to combine now. Changes nothing: the work may take its time, elsewhere.
    #[must_use]
    pub fn start_aggregation(&self) -> Aggregation {
        Aggregation { tasks: self.aggregation_tasks(), pending: self.pending.clone() }
    }

    /// Combined signatures and proofs, one for each task or `None`, *replace* what was pending when the aggregation
    /// started; the signatures used are dropped. leanSpec `aggregate`.
    ///
    /// As in leanSpec, a pending proof without anything to merge it with is not carried over. Only a vote whose
    /// prover failed keeps proofs and signatures. What came since the start stays as it is.
    pub fn finish_aggregation(
        &mut self,
        aggregation: &Aggregation,
        made: Vec<Option<SingleMessageAggregate>>,
    ) -> Vec<SignedAggregatedAttestation> {
        let mut aggregates = Vec::new();
        let mut replacement = Pool::default();
        for (AggregationTask { data, .. }, made) in aggregation.tasks.iter().zip(made) {
            if let Some(proof) = made {
                let order = self.take_back();
                replacement.place(data, order);
                replacement.add_proof(data, &Arc::new(proof.clone()));
                self.signatures.remove_covered(data, &proof.participants);
                aggregates.push(SignedAggregatedAttestation { data: *data, proof });
            } else if let Some(entry) = self.pending.get(data) {
                replacement.adopt(entry, self.next_back);
                self.next_back += 1;
            }
            self.unsaved.insert(*data);
        }
        let is_new = |entry: &&PoolEntry| aggregation.pending.get(&entry.data) != Some(*entry);
        let came_since: Vec<PoolEntry> = self.pending.iter().filter(is_new).cloned().collect();
        for entry in came_since {
            if replacement.get(&entry.data).is_none() {
                let order = self.take_back();
                replacement.adopt(&entry, order);
            } else {
                replacement.count(&entry.data, &entry.participants);
                for proof in &entry.proofs {
                    replacement.add_proof(&entry.data, proof);
                }
            }
        }
        self.unsaved.extend(self.pending.iter().map(|entry| entry.data));
        self.pending = replacement;
        aggregates
    }

    /// What can be combined now: pending data, then data with signatures only, each in order of arrival.
    fn aggregation_tasks(&self) -> Vec<AggregationTask> {
        let pending = self.pending.iter().map(|entry| entry.data);
        let signed = self.signatures.iter().map(|(data, _)| *data);
        let signed = signed.filter(|data| self.pending.get(data).is_none());
        pending.chain(signed).filter_map(|data| self.aggregation_task(data)).collect()
    }

    /// One vote's material; `None` unless there is a signature to add or two proofs to merge.
    fn aggregation_task(&self, data: AttestationData) -> Option<AggregationTask> {
        let pools = [self.pending.proofs(&data), self.known.proofs(&data)];
        let (children, covered) = select_proofs_for_coverage(&pools);
        let is_covered = |validator: ValidatorIndex| {
            usize::try_from(validator).ok().and_then(|index| covered.get(index)) == Some(true)
        };
        let signatures = self.signatures.get(&data).into_iter().flatten();
        let raw: Vec<_> = signatures
            .filter(|(validator, _)| !is_covered(**validator))
            .map(|(validator, signature)| (*validator, Arc::clone(signature)))
            .collect();
        (!raw.is_empty() || children.len() >= 2).then_some(AggregationTask { data, children, raw })
    }
}
