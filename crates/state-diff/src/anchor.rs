//! `Anchor`: a full state in parts. The registry and complete history segments are named by their roots and
//! stored once; everything else is here.
//!
//! ```text
//! anchor = format: u8 = 1 | validators: u64 LE | genesis time: u64 LE | header: 112 (its state_root as in the state)
//!        | slot: u64 LE | justified: 40 | finalized: 40 | registry root: 32
//!        | justified slots: run of SSZ | tracked roots: run, 32 each | their votes: run of SSZ
//!        | segment roots: run, 32 each | history after them: run, 32 each
//! run    = length in bytes: varint | bytes
//! ```

use std::sync::Arc;

use lamella_types::{
    BlockHashes, BlockHeader, Checkpoint, Config, Decode, DecodeError, JustificationValidators,
    Justifications, JustifiedSlots, Root, Segment, State, Validators,
    limits::SEGMENT_ROOTS,
    packed::{FormatError, Reader, put_run},
    root::ROOT_BYTES,
    to_ssz,
};

/// Format byte of an anchor.
const FORMAT: u8 = 1;

/// A stored full state, before its registry and segments are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The state with an empty registry and an empty history.
    small: State,
    /// Validators in the registry.
    pub validator_count: u64,
    /// Root of the registry.
    pub registry_root: Root,
    /// Roots of the complete history segments, oldest first.
    pub segment_roots: Vec<Root>,
    /// History after the last complete segment.
    tail: Vec<u8>,
}

/// The parts do not make a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// A segment is missing or not the one named.
    #[error("history segment {index} is {got}, the anchor names {expected}")]
    OtherSegment {
        /// Its index.
        index: usize,
        /// The root named.
        expected: Root,
        /// The root supplied.
        got: Root,
    },
    /// The parts break a limit.
    #[error(transparent)]
    Limits(#[from] DecodeError),
}

impl Anchor {
    /// The anchor of a state.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let history = &state.historical_block_hashes;
        Self {
            small: State {
                historical_block_hashes: BlockHashes::default(),
                validators: Validators::default(),
                ..state.clone()
            },
            validator_count: state.validators.len() as u64,
            registry_root: state.validators.root(),
            segment_roots: history.segments().iter().map(|segment| segment.root()).collect(),
            tail: history.tail().to_vec(),
        }
    }

    /// The state's latest justified checkpoint.
    #[must_use]
    pub const fn genesis_time(&self) -> u64 {
        self.small.config.genesis_time
    }

    /// Latest justified checkpoint.
    #[must_use]
    pub const fn latest_justified(&self) -> Checkpoint {
        self.small.latest_justified
    }

    /// The state's latest finalized checkpoint.
    #[must_use]
    pub const fn latest_finalized(&self) -> Checkpoint {
        self.small.latest_finalized
    }

    /// The bytes of the anchor.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let state = &self.small;
        let mut buffer = vec![FORMAT];
        buffer.extend_from_slice(&self.validator_count.to_le_bytes());
        buffer.extend_from_slice(&state.config.genesis_time.to_le_bytes());
        buffer.extend(to_ssz(&state.latest_block_header));
        buffer.extend_from_slice(&state.slot.to_le_bytes());
        buffer.extend(to_ssz(&state.latest_justified));
        buffer.extend(to_ssz(&state.latest_finalized));
        buffer.extend_from_slice(self.registry_root.as_bytes());
        put_run(&mut buffer, &to_ssz(&state.justified_slots));
        put_run(&mut buffer, &concatenated(state.justifications.roots()));
        put_run(&mut buffer, &to_ssz(state.justifications.votes()));
        put_run(&mut buffer, &concatenated(&self.segment_roots));
        put_run(&mut buffer, &self.tail);
        buffer
    }

    /// The anchor that these bytes encode.
    ///
    /// # Errors
    /// [`FormatError`] for bytes that [`Anchor::encode`] would not have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        if reader.byte("format")? != FORMAT {
            return Err(FormatError { what: "format", position: 0 });
        }
        let validator_count = u64_le(&mut reader, "validators")?;
        let genesis_time = u64_le(&mut reader, "genesis time")?;
        let latest_block_header =
            fixed::<BlockHeader>(&mut reader, "header", BlockHeader::SSZ_BYTES)?;
        let slot = u64_le(&mut reader, "slot")?;
        let latest_justified =
            fixed::<Checkpoint>(&mut reader, "justified", Checkpoint::SSZ_BYTES)?;
        let latest_finalized =
            fixed::<Checkpoint>(&mut reader, "finalized", Checkpoint::SSZ_BYTES)?;
        let registry_root = reader.root("registry root")?;
        let justified_slots = ssz_run::<JustifiedSlots>(&mut reader, "justified slots")?;
        let roots = roots_run(&mut reader, "tracked roots")?;
        let votes = ssz_run::<JustificationValidators>(&mut reader, "votes")?;
        let segment_roots = roots_run(&mut reader, "segment roots")?;
        let error = reader.error("history");
        let tail = reader.run("history")?.to_vec();
        if tail.len() % ROOT_BYTES != 0 || tail.len() >= SEGMENT_ROOTS * ROOT_BYTES {
            return Err(error);
        }
        reader.end()?;
        let small = State {
            config: Config { genesis_time },
            slot,
            latest_block_header,
            latest_justified,
            latest_finalized,
            justified_slots,
            justifications: Justifications::new(roots, votes),
            ..State::default()
        };
        Ok(Self { small, validator_count, registry_root, segment_roots, tail })
    }

    /// The full state, given its registry and the segments named by [`Anchor::segment_roots`], in order.
    ///
    /// # Errors
    /// [`AnchorError`] if they are not the ones named.
    pub fn into_state(
        self,
        validators: Validators,
        segments: Vec<Arc<Segment>>,
    ) -> Result<State, AnchorError> {
        for (index, expected) in self.segment_roots.iter().enumerate() {
            let got = segments.get(index).map_or(Root::ZERO, |segment| segment.root());
            if got != *expected {
                return Err(AnchorError::OtherSegment { index, expected: *expected, got });
            }
        }
        let historical_block_hashes = BlockHashes::from_parts(segments, &self.tail)?;
        Ok(State { historical_block_hashes, validators, ..self.small })
    }
}

fn concatenated(roots: &[Root]) -> Vec<u8> {
    roots.iter().flat_map(|root| root.as_bytes()).copied().collect()
}

fn u64_le(reader: &mut Reader<'_>, what: &'static str) -> Result<u64, FormatError> {
    let mut word = [0; 8];
    word.copy_from_slice(reader.take(what, 8)?);
    Ok(u64::from_le_bytes(word))
}

fn fixed<T: Decode>(
    reader: &mut Reader<'_>,
    what: &'static str,
    bytes: usize,
) -> Result<T, FormatError> {
    let error = reader.error(what);
    T::from_ssz(reader.take(what, bytes)?).map_err(|_| error)
}

fn ssz_run<T: Decode>(reader: &mut Reader<'_>, what: &'static str) -> Result<T, FormatError> {
    let error = reader.error(what);
    T::from_ssz(reader.run(what)?).map_err(|_| error)
}

fn roots_run(reader: &mut Reader<'_>, what: &'static str) -> Result<Vec<Root>, FormatError> {
    let error = reader.error(what);
    let run = reader.run(what)?;
    if run.len() % ROOT_BYTES != 0 {
        return Err(error);
    }
    Ok(run.chunks_exact(ROOT_BYTES).filter_map(Root::from_slice).collect())
}
