// The fork tree of any past slot. Nothing is pruned of it: what once was a branch can be looked at for ever.

import { mark } from "./absence.js";
import { get } from "./api.js";
import { blockLink, cell, el, fill, heading, number, plural, prose, table } from "./dom.js";
import { layout } from "./layout.js";
import { nearest, paint } from "./paint.js";

const SPANS = [32, 64, 256, 1024, 4096, 10240];
const LISTED_MAX = 100;
const SETTLE_MS = 60;

export const page = {
  title: "Forks",
  async open(main, { args: [wanted], query }, { signal, read }) {
    const asked = Number(query.get("slots"));
    let span = SPANS.find((one) => one >= asked) ?? SPANS[SPANS.length - 1];
    if (!asked) span = 64;
    let isLive = wanted === undefined;
    let from = Number(wanted) || 0;
    let [tree, placed, selected] = [null, null, null];
    let timer = 0;

    const slider = el("input", { type: "range", id: "from", min: "0", max: "0", step: "1", oninput: () => go(Number(slider.value)) });
    const zoom = el("select", { id: "span", onchange: () => { span = Number(zoom.value); moved(); } },
      SPANS.map((one) => el("option", { value: one, selected: one === span }, plural(one, "slot"))));
    const canvas = el("canvas", { class: "tree", tabindex: "0", role: "img", "aria-describedby": "chosen",
      onclick: (event) => { const box = canvas.getBoundingClientRect(); choose(nearest(canvas, tree, placed, event.clientX - box.left, event.clientY - box.top)); },
      onkeydown: (event) => keyed(event) });
    const chosen = el("p", { id: "chosen", "aria-live": "polite" });
    const said = el("p", { class: "dim", id: "said" });
    const [notes, branches, below] = [el("div"), el("div"), el("div")];
    const keys = el("p", { class: "dim keys" }, "Keys on the tree: ← parent, → child, ↑ ↓ blocks beside, Enter opens.");

    const go = (slot) => {
      [from, isLive] = [slot, false];
      moved();
    };
    // The address says what is shown, so that it can be sent to somebody.
    const name = () => history.replaceState(null, "", isLive ? `#/forks?slots=${span}` : `#/forks/${from}?slots=${span}`);
    const schedule = () => {
      clearTimeout(timer);
      timer = setTimeout(show, SETTLE_MS);
    };
    const moved = () => {
      name();
      schedule();
    };
    const choose = (node) => {
      if (node === null || node === undefined) return;
      selected = node;
      paint(canvas, tree, placed, selected);
      const { block } = node;
      fill(chosen, `Slot ${block.slot}, `, blockLink(block.root), `, proposer ${block.proposer_index}, `,
        mark(block.is_canonical ? (block.slot <= tree.finalized_slot ? "finalized" : "canonical") : "fork",
          block.is_canonical ? (block.slot <= tree.finalized_slot ? "finalized" : "on the chain") : "another branch"));
    };
    const keyed = (event) => {
      const nodes = placed?.placed ?? [];
      if (nodes.length === 0) return;
      const at = selected ?? nodes[nodes.length - 1];
      const children = nodes.filter((node) => node.parent === at);
      const column = nodes.filter((node) => Math.abs(node.block.slot - at.block.slot) <= 1 && node.lane !== at.lane);
      const beside = (isBeside) => column.filter(isBeside).sort((a, b) => Math.abs(a.lane - at.lane) - Math.abs(b.lane - at.lane))[0];
      const to = {
        ArrowLeft: () => at.parent, ArrowRight: () => children.find((node) => node.lane === at.lane) ?? children[0],
        ArrowDown: () => beside((node) => node.lane > at.lane), ArrowUp: () => beside((node) => node.lane < at.lane),
        Home: () => nodes[0], End: () => nodes[nodes.length - 1],
      }[event.key];
      if (to !== undefined) {
        event.preventDefault();
        choose(selected === null ? at : to());
      } else if (event.key === "Enter" && selected !== null) location.hash = `#/block/${selected.block.root}`;
    };
    const list = () => {
      const beside = tree.blocks.filter((block) => !block.is_canonical);
      if (beside.length === 0) return el("p", { class: "dim" }, "No branch in these slots: every block is on the head's chain.");
      const rows = beside.slice(0, LISTED_MAX).map((block) => el("tr", { class: "fork" }, cell(block.slot), cell(blockLink(block.root)), cell(blockLink(block.parent_root)), cell(block.proposer_index)));
      return [table("Blocks beside the chain", ["slot #", "block", "parent", "proposer #"], rows),
        beside.length > LISTED_MAX && el("p", { class: "dim" }, `and ${number(beside.length - LISTED_MAX)} more`)];
    };
    const show = () => read(async () => {
      // The node cuts where there are too many blocks, and says up to where it went.
      const { head_slot: head } = await get("/node/syncing", { signal });
      if (isLive) from = Math.max(0, head - span + 2);
      const found = await get(`/tree/${Math.min(from, head)}?slots=${span}`, { signal });
      // One slot of room, where the next block will be.
      tree = { ...found, to: Math.max(found.from + 1, Math.min(found.to, found.head_slot + 1)) };
      placed = layout(tree.blocks);
      slider.min = String(tree.first_slot);
      slider.max = String(head);
      slider.value = String(from);
      slider.setAttribute("aria-valuetext", `from slot ${from}`);
      selected = placed.placed.find((node) => node.block.root === selected?.block.root) ?? null;
      const painted = paint(canvas, tree, placed, selected);
      const beside = tree.blocks.filter((block) => !block.is_canonical).length;
      canvas.setAttribute("aria-label", `Fork tree of slots ${tree.from} to ${tree.to}: ${painted} blocks, ${beside} beside the chain`);
      fill(said, `Slots ${tree.from} to ${tree.to}: ${plural(painted, "block")}, ${number(beside)} beside the chain, ${plural(placed.lanes - 1, "lane")} of branches`, isLive ? ", live." : ".");
      fill(notes, tree.damage.map((damage) => el("p", { class: "mark corrupt" }, "▲ ", prose(damage.error))));
      fill(branches, list());
    }, below);

    fill(main, heading("Forks", said),
      el("div", { class: "controls" }, el("label", { for: "from" }, "from slot"), slider, el("label", { for: "span" }, "show"), zoom,
        el("button", { type: "button", onclick: () => { isLive = true; moved(); } }, "to the head")),
      below, notes, canvas, chosen, keys,
      el("p", { class: "legend" }, mark("finalized", "finalized"), mark("canonical", "on the chain"), mark("fork", "another branch"), mark("corrupt", "damaged")),
      el("h2", {}, "Beside the chain"), branches);
    const repaint = () => tree && paint(canvas, tree, placed, selected);
    addEventListener("resize", repaint);
    await show();
    return {
      told: (topic) => isLive && topic === "block" && schedule(),
      close() {
        clearTimeout(timer);
        removeEventListener("resize", repaint);
      },
    };
  },
};
