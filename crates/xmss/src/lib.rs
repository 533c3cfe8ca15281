//! leanSpec's generalized XMSS: one signature per slot and key, hash-based, on KoalaBear Poseidon1.
//!
//! The hard idea: a key is one Merkle tree over one-time keys, one leaf per slot. A one-time key is
//! a row of hash chains; a signature releases one value of each chain, at the height a digit of the
//! message's *codeword* selects. Codewords all have the same digit sum, so no codeword lies above
//! another, and a released set cannot be turned into the signature of a second message. **Two
//! messages signed at one slot break that slot's key**: whoever signs must record the slot durably
//! before the signature leaves the process. This crate does not.
//!
//! | question | file |
//! |---|---|
//! | which constants | `constants`, `params` |
//! | bytes of a field element, of a list | `field`, `ssz` |
//! | Poseidon modes, tweaks | `hash` |
//! | what is derived from a secret | `prf` |
//! | message to digits | `encoding` |
//! | tree layers, openings | `tree` |
//! | containers and their bytes | `public_key`, `signature`, `secret_key` |
//! | making keys, signing, verifying | `keygen`, `sign`, `verify` |
//! | what of a key can sign now, and how that moves on | `window`, `keygen` |
//! | `hash_tree_root` | `merkleize` |
//! | many signatures as one proof | [`scheme`] |
//!
//! Absent on purpose: leanVM aggregation, a slot guard, key files and their permissions, randomness
//! (callers bring a seed).

mod constants;
mod encoding;
mod field;
mod hash;
mod keygen;
mod merkleize;
mod params;
mod prf;
mod public_key;
pub mod scheme;
mod secret_key;
mod sign;
mod signature;
mod ssz;
mod tree;
mod verify;
mod window;

pub use field::{Digest, Fp, Parameter, Randomness, decode_fp, encode_fp, hash_tree_root_fp};
pub use keygen::{KeyGenerationError, KeyPair, generate, generate_development};
pub use params::{PRODUCTION, Parameters, TEST};
pub use public_key::{PublicKey, PublicKeyBytes};
pub use secret_key::SecretKey;
pub use sign::SignError;
pub use signature::Signature;
pub use ssz::DecodeError;
pub use tree::{HashSubTree, HashTreeLayer, HashTreeOpening};
pub use verify::{Claim, GROUP_SIGNATURES, VerifyError, verify, verify_each};
