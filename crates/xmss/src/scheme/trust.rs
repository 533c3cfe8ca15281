//! Proofs taken on trust, to follow a network whose proofs we cannot check. Blocks are stored and
//! served as they came; a node in this mode makes none.

use super::{Child, Component, ProofError, ProofScheme, Raw, RawSignature, check_size};
use crate::params::PRODUCTION;

const NAME: &str = "trust";

/// Accepts every proof within the size limit and makes none. **It verifies nothing**: only for
/// following a chain others verify.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust;

impl ProofScheme for Trust {
    fn name(&self) -> &'static str {
        NAME
    }

    fn can_sign_duties(&self) -> bool {
        false
    }

    fn is_proof(&self) -> bool {
        false
    }

    /// Nothing is counted: a proof is as long as its size limit lets it be.
    fn signers_max(&self) -> usize {
        usize::MAX
    }

    fn aggregate(
        &self,
        _children: &[Child<'_>],
        _raw: &[RawSignature<'_>],
        _message: &[u8; 32],
        _slot: u64,
    ) -> Result<(Vec<u64>, Vec<u8>), ProofError> {
        Err(ProofError::CannotProve { scheme: NAME })
    }

    fn select(
        &self,
        _children: &[Child<'_>],
        _wanted: &[u64],
    ) -> Result<(Vec<u64>, Vec<u8>), ProofError> {
        Err(ProofError::CannotProve { scheme: NAME })
    }

    fn verify_single(&self, _component: &Component<'_>, proof: &[u8]) -> Result<(), ProofError> {
        check_size(proof.len())
    }

    fn merge(&self, _proofs: &[&[u8]]) -> Result<Vec<u8>, ProofError> {
        Err(ProofError::CannotProve { scheme: NAME })
    }

    fn split(&self, _signers: &[usize], _proof: &[u8]) -> Result<Vec<Vec<u8>>, ProofError> {
        Err(ProofError::CannotProve { scheme: NAME })
    }

    fn verify_block(&self, _components: &[Component<'_>], proof: &[u8]) -> Result<(), ProofError> {
        check_size(proof.len())
    }

    fn verify_last(&self, _component: &Component<'_>, proof: &[u8]) -> Result<(), ProofError> {
        check_size(proof.len())
    }

    /// Not taken on trust: votes of single validators are signatures under any scheme.
    fn verify_signature(
        &self,
        component: &Component<'_>,
        signature: &[u8],
    ) -> Result<(), ProofError> {
        Raw { parameters: &PRODUCTION, verified: None }.verify_signature(component, signature)
    }
}
