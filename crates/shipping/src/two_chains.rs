//! Two chains in one archive, told apart by a root that the caller trusts.
//!
//! The hard idea: it stays an error, since whoever wrote the other chain may write again; but only the names of one chain
//! have to go, and which those are nobody can see in them. A frontier that proves the trusted root says it: what it
//! contradicts is the other chain's. What lies beyond it, it does not know, and nothing is said of that.

use lamella_archive::{Frontier, ObjectName};
use lamella_types::{Checkpoint, Root};

use crate::{
    error::ShippingError,
    proven::{Proven, keys},
    remote::{Inventory, Remote},
};

/// Frontiers that are read, the greatest first: one is there for each segment and chain.
const FRONTIERS_MAX: usize = 600;

/// Names that a message lists.
const NAMES_MAX: usize = 16;

impl<'a> Proven<'a> {
    /// Finds the greatest frontier that verifies: the one of `trusted`, if the archive has that.
    ///
    /// # Errors
    /// None verifies, or objects of two chains; with a trusted root the error says which of them are of the other.
    pub fn find(remote: &'a Remote, trusted: Option<Root>) -> Result<Self, ShippingError> {
        let inventory = remote.inventory()?;
        match (Self::of(remote, &inventory, trusted), trusted) {
            (Err(ShippingError::TwoChains { .. }), Some(root)) => {
                Err(tell_apart(remote, &inventory, root)?)
            }
            (found, _) => found.map(|found| Self { inventory, ..found }),
        }
    }
}

/// What a trusted root says of an archive in which objects are of two chains.
///
/// # Errors
/// The store does not answer.
fn tell_apart(
    remote: &Remote,
    inventory: &Inventory,
    trusted: Root,
) -> Result<ShippingError, ShippingError> {
    let told = |what: String| ShippingError::TwoChainsUnder { url: remote.url(), what };
    let chains = chains(remote, inventory)?;
    let mut proving = Vec::new();
    for chain in &chains {
        if has(chain, inventory, trusted)? {
            proving.push(chain);
        }
    }
    let Some(ours) = proving.first() else {
        let frontiers = chains.len();
        return Ok(told(format!(
            "none of the {frontiers} frontiers proves root {trusted}: name another block of the node that you trust, an older one if it is newer than these"
        )));
    };
    let mut others = Vec::new();
    for chain in &chains {
        if !are_one_chain(ours, chain)? {
            if proving.iter().any(|proving| proving.block() == chain.block()) {
                return Ok(told(format!(
                    "root {trusted} is of both, before they part: name a newer block of the node that you trust"
                )));
            }
            others.push(chain.frontier.name());
        }
    }
    let contradicts = |index: u32, root: Root| {
        ours.frontier.segment_roots().get(index as usize).is_some_and(|own| *own != root)
    };
    others.extend(inventory.objects.keys().filter(|name| match **name {
        ObjectName::Segment { index, root } | ObjectName::Proofs { index, root } => {
            contradicts(index, root)
        }
        _ => false,
    }));
    Ok(told(format!(
        "root {trusted} is proven by {}; of the other chain are {}",
        remote.path(&ours.frontier.name()),
        listed(remote, &others),
    )))
}

/// The frontiers that verify, each with all that is there: the greatest first.
fn chains<'a>(remote: &'a Remote, inventory: &Inventory) -> Result<Vec<Proven<'a>>, ShippingError> {
    let mut chains = Vec::new();
    for block in inventory.frontiers().into_iter().take(FRONTIERS_MAX) {
        let found = remote.read_frontier(block).and_then(|frontier: Frontier| {
            Proven::under(remote, Inventory::default(), frontier, Vec::new())
        });
        chains.extend(if_readable(found)?);
    }
    Ok(chains)
}

/// Whether a frontier proves this root: its own, or one before it.
fn has(chain: &Proven<'_>, inventory: &Inventory, root: Root) -> Result<bool, ShippingError> {
    if chain.block().root == root || chain.frontier.tail_roots().contains(&root) {
        return Ok(true);
    }
    for (index, segment_root) in (0..).zip(chain.frontier.segment_roots()) {
        let name = ObjectName::Segment { index, root: *segment_root };
        if !inventory.objects.contains_key(&name) {
            continue;
        }
        let segment = if_readable(chain.segment(index))?;
        if segment.is_some_and(|segment| keys(&segment).any(|key| key.root == root)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the greater of two frontiers proves the block of the other. Where it cannot be read, nobody is accused.
fn are_one_chain(one: &Proven<'_>, other: &Proven<'_>) -> Result<bool, ShippingError> {
    let (low, high) =
        if one.block().slot < other.block().slot { (one, other) } else { (other, one) };
    let Checkpoint { root, .. } = low.block();
    Ok(if_readable(high.root_at(low.block()))?.is_none_or(|proven| proven == root))
}

/// What cannot be read says nothing.
fn if_readable<T>(found: Result<T, ShippingError>) -> Result<Option<T>, ShippingError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(ShippingError::Damaged { .. } | ShippingError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn listed(remote: &Remote, names: &[ObjectName]) -> String {
    let first: Vec<String> = names.iter().take(NAMES_MAX).map(|name| remote.path(name)).collect();
    let first = if first.is_empty() { "no objects below it".to_owned() } else { first.join(", ") };
    match names.len().saturating_sub(NAMES_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
