//! The tally of a diff: the pending votes in full, or their change from the base's.
//!
//! While finality stalls, the tally holds one run of votes for each pending root and grows to some 116 KB at
//! 4,096 validators after 12 h; from block to block a few hundred bytes of it change. So the codec writes the
//! change, unless the whole is no larger, and the whole at least every 32 blocks, which bounds a read to 31
//! deltas. The validators that vote are much the same from root to root, so a run may be written as what differs
//! from the one before it: a full tally of 209 roots shrinks from 114 KB to what its runs do not share.
//!
//! ```text
//! tally    = number: u8 (0 = full, n = n-th delta since a full one)
//! full     = roots: varint | (root: 32 | votes) each
//! delta    = removed: varint | index gaps | added: varint | (root: 32 | votes) each
//!          | changed: varint | (index: varint | votes newly set) each      indices into the base's roots
//! votes    = 0 | bitmap of ceil(validators / 8) bytes  or  1 | count: varint | position gaps  or
//!            2 | count: varint | gaps of the positions that differ from the run before, whichever is shortest
//! ```

use lamella_types::{
    JustificationValidators, Justifications, Root, VALIDATOR_REGISTRY_LIMIT,
    bits::{count_ones, ones},
    limits::HISTORICAL_ROOTS_LIMIT,
    packed::{FormatError, Reader, put_positions, put_varint, read_positions},
    root::ROOT_BYTES,
};

/// Deltas that may follow one full tally.
pub const TALLY_DELTAS_MAX: u8 = 31;

/// Least bytes of a pending root with its votes: the root, and two bytes that say it is like the run before.
pub(crate) const ROOT_VOTES_BYTES_MIN: usize = ROOT_BYTES + 2;

/// The tally part of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TallyDiff {
    /// Every pending root with its votes, packed.
    Full(Vec<(Root, Vec<u8>)>),
    /// What differs from the base's tally.
    Delta {
        /// Number of deltas since the last full tally, this one included: 1 to 31.
        number: u8,
        /// Positions in the base's roots that are gone, ascending.
        removed: Vec<usize>,
        /// New roots with their votes, ascending.
        added: Vec<(Root, Vec<u8>)>,
        /// Positions in the base's roots with their newly set votes, ascending.
        changed: Vec<(usize, Vec<u8>)>,
    },
}

/// A delta that does not fit the tally it is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "tally delta names root {index} of {roots}, or votes for other than {validators} validators"
)]
pub struct TallyError {
    /// Position named (or the number of roots, where the base's own votes do not fit).
    pub index: usize,
    /// Roots in the base.
    pub roots: usize,
    /// Validators in the registry.
    pub validators: usize,
}

impl TallyDiff {
    /// All of a tally.
    #[must_use]
    pub fn full(tally: &Justifications, validators: usize) -> Self {
        Self::Full(runs(tally, validators))
    }

