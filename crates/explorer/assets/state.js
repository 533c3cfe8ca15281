// A state, and what its block changed in it.

import { mark } from "./absence.js";
import { getOf } from "./api.js";
import { blockLink, bytes, cell, checkpoint, el, facts, fill, heading, number, short, table } from "./dom.js";

/** A field, as it was and as it is. */
function row(name, before, after, show = (value) => (typeof value === "number" ? number(value) : value)) {
  const isChanged = before !== undefined && JSON.stringify(before) !== JSON.stringify(after);
  return el("tr", { class: isChanged ? "changed" : null },
    el("th", { scope: "row" }, name),
    cell(before === undefined ? el("span", { class: "dim" }, "–") : show(before)), cell(show(after)), cell(isChanged ? mark("kept", "changed") : ""));
}

function storedAs(stored) {
  if (stored.kind === "anchor") return `whole, as an anchor of ${bytes(stored.bytes)}`;
  const { tally } = stored;
  const votes = tally.kind === "full" ? `all ${tally.added} pending roots`
    : `${tally.added} pending roots added, ${tally.removed} removed, ${tally.changed} with new votes`;
  return `as a diff of ${bytes(stored.bytes)} to slot ${stored.base_slot}: ${votes}; the anchor is at slot ${stored.anchor_slot}`;
}

/** Votes for roots that are not justified, before and after. */
function pending(before, after) {
  const roots = new Map();
  for (const [side, state] of [["before", before], ["after", after]]) {
    for (const { root, votes } of state?.pending ?? []) roots.set(root, { ...roots.get(root), [side]: votes });
  }
  if (roots.size === 0) return el("p", { class: "dim" }, "No votes are pending: all that counted have justified their slot.");
  const rows = [...roots].map(([root, votes]) => el("tr", { class: votes.before === votes.after ? null : "changed" },
    cell(blockLink(root)), el("td", { class: "right" }, String(votes.before ?? "–")), el("td", { class: "right" }, String(votes.after ?? "gone"))));
  return table("Votes for roots that are not justified", ["root", "votes before #", "votes after #"], rows);
}

export const page = {
  title: "State",
  async open(main, { args: [id = "head"] }, { signal, read }) {
    await read(async () => {
      const { value: change } = await getOf(`/states/${encodeURIComponent(id)}/change`, { signal });
      const { before, after } = change;
      const at = (name) => before?.[name];
      fill(main,
        heading(`State after slot ${after.slot}`),
        el("nav", { class: "pager", "aria-label": "Around this state" },
          before && el("a", { href: `#/state/${change.parent}` }, "‹ parent's state"), el("a", { href: `#/block/${change.block}` }, "block"),
          el("a", { href: `/lean/v0/states/${change.block}`, download: `state-${after.slot}-${short(change.block)}.ssz` }, "download SSZ")),
        facts([["block", el("code", {}, change.block)], ["state root", el("code", {}, after.state_root)], ["stored", storedAs(change.stored)]]),
        el("h2", {}, before ? "Changes to the parent's state" : "The first state that is kept here"),
        table("State and parent's state", ["", before ? `parent, slot ${before.slot}` : "parent", `slot ${after.slot}`, ""], [
          row("slot", at("slot"), after.slot, String),
          row("justified", at("latest_justified"), after.latest_justified, checkpoint),
          row("finalized", at("latest_finalized"), after.latest_finalized, checkpoint),
          row("block roots in the history", at("history_roots"), after.history_roots),
          row("slots tracked since finality", at("tracked_slots"), after.tracked_slots),
          row("of these justified", at("justified_slots"), after.justified_slots),
          row("pending roots", at("pending_roots"), after.pending_roots),
          row("validators", at("validators"), after.validators),
        ]),
        el("h2", {}, "Pending votes"), pending(before, after));
    });
  },
};
