// Slot by slot: the block of the chain, blocks beside it, and what is not there.

import { mark } from "./absence.js";
import { get } from "./api.js";
import { blockLink, cell, el, fill, heading, prose, table } from "./dom.js";

const SLOTS = 32;

/** What each slot of a stretch has: `kind`, the canonical block if there is one, and those beside it. */
export function rowsOf(stored, to) {
  const rows = [];
  // Where a row is lost whose slot nobody knows, a gap proves nothing.
  const isProven = stored.damage.every((damage) => damage.slot !== null);
  const bySlot = Map.groupBy(stored.blocks, (block) => block.slot);
  for (let slot = stored.from; slot <= Math.min(stored.to, to); slot += 1) {
    const blocks = bySlot.get(slot) ?? [];
    const block = blocks.find((one) => one.is_canonical);
    const beside = blocks.filter((one) => !one.is_canonical);
    const damage = stored.damage.find((one) => one.slot === slot);
    const isAbsent = slot < stored.first_slot ? "before_bootstrap" : slot > stored.head_slot ? "beyond_head" : "skipped_slot";
    const found = block && (slot <= stored.finalized_slot ? "finalized" : "canonical");
    const kind = damage ? "corrupt" : found ?? (isAbsent === "skipped_slot" && !isProven ? "corrupt" : isAbsent);
    rows.push({ slot, kind, block, beside, damage, hasProof: slot >= stored.proofs_from_slot });
  }
  return rows;
}

/** A stretch as a row of squares. */
export function strip(stored, to) {
  const words = { finalized: "finalized", canonical: "on the chain", skipped_slot: "skipped", corrupt: "damaged" };
  const squares = rowsOf(stored, to).map(({ slot, kind, beside }) => {
    const text = `slot ${slot}: ${words[kind] ?? "not here"}${beside.length > 0 ? `, ${beside.length} beside it` : ""}`;
    return el("li", {}, el("a", { href: `#/block/${slot}`, class: `square ${kind}${beside.length > 0 ? " forked" : ""}`, title: text, "aria-label": text }));
  });
  return el("ol", { class: "strip", "aria-label": "Recent slots" }, squares);
}

function standing({ kind, damage }) {
  const texts = { finalized: "finalized", canonical: "on the chain", skipped_slot: "skipped", before_bootstrap: "before this node began", corrupt: "damaged" };
  return el("span", { title: damage?.error }, mark(kind, texts[kind] ?? kind));
}

function rowOf(row) {
  const own = el("tr", { class: row.kind, "data-slot": row.slot }, cell(row.slot),
    cell(row.block ? blockLink(row.block.root) : el("span", { class: "dim" }, "–")),
    row.block ? cell(row.block.proposer_index) : cell(""), cell(standing(row)),
    cell(row.block && mark(row.hasProof ? "kept" : "pruned", row.hasProof ? "kept" : "pruned")));
  const beside = row.beside.map((block) => el("tr", { class: "fork", "data-slot": row.slot }, el("td", { class: "right dim" }, "↳"), cell(blockLink(block.root)),
    cell(block.proposer_index), cell(mark("fork", "another branch")), cell(mark(row.hasProof ? "kept" : "pruned", row.hasProof ? "kept" : "pruned"))));
  return [own, beside];
}

export const page = {
  title: "Slots",
  async open(main, { args: [wanted] }, { signal, read }) {
    const isLive = wanted === undefined;
    const show = () => read(async () => {
      const { head_slot: head } = await get("/node/syncing", { signal });
      const last = isLive ? head : Math.max(0, Math.min(Number(wanted) || 0, head));
      const from = Math.max(0, last - SLOTS + 1);
      const stored = await get(`/tree/${from}?slots=${last - from + 1}`, { signal });
      const rows = rowsOf(stored, last).reverse();
      fill(main,
        heading("Slots", el("p", { class: "dim" }, `${from} to ${last}${isLive ? ", live" : ""}`)),
        el("nav", { class: "pager", "aria-label": "Older and newer slots" },
          el("a", { href: `#/slots/${Math.max(0, from - 1)}` }, "‹ older"),
          !isLive && el("a", { href: last + SLOTS >= head ? "#/slots" : `#/slots/${last + SLOTS}` }, "newer ›"),
          el("a", { href: `#/forks/${from}` }, "as a tree")),
        stored.damage.filter((damage) => damage.slot === null).map((damage) => el("p", { class: "mark corrupt" }, "▲ ", prose(damage.error))),
        table("Slots, newest first", ["slot #", "block", "proposer #", "standing", "proof"], rows.map(rowOf)));
    });
    await show();
    return { told: (topic) => isLive && topic === "head" && show() };
  },
};