    /// The change from `base` to `target`.
    #[must_use]
    pub fn delta(
        number: u8,
        base: &Justifications,
        target: &Justifications,
        validators: usize,
    ) -> Self {
        let (mut removed, mut added, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        if !base.shares_memory_with(target) {
            let mut base_runs = runs(base, validators).into_iter().enumerate().peekable();
            for (root, votes) in runs(target, validators) {
                while let Some((index, _)) =
                    base_runs.next_if(|(_, (base_root, _))| *base_root < root)
                {
                    removed.push(index);
                }
                match base_runs.next_if(|(_, (base_root, _))| *base_root == root) {
                    None => added.push((root, votes)),
                    Some((_, (_, base_votes))) if base_votes == votes => {}
                    Some((index, (_, base_votes))) => {
                        if base_votes.iter().zip(&votes).any(|(old, new)| old & !new != 0) {
                            // A vote went away, which no transition does: said as a new root.
                            removed.push(index);
                            added.push((root, votes));
                        } else {
                            changed.push((index, xor(&base_votes, &votes)));
                        }
                    }
                }
            }
            removed.extend(base_runs.map(|(index, _)| index));
        }
        Self::Delta { number, removed, added, changed }
    }

    /// Deltas between this tally and the last full one.
    #[must_use]
    pub const fn number(&self) -> u8 {
        match self {
            Self::Full(_) => 0,
            Self::Delta { number, .. } => *number,
        }
    }

    /// The tally itself. `base` is the base's tally; a full one ignores it.
    ///
    /// # Errors
    /// [`TallyError`] if the delta was made from another base.
    pub fn apply(
        &self,
        base: &Justifications,
        validators: usize,
    ) -> Result<Justifications, TallyError> {
        let runs = match self {
            Self::Full(full) => full.clone(),
            Self::Delta { removed, added, changed, .. } => {
                if removed.is_empty() && added.is_empty() && changed.is_empty() {
                    return Ok(base.clone());
                }
                apply_delta(base, validators, removed, added, changed)?
            }
        };
        let too_many = TallyError { index: runs.len(), roots: runs.len(), validators };
        if runs.len() > HISTORICAL_ROOTS_LIMIT || validators > VALIDATOR_REGISTRY_LIMIT {
            return Err(too_many);
        }
        let mut roots = Vec::with_capacity(runs.len());
        let mut votes = JustificationValidators::default();
        for (root, run) in runs {
            if run.len() != validators.div_ceil(8) {
                return Err(TallyError { index: roots.len(), roots: roots.len(), validators });
            }
            roots.push(root);
            votes.extend_packed(&run, validators);
        }
        Ok(Justifications::new(roots, votes))
    }

    /// Appends the bytes of the tally's part of a diff.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        buffer.push(self.number());
        match self {
            Self::Full(full) => put_root_votes(buffer, full),
            Self::Delta { removed, added, changed, .. } => {
                put_varint(buffer, removed.len() as u64);
                put_positions(buffer, removed.iter().copied());
                put_root_votes(buffer, added);
                put_varint(buffer, changed.len() as u64);
                for (index, votes) in changed {
                    put_varint(buffer, *index as u64);
                    put_votes(buffer, votes, None);
                }
            }
        }
    }

    /// Reads what [`TallyDiff::write`] wrote for a registry of so many validators.
    ///
    /// # Errors
    /// [`FormatError`] if the bytes end before, or say something else.
    pub fn read(reader: &mut Reader<'_>, validators: usize) -> Result<Self, FormatError> {
        let error = reader.error("tally number");
        let number = reader.byte("tally number")?;
        match number {
            0 => Ok(Self::Full(read_root_votes(reader, validators)?)),
            1..=TALLY_DELTAS_MAX => {
                let count = reader.count("removed roots", 1)?;
                let removed = read_positions(reader, "removed roots", count, usize::MAX)?;
                let added = read_root_votes(reader, validators)?;
                let count = reader.count("changed roots", 2)?;
                let mut changed = Vec::with_capacity(count);
                for _ in 0..count {
                    let index = usize::try_from(reader.varint("changed root")?);
                    changed
                        .push((index.map_err(|_| error)?, read_votes(reader, validators, None)?));
                }
                Ok(Self::Delta { number, removed, added, changed })
            }
            _ => Err(error),
        }
    }
}

fn apply_delta(
    base: &Justifications,
    validators: usize,
    removed: &[usize],
    added: &[(Root, Vec<u8>)],
    changed: &[(usize, Vec<u8>)],
) -> Result<Vec<(Root, Vec<u8>)>, TallyError> {
    let roots = base.roots().len();
    let out_of_range = |index| TallyError { index, roots, validators };
    let mut runs = runs(base, validators);
    if runs.len() != roots {
        return Err(out_of_range(roots));
    }
    for (index, set) in changed {
        let (_, votes) = runs.get_mut(*index).ok_or(out_of_range(*index))?;
        for (byte, bits) in votes.iter_mut().zip(set) {
            *byte |= bits;
        }
    }
    for index in removed.iter().rev() {
        if *index >= runs.len() {
            return Err(out_of_range(*index));
        }
        runs.remove(*index);
    }
    runs.extend(added.iter().cloned());
    runs.sort_by_key(|(root, _)| *root);
    Ok(runs)
}

