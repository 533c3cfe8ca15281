// One block: its header, who voted in it and who did not, and whether its proof is still here.

import { mark, absence, word } from "./absence.js";
import { get, getBytes, getOf } from "./api.js";
import { blockLink, bytes, cell, checkpoint, el, facts, fill, heading, number, plural, table } from "./dom.js";
import { absent, runs, voters } from "./votes.js";

/** Bytes of the proof in the SSZ of a signed block: `[offset: 4 | offset: 4 | block | offset: 4 | proof]`. */
function proofBytes(signed) {
  const start = new DataView(signed.buffer).getUint32(4, true);
  return signed.length - start - 4;
}

async function proofLine(root, signal) {
  try {
    return mark("kept", `kept, ${bytes(proofBytes(await getBytes(`/blocks/${root}`, { signal })))}`);
  } catch (refusal) {
    if (refusal.code === undefined || refusal.name === "AbortError") throw refusal;
    return el("span", { title: refusal.message }, mark(refusal.code, word(refusal.code).toLowerCase()));
  }
}

function votesOf(attestations, count) {
  const all = new Set();
  const rows = attestations.map(({ aggregation_bits: bits, data }) => {
    const { set } = voters(bits);
    set.forEach((index) => all.add(index));
    const missing = absent(set, count);
    return el("tr", {}, cell(data.slot), cell(checkpoint(data.head)), cell(checkpoint(data.target)), cell(checkpoint(data.source)),
      cell(`${number(set.length)} of ${number(count)}`), cell(missing.length === 0 ? el("span", { class: "dim" }, "nobody") : runs(missing)));
  });
  const missing = absent([...all], count);
  return [
    el("h2", {}, "Votes"),
    el("p", { id: "absent" }, attestations.length === 0 ? "This block carries no votes." : [
      `${number(count - missing.length)} of ${plural(count, "validator")} in ${plural(attestations.length, "vote")}. `,
      missing.length === 0 ? "Nobody is absent." : [el("strong", {}, "Absent: "), runs(missing)],
    ]),
    attestations.length > 0 && table("Votes", ["slot #", "head", "target", "source", "voters", "absent"], rows),
  ];
}

/** What else is stored at a slot of which the chain has no block. */
async function besides(id, signal) {
  if (!/^\d+$/.test(id)) return null;
  const { blocks } = await get(`/tree/${id}?slots=1`, { signal });
  return blocks.length === 0 ? null : el("p", {}, "Blocks of other branches at this slot: ",
    blocks.map((block) => [blockLink(block.root), " "]));
}

export const page = {
  title: "Block",
  async open(main, { args: [id = "head"] }, { signal, read }) {
    await read(async () => {
      let found;
      try {
        found = await getOf(`/blocks/${encodeURIComponent(id)}`, { signal });
      } catch (refusal) {
        if (refusal.code !== "skipped_slot" && refusal.code !== "beyond_head") throw refusal;
        const slot = Number(id);
        fill(main, heading(`Slot ${id}`), absence(refusal), await besides(id, signal), el("nav", { class: "pager" },
          el("a", { href: `#/block/${Math.max(0, slot - 1)}` }, "‹ slot before"), el("a", { href: `#/block/${slot + 1}` }, "slot after ›"), el("a", { href: `#/forks/${Math.max(0, slot - 16)}?slots=32` }, "as a tree")));
        return;
      }
      const { root, value: block } = found;
      const [{ validator_count: count }, stored, proof, header] = await Promise.all([
        get("/genesis", { signal }), get(`/tree/${block.slot}?slots=1`, { signal }), proofLine(root, signal), get(`/headers/${root}`, { signal }),
      ]);
      const own = stored.blocks.find((one) => one.root === root);
      const isFinal = own?.is_canonical && block.slot <= stored.finalized_slot;
      const beside = stored.blocks.filter((one) => one.root !== root);
      fill(main,
        heading(`Block at slot ${block.slot}`, own?.is_canonical ? mark(isFinal ? "finalized" : "canonical", isFinal ? "finalized" : "on the chain") : mark("fork", "another branch")),
        el("nav", { class: "pager", "aria-label": "Around this block" },
          el("a", { href: `#/block/${block.parent_root}` }, "‹ parent"), el("a", { href: `#/block/${block.slot + 1}` }, "next slot ›"),
          el("a", { href: `#/state/${root}` }, "state"), el("a", { href: `#/forks/${Math.max(0, block.slot - 16)}?slots=32` }, "as a tree"),
          el("a", { href: `#/proof/${block.slot}` }, "prove it")),
        facts([
          ["root", el("code", {}, root)],
          ["parent", el("code", {}, blockLink(block.parent_root, block.parent_root))],
          ["state root", el("code", {}, block.state_root)],
          ["body root", el("code", {}, header.body_root)],
          ["proposer", String(block.proposer_index)],
          ["proof", proof],
          beside.length > 0 && ["beside it", beside.map((one) => [blockLink(one.root), one.is_canonical ? " (on the chain) " : " "])],
        ]),
        votesOf(block.body.attestations, count));
    });
  },
};
