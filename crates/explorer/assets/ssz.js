// Of SSZ what a proof needs: the root of a header, and a branch.

import { sha256 } from "./sha256.js";

/** The bytes of `0x` hex. */
export function fromHex(text) {
  if (!/^0x([0-9a-fA-F]{2})*$/.test(text)) throw new Error(`not hex: ${text}`);
  return Uint8Array.from(text.slice(2).match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function toHex(bytes) {
  return "0x" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The parent of two nodes. */
export function pair(left, right) {
  const both = new Uint8Array(64);
  both.set(left);
  both.set(right, 32);
  return sha256(both);
}

function numberLeaf(value) {
  const leaf = new Uint8Array(32);
  new DataView(leaf.buffer).setBigUint64(0, BigInt(value), true);
  return leaf;
}

/** `hash_tree_root` of a header: five leaves, filled up to eight. */
export function headerRoot(header) {
  const roots = [header.parent_root, header.state_root, header.body_root].map(fromHex);
  if (roots.some((root) => root.length !== 32)) throw new Error("a root has 32 bytes");
  const zero = new Uint8Array(32);
  let nodes = [numberLeaf(header.slot), numberLeaf(header.proposer_index), ...roots, zero, zero, zero];
  while (nodes.length > 1) nodes = nodes.flatMap((node, at) => (at % 2 === 0 ? [pair(node, nodes[at + 1])] : []));
  return toHex(nodes[0]);
}

/** The root that a leaf at this generalized index has with these siblings, lowest first. */
export function climb(leaf, branch, index) {
  let node = fromHex(leaf);
  let at = index;
  for (const sibling of branch.map(fromHex)) {
    node = at % 2 === 1 ? pair(sibling, node) : pair(node, sibling);
    at = Math.floor(at / 2);
  }
  // A branch that is shorter or longer than its index says proves something else.
  return at === 1 ? toHex(node) : null;
}
