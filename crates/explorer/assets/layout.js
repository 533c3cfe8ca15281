// Where the blocks of a fork tree stand: the head's chain in lane 0, each branch in a lane of its own for as long as it lasts.
//
// A branch is a block and, from child to child, whatever goes on from it; where a block beside the chain has several
// children, the first goes on and the others are branches. Lanes are given in the order of slots, so a lane is used again
// when its branch is over. One pass over the blocks, one over the branches.

/** Blocks, by slot and root as the node lists them, to `{block, lane, parent}`; `lanes` is how many there are. */
export function layout(blocks) {
  const placed = blocks.map((block) => ({ block, lane: 0, parent: null, next: null }));
  const byRoot = new Map(placed.map((node) => [node.block.root, node]));
  const branches = [];
  for (const node of placed) {
    node.parent = byRoot.get(node.block.parent_root) ?? null;
    if (node.block.is_canonical) continue;
    const goesOn = node.parent !== null && !node.parent.block.is_canonical && node.parent.next === null;
    if (goesOn) node.parent.next = node;
    else branches.push(node);
  }
  const ends = [];
  for (const first of branches) {
    const start = first.parent?.block.slot ?? first.block.slot - 1;
    let last = first;
    while (last.next !== null) last = last.next;
    let lane = ends.findIndex((end) => end < start);
    if (lane === -1) lane = ends.length;
    ends[lane] = last.block.slot;
    for (let node = first; node !== null; node = node.next) node.lane = lane + 1;
  }
  return { placed, lanes: ends.length + 1 };
}