/// The tally's roots with their packed votes; shorter than the roots if the votes do not fit them.
fn runs(tally: &Justifications, validators: usize) -> Vec<(Root, Vec<u8>)> {
    let votes = (0..).map_while(|index| tally.votes_of(index, validators));
    tally.roots().iter().copied().zip(votes).collect()
}

fn put_root_votes(buffer: &mut Vec<u8>, runs: &[(Root, Vec<u8>)]) {
    put_varint(buffer, runs.len() as u64);
    let mut previous: Option<&[u8]> = None;
    for (root, votes) in runs {
        buffer.extend_from_slice(root.as_bytes());
        put_votes(buffer, votes, previous);
        previous = Some(votes);
    }
}

fn read_root_votes(
    reader: &mut Reader<'_>,
    validators: usize,
) -> Result<Vec<(Root, Vec<u8>)>, FormatError> {
    let error = reader.error("roots");
    let count = reader.count("roots", ROOT_VOTES_BYTES_MIN)?;
    // Nobody can have voted for them; a run of no bytes would also be shorter than the least one.
    if count > 0 && validators == 0 {
        return Err(error);
    }
    let mut runs: Vec<(Root, Vec<u8>)> = Vec::with_capacity(count);
    for _ in 0..count {
        let root = reader.root("root")?;
        let previous = runs.last().map(|(_, votes)| &votes[..]);
        let votes = read_votes(reader, validators, previous)?;
        runs.push((root, votes));
    }
    Ok(runs)
}

fn put_votes(buffer: &mut Vec<u8>, votes: &[u8], previous: Option<&[u8]>) {
    let toggled = previous.map(|previous| xor(previous, votes));
    let lists = [(1, Some(votes)), (2, toggled.as_deref())];
    let lists = lists.into_iter().filter_map(|(kind, packed)| Some((kind, packed?)));
    let mut shortest: Option<Vec<u8>> = None;
    for (kind, packed) in lists {
        // A position takes a byte at least, so there is no need to write out those of a crowd: 3 ms of a block's
        // diff after 12 h without finality.
        let count = count_ones(packed);
        if count >= votes.len() {
            continue;
        }
        let mut list = vec![kind];
        put_varint(&mut list, count as u64);
        put_positions(&mut list, ones(packed));
        let limit = shortest.as_ref().map_or(2 + votes.len(), Vec::len);
        if list.len() < limit {
            shortest = Some(list);
        }
    }
    match shortest {
        Some(list) => buffer.extend(list),
        None => {
            buffer.push(0);
            buffer.extend_from_slice(votes);
        }
    }
}

fn read_votes(
    reader: &mut Reader<'_>,
    validators: usize,
    previous: Option<&[u8]>,
) -> Result<Vec<u8>, FormatError> {
    let bitmap_bytes = validators.div_ceil(8);
    let error = reader.error("votes");
    let kind = reader.byte("votes")?;
    if kind == 0 {
        let votes = reader.take("votes", bitmap_bytes)?.to_vec();
        let padding_clean = ones(&votes).last().is_none_or(|last| last < validators);
        return if padding_clean { Ok(votes) } else { Err(error) };
    }
    let mut votes = match (kind, previous) {
        (1, _) => vec![0; bitmap_bytes],
        (2, Some(previous)) => previous.to_vec(),
        _ => return Err(error),
    };
    let count = reader.count("votes", 1)?;
    for position in read_positions(reader, "votes", count, validators)? {
        votes[position / 8] ^= 1 << (position % 8);
    }
    Ok(votes)
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(left, right)| left ^ right).collect()
}
