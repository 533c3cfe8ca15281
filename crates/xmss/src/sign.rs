//! Signing (leanSpec `xmss/interface.py` `sign`): deterministic in key, slot and message, byte for
//! byte as leanSpec signs.

use p3_field::PackedValue;

use crate::constants::MAX_TRIES;

use crate::encoding::{Codeword, encode};
use crate::field::{Digest, Randomness, message_limbs};
use crate::hash::{Walk, Wide, pack, unpack};
use crate::secret_key::SecretKey;
use crate::signature::Signature;
use crate::tree::HashTreeOpening;

/// Why a key did not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key was not made for this slot. A development key past its last slot ends up here.
    #[error("slot {slot} is outside the key's slots {first}..{end}")]
    NotActive {
        /// The slot asked for.
        slot: u64,
        /// The key's first slot.
        first: u64,
        /// One past the key's last slot.
        end: u64,
    },
    /// The resident trees do not hold this slot's leaf.
    #[error(
        "slot {slot} is not among the prepared slots {first}..{end}; advance the key's preparation"
    )]
    NotPrepared {
        /// The slot asked for.
        slot: u64,
        /// First prepared slot.
        first: u64,
        /// One past the last prepared slot.
        end: u64,
    },
    /// No randomness encoded the message. Expected never: see `MAX_TRIES`.
    #[error("no encoding of the message found at slot {slot} in {tries} tries")]
    NoEncoding {
        /// The slot asked for.
        slot: u64,
        /// Candidates tried.
        tries: u64,
    },
}

impl SecretKey {
    /// Signs one message at one slot. **Never call it for two messages at the same slot**: together
    /// they let anyone forge a third.
    ///
    /// # Errors
    ///
    /// [`SignError::NotActive`], [`SignError::NotPrepared`] or, with negligible probability,
    /// [`SignError::NoEncoding`].
    ///
    /// # Cost
    ///
    /// At production size 913 message hashes on average, geometrically distributed, then 200 chain
    /// steps: 3.3 ms on average in a portable release build, 1.5 to 1.8 ms in one for AVX-512, most of
    /// it the Keccak permutations that make the candidates.
    pub fn sign(&self, slot: u64, message: &[u8; 32]) -> Result<Signature, SignError> {
        let active = self.active_slots();
        let prepared = self.prepared_slots();
        let leaf_slot = u32::try_from(slot).ok().filter(|_| active.contains(&slot));
        let Some(leaf_slot) = leaf_slot else {
            return Err(SignError::NotActive { slot, first: active.start, end: active.end });
        };
        // Open the path first: it is cheap, and a slot without a leaf must not cost a search.
        let path = if prepared.contains(&slot) { self.opening(slot) } else { None };
        let Some(path) = path else {
            return Err(SignError::NotPrepared { slot, first: prepared.start, end: prepared.end });
        };
        let Some((rho, codeword)) = self.search_encoding(leaf_slot, message) else {
            return Err(SignError::NoEncoding { slot, tries: MAX_TRIES });
        };
        let hashes = self.release_chains(leaf_slot, &codeword);
        Ok(Signature { path, rho, hashes })
    }

    /// leanSpec `combined_path`: siblings in the slot's bottom tree, then in the top tree.
    fn opening(&self, slot: u64) -> Option<HashTreeOpening> {
        let tree_index = slot / self.parameters.leaves_per_bottom_tree();
        let mut siblings = Vec::with_capacity(self.parameters.height());
        self.window.trees().tree(tree_index)?.append_siblings(slot, &mut siblings)?;
        self.top_tree.append_siblings(tree_index, &mut siblings)?;
        Some(HashTreeOpening { siblings })
    }

    /// Tries as many candidates at once as there are lanes; the first that encodes counts, as if they were
    /// tried one by one.
    fn search_encoding(&self, slot: u32, message: &[u8; 32]) -> Option<(Randomness, Codeword)> {
        let hasher = self.parameters.hasher();
        let parameter = self.parameter.map(Wide::from);
        let limbs = message_limbs(message).map(Wide::from);
        (0..MAX_TRIES).step_by(Wide::WIDTH).find_map(|attempt| {
            let candidates: Vec<Randomness> = (attempt..attempt + Wide::WIDTH as u64)
                .map(|attempt| self.prf_key.randomness(slot, message, attempt))
                .collect();
            let packed = pack(&candidates, |rho| rho);
            let hashes = hasher.message::<Wide>(&parameter, |_| slot, &packed, &limbs);
            candidates.iter().enumerate().find_map(|(lane, rho)| {
                Some((*rho, encode(self.parameters, &unpack(&hashes, lane))?))
            })
        })
    }

    fn release_chains(&self, slot: u32, codeword: &Codeword) -> Vec<Digest> {
        let digits = &codeword[..self.parameters.dimension()];
        let mut walks: Vec<Walk<'_>> = digits
            .iter()
            .enumerate()
            .map(|(chain, digit)| Walk {
                parameter: &self.parameter,
                slot,
                chain,
                from: 0,
                to: *digit,
                digest: self.prf_key.chain_start(slot, chain),
            })
            .collect();
        self.parameters.hasher().walk_all(&mut walks);
        walks.iter().map(|walk| walk.digest).collect()
    }
}
