//! Proofs taken on trust, to follow a network whose proofs we cannot check. Blocks are stored and
//! served as they came; a node in this mode makes none.

use super::{Child, Component, ProofError, ProofScheme, RawSignature, check_size};

const NAME: &str = "trust";

/// Accepts every proof within the size limit and makes none. **It verifies nothing**: only for
/// following a chain others verify.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust;

impl ProofScheme for Trust {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_evidence(&self) -> bool {
        false
    }

    fn can_sign_duties(&self) -> bool {
        false
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

    fn verify_single(&self, _component: &Component<'_>, proof: &[u8]) -> Result<(), ProofError> {
        check_size(proof.len())
    }

    fn merge(&self, _proofs: &[&[u8]]) -> Result<Vec<u8>, ProofError> {
        Err(ProofError::CannotProve { scheme: NAME })
    }

    fn verify_block(&self, _components: &[Component<'_>], proof: &[u8]) -> Result<(), ProofError> {
        check_size(proof.len())
    }
}
