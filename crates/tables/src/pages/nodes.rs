//! The nodes of a branch or leaf page: all inside it, side by side, none over another.

use super::layout::{HEADER_BYTES, Header, LEAF, NODE_BYTES, NODE_LARGE, u16_at, u32_at};
use crate::page_fault::PageFault;

/// One row of a leaf, or one child of a branch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'p> {
    /// Bytes of the value; in a branch the child's page.
    pub(super) number: u32,
    pub(super) flags: u8,
    pub(super) key: &'p [u8],
    /// The value, or the four bytes of its large page's number; empty in a branch.
    pub(super) data: &'p [u8],
    /// Where it begins and ends behind the header.
    place: (u16, u64),
}

impl Node<'_> {
    /// The page where its large value begins.
    pub(super) fn large_page(&self) -> Option<u32> {
        (self.flags & NODE_LARGE != 0).then(|| u32_at(self.data, 0))
    }
}

/// Checks what a header says of itself, against the place where its page was found.
pub(super) fn check_header(
    header: &Header,
    page: u32,
    kind: u16,
    transaction: u64,
) -> Result<(), PageFault> {
    if header.number != page {
        return Err(PageFault::Number { found: header.number });
    }
    if header.kind != kind {
        return Err(PageFault::Kind { found: header.kind, expected: kind });
    }
    if header.zero != 0 {
        return Err(PageFault::NotZero { found: header.zero.into() });
    }
    if header.transaction > transaction {
        return Err(PageFault::Newer { found: header.transaction, limit: transaction });
    }
    Ok(())
}

/// The nodes of a page whose header was checked.
pub(super) fn parse<'p>(page: &'p [u8], header: &Header) -> Result<Vec<Node<'p>>, PageFault> {
    let content = page.get(HEADER_BYTES..).unwrap_or_default();
    let (lower, upper) = (header.lower, header.upper);
    let limit = content.len();
    if lower % 2 != 0 || upper % 2 != 0 || upper < lower || usize::from(upper) > limit {
        return Err(PageFault::Bounds { lower, upper, limit });
    }
    let is_leaf = header.kind & LEAF != 0;
    let count = usize::from(lower / 2);
    if count < if is_leaf { 1 } else { 2 } {
        return Err(PageFault::TooFewRows { rows: count });
    }
    let mut nodes = Vec::with_capacity(count);
    for row in 0..count {
        let offset = u16_at(content, row * 2);
        let start = usize::from(offset);
        let Some(head) = content.get(start..start + NODE_BYTES).filter(|_| offset >= upper) else {
            return Err(PageFault::NodePlace { row, offset, bytes: NODE_BYTES as u64 });
        };
        let (number, flags, zero) = (u32_at(head, 0), head[4], head[5]);
        let key_bytes = usize::from(u16_at(head, 6));
        let data_bytes = match (is_leaf, flags & NODE_LARGE != 0) {
            (false, _) => 0,
            (true, true) => 4,
            (true, false) => u64::from(number),
        };
        let bytes = (NODE_BYTES + key_bytes) as u64 + data_bytes;
        let end = start as u64 + bytes.next_multiple_of(2);
        let key = content.get(start + NODE_BYTES..start + NODE_BYTES + key_bytes);
        let (Some(key), true) = (key, end <= limit as u64) else {
            return Err(PageFault::NodePlace { row, offset, bytes });
        };
        if zero != 0 {
            return Err(PageFault::NotZero { found: zero.into() });
        }
        let data = start + NODE_BYTES + key_bytes;
        #[expect(clippy::cast_possible_truncation, reason = "the node's end is inside the page")]
        let data = content.get(data..data + data_bytes as usize).unwrap_or_default();
        nodes.push(Node { number, flags, key, data, place: (offset, end) });
    }
    check_places(&nodes, upper, limit)?;
    Ok(nodes)
}

/// Nodes fill the page from `upper` to its end: one begins where the one before ends.
fn check_places(nodes: &[Node<'_>], upper: u16, limit: usize) -> Result<(), PageFault> {
    // Written in the order of their keys, as nearly all are, they lie from the page's end downwards.
    let mut end = limit as u64;
    let mut in_order = nodes.iter().map(|node| {
        let follows = node.place.1 == end;
        end = node.place.0.into();
        follows
    });
    if in_order.all(|follows| follows) && end == u64::from(upper) {
        return Ok(());
    }
    let places = nodes.iter().enumerate();
    let mut places: Vec<_> = places.map(|(row, node)| (node.place, row)).collect();
    places.sort_unstable();
    let mut free = u64::from(upper);
    for (index, &((offset, end), row)) in places.iter().enumerate() {
        let is_last = index + 1 == places.len();
        if u64::from(offset) != free || is_last && end != limit as u64 {
            return Err(PageFault::NodePlace { row, offset, bytes: end - u64::from(offset) });
        }
        free = end;
    }
    Ok(())
}
