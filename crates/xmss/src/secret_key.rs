//! The secret key container: leanSpec's SSZ `SecretKey`, which key files hold.
//!
//! The signer keeps the whole top tree and two neighbouring bottom trees, enough for 2·W
//! consecutive slots (W = leaves per bottom tree); the window slides by rebuilding one bottom tree
//! from the PRF key. A production file is about 8.4 MB. A *development key* is the same container
//! made smaller: `activation_slot` 0, `num_active_slots` N, `left_bottom_tree` with layers of N,
//! N/2, N/4 … nodes (each rounded up to a pair), a `top_tree` of two nodes per layer, and a
//! `right_bottom_tree` without layers.

use crate::field::{Parameter, read_elements, write_elements};
use crate::params::Parameters;
use crate::prf::PrfKey;
use crate::public_key::PublicKey;
use crate::ssz::{DecodeError, Reader, span, write_offset};
use crate::tree::HashSubTree;
use crate::window::Window;

/// `[prf_key: 32 | parameter: 20 | activation_slot: u64 | num_active_slots: u64 | offset |
/// left_index: u64 | offset | offset]`.
const HEAD_BYTES: usize = 32 + 20 + 8 + 8 + 4 + 8 + 4 + 4;

/// The private half of a key, bound to its parameters. Its `Debug` shows the slots it covers and
/// nothing secret.
pub struct SecretKey {
    pub(crate) parameters: &'static Parameters,
    pub(crate) prf_key: PrfKey,
    pub(crate) parameter: Parameter,
    pub(crate) activation_slot: u64,
    pub(crate) num_active_slots: u64,
    pub(crate) top_tree: HashSubTree,
    pub(crate) window: Window,
}

impl SecretKey {
    /// Reads a key file of either kind, full or development.
    ///
    /// Beyond strict SSZ it checks what signing relies on: the slots lie in the lifetime, the trees
    /// have the right heights and places. It does not recompute the trees; a key file with a wrong
    /// node yields signatures that do not verify.
    ///
    /// # Errors
    ///
    /// Any [`DecodeError`].
    pub fn decode(parameters: &'static Parameters, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let prf_key = PrfKey(reader.array()?);
        let parameter = read_elements(&mut reader)?;
        let activation_slot = reader.uint64()?;
        let num_active_slots = reader.uint64()?;
        reader.offset_at("top_tree", HEAD_BYTES)?;
        let left_bottom_tree_index = reader.uint64()?;
        let left = reader.offset()?;
        let right = reader.offset()?;
        let key = Self {
            parameters,
            prf_key,
            parameter,
            activation_slot,
            num_active_slots,
            top_tree: HashSubTree::decode(parameters, span("top_tree", bytes, HEAD_BYTES, left)?)?,
            window: Window::new(
                left_bottom_tree_index,
                HashSubTree::decode(parameters, span("left_bottom_tree", bytes, left, right)?)?,
                HashSubTree::decode(
                    parameters,
                    span("right_bottom_tree", bytes, right, bytes.len())?,
                )?,
            ),
        };
        key.check_shape()?;
        Ok(key)
    }

    /// The SSZ bytes: secret material, for a file only its owner can read.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let trees = self.window.trees();
        let [top, left, right] =
            [&self.top_tree, &trees.left, &trees.right].map(HashSubTree::encode);
        let mut out = Vec::with_capacity(HEAD_BYTES + top.len() + left.len() + right.len());
        out.extend_from_slice(&self.prf_key.0);
        write_elements(&mut out, &self.parameter);
        out.extend_from_slice(&self.activation_slot.to_le_bytes());
        out.extend_from_slice(&self.num_active_slots.to_le_bytes());
        write_offset(&mut out, HEAD_BYTES);
        out.extend_from_slice(&trees.left_index.to_le_bytes());
        write_offset(&mut out, HEAD_BYTES + top.len());
        write_offset(&mut out, HEAD_BYTES + top.len() + left.len());
        for tree in [top, left, right] {
            out.extend_from_slice(&tree);
        }
        out
    }

    /// The public key this secret key signs for.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "check_shape and key generation both require a root in the top tree"
    )]
    pub fn public_key(&self) -> PublicKey {
        let root = self.top_tree.root().expect("the top tree of a checked key has a root");
        PublicKey { root: *root, parameter: self.parameter }
    }

    /// Slots this key may ever sign (leanSpec `get_activation_interval`).
    #[must_use]
    pub fn active_slots(&self) -> std::ops::Range<u64> {
        self.activation_slot..self.activation_slot + self.num_active_slots
    }

    /// Slots the two resident bottom trees cover (leanSpec `get_prepared_interval`). A development
    /// key's later leaves are missing all the same; its [`Self::active_slots`] end before them.
    #[must_use]
    pub fn prepared_slots(&self) -> std::ops::Range<u64> {
        self.window.trees().slots(self.parameters.leaves_per_bottom_tree())
    }

    /// The instantiation this key belongs to.
    #[must_use]
    pub fn parameters(&self) -> &'static Parameters {
        self.parameters
    }

    /// What [`Self::sign`] takes for granted, so that it neither overflows nor opens a path of the
    /// wrong height.
    fn check_shape(&self) -> Result<(), DecodeError> {
        let parameters = self.parameters;
        let half = u64::from(parameters.log_lifetime() / 2);
        let rule = |holds: bool, rule: &'static str| {
            if holds { Ok(()) } else { Err(DecodeError::SecretKeyShape { rule }) }
        };

        let active_end = self.activation_slot.checked_add(self.num_active_slots);
        rule(
            active_end.is_some_and(|end| end <= parameters.lifetime_slots()),
            "active slots must lie in the lifetime",
        )?;
        let (trees, leaves) = (self.window.trees(), parameters.leaves_per_bottom_tree());
        rule(trees.left_index < leaves, "left_bottom_tree_index must name a bottom tree")?;
        rule(self.top_tree.root().is_some(), "top_tree must have a root")?;
        let left_slot = trees.left_index * leaves;
        let right_slot = left_slot + leaves;
        for (tree, lowest_layer, first_slot) in [
            (&self.top_tree, half, None),
            (&trees.left, 0, Some(left_slot)),
            (&trees.right, 0, Some(right_slot)),
        ] {
            let depth = u64::from(parameters.log_lifetime());
            let begins_at = tree.layers.first().map(|layer| layer.start_index);
            let begins = begins_at.is_none() || first_slot.is_none() || begins_at == first_slot;
            let height = tree.layers.len() as u64;
            rule(tree.depth == depth, "a tree's depth is the scheme's")?;
            rule(tree.lowest_layer == lowest_layer, "a tree begins at layer 0 or half the depth")?;
            rule(height == half + 1 || height == 0, "a tree has half the depth + 1 layers, or 0")?;
            rule(begins, "a bottom tree begins at its first slot")?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SecretKey")
            .field("parameters", &self.parameters.name())
            .field("active_slots", &self.active_slots())
            .field("prepared_slots", &self.prepared_slots())
            .finish_non_exhaustive()
    }
}
