//! Everything derived from a secret, through SHAKE128.
//!
//! Two families that never meet: leanSpec's PRF (chain starts and signing randomness from the key's
//! PRF key, leanSpec `xmss/prf.py`), which fixes signatures byte for byte, and our own derivation
//! of a key from a 32-byte seed, under a tag of its own. leanSpec draws the latter from the
//! operating system; we derive it so that a development key can be made again from its seed.

use p3_field::PrimeCharacteristicRing;
use shake::Shake128;
use shake::digest::{ExtendableOutput, Update, XofReader};

use crate::field::{Digest, Fp, Parameter, Randomness, reduce_wide};

/// leanSpec `PRF_DOMAIN_SEP`.
const DOMAIN: [u8; 16] = [
    0xae, 0xae, 0x22, 0xff, 0x00, 0x01, 0xfa, 0xff, 0x21, 0xaf, 0x12, 0x00, 0x01, 0x11, 0xff, 0x00,
];
const DOMAIN_CHAIN_START: u8 = 0;
const DOMAIN_RANDOMNESS: u8 = 1;

/// Tag of seed derivations. Changing it changes every key made from a seed.
const SEED_DOMAIN: &[u8] = b"lamella-xmss/seed/1";
const SEED_PRF_KEY: u8 = 0;
const SEED_PARAMETER: u8 = 1;
const SEED_PADDING: u8 = 2;

/// A key's master secret: every chain start of every slot follows from it.
pub(crate) struct PrfKey(pub(crate) [u8; 32]);

impl PrfKey {
    /// The secret start of one chain. Input: `[domain: 16 | 0 | key: 32 | slot: u32 BE | chain: u64
    /// BE]`, one Keccak permutation.
    pub(crate) fn chain_start(&self, slot: u32, chain: usize) -> Digest {
        let mut shake = Shake128::default();
        shake.update(&DOMAIN);
        shake.update(&[DOMAIN_CHAIN_START]);
        shake.update(&self.0);
        shake.update(&slot.to_be_bytes());
        shake.update(&(chain as u64).to_be_bytes());
        squeeze(shake)
    }

    /// The randomness of one signing attempt. Input: `[domain: 16 | 1 | key: 32 | slot: u32 BE |
    /// message: 32 | attempt: u64 BE]`.
    pub(crate) fn randomness(&self, slot: u32, message: &[u8; 32], attempt: u64) -> Randomness {
        let mut shake = Shake128::default();
        shake.update(&DOMAIN);
        shake.update(&[DOMAIN_RANDOMNESS]);
        shake.update(&self.0);
        shake.update(&slot.to_be_bytes());
        shake.update(message);
        shake.update(&attempt.to_be_bytes());
        squeeze(shake)
    }
}

/// The 32 bytes a whole key follows from.
pub(crate) struct Seed<'a>(pub(crate) &'a [u8; 32]);

impl Seed<'_> {
    pub(crate) fn prf_key(&self) -> PrfKey {
        let mut key = [0; 32];
        self.absorb(SEED_PRF_KEY).finalize_xof().read(&mut key);
        PrfKey(key)
    }

    pub(crate) fn parameter(&self) -> Parameter {
        squeeze(self.absorb(SEED_PARAMETER))
    }

    /// The digest standing in for the node at `level` and `index`, under which no leaf was
    /// computed.
    pub(crate) fn padding(&self, level: u32, index: u64) -> Digest {
        let mut shake = self.absorb(SEED_PADDING);
        shake.update(&level.to_be_bytes());
        shake.update(&index.to_be_bytes());
        squeeze(shake)
    }

    fn absorb(&self, purpose: u8) -> Shake128 {
        let mut shake = Shake128::default();
        shake.update(SEED_DOMAIN);
        shake.update(&[purpose]);
        shake.update(self.0);
        shake
    }
}

/// Sixteen bytes of output per element.
fn squeeze<const N: usize>(shake: Shake128) -> [Fp; N] {
    let mut reader = shake.finalize_xof();
    let mut elements = [Fp::ZERO; N];
    for element in &mut elements {
        let mut bytes = [0; 16];
        reader.read(&mut bytes);
        *element = reduce_wide(&bytes);
    }
    elements
}
