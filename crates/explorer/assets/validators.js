// Who voted and who proposed, over a stretch of slots, by what the chain carries.

import { get } from "./api.js";
import { cell, colour, el, fill, heading, number, plural, table } from "./dom.js";
import { voters } from "./votes.js";

const SPANS = [32, 64, 128, 256];
const LISTED_MAX = 256;
const CELL_MAX = 14;

/** Counts of each validator. The votes of the last slot have no block yet that could carry them. */
export function count(answer, headSlot) {
  const validators = Array.from({ length: answer.validator_count }, (_, index) => ({ index, votes: 0, last: null, made: 0, due: 0 }));
  const due = answer.slots.filter(({ slot }) => slot > 0 && slot < headSlot);
  for (const { slot, proposer_index: proposer, root } of answer.slots) {
    if (slot === 0) continue;
    validators[proposer].due += 1;
    if (root !== null) validators[proposer].made += 1;
  }
  const voted = due.map(({ slot, voters: bits }) => ({ slot, set: new Set(voters(bits).set) }));
  for (const { slot, set } of voted) {
    for (const index of set) {
      validators[index].votes += 1;
      validators[index].last = slot;
    }
  }
  return { validators, voted };
}

/** A square for each slot and validator: filled where it voted. */
function map(canvas, voted, validators) {
  const width = canvas.parentElement.clientWidth || 800;
  const rows = validators.length;
  const x = Math.min(CELL_MAX, width / Math.max(1, voted.length));
  const y = Math.max(1, Math.min(CELL_MAX, 420 / rows));
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.ceil(x * voted.length * ratio);
  canvas.height = Math.ceil(y * rows * ratio);
  canvas.style.width = `${x * voted.length}px`;
  canvas.style.height = `${y * rows}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const [here, away] = [colour("chain"), colour("bad")];
  const gap = Math.min(x, y) > 4 ? 1 : 0;
  voted.forEach(({ set }, at) => {
    for (let index = 0; index < rows; index += 1) {
      const isHere = set.has(index);
      context.fillStyle = isHere ? here : away;
      // Absent is not only another colour: it is half a square.
      context.fillRect(at * x, index * y + (isHere ? 0 : y / 2), x - gap, (isHere ? y : y / 2) - gap);
    }
  });
}

export const page = {
  title: "Validators",
  async open(main, { args: [wanted], query }, { signal, read }) {
    const span = SPANS.find((one) => one === Number(query.get("slots"))) ?? 64;
    const isLive = wanted === undefined;
    const show = () => read(async () => {
      const { head_slot: head } = await get("/node/syncing", { signal });
      const { first_slot: first } = await get(`/tree/${head}?slots=1`, { signal });
      const from = isLive ? Math.max(first, head - span + 1) : Number(wanted) || 0;
      const answer = await get(`/participation/${from}?slots=${span}`, { signal });
      const { validators, voted } = count(answer, head);
      const last = answer.slots[answer.slots.length - 1].slot;
      const worst = [...validators].sort((a, b) => a.votes - b.votes || a.index - b.index).slice(0, LISTED_MAX);
      const total = validators.reduce((sum, one) => sum + one.votes, 0);
      const share = voted.length === 0 ? null : (100 * total) / (voted.length * validators.length);
      const canvas = el("canvas", { role: "img", class: "map", "aria-label": `Votes of ${plural(validators.length, "validator")} in slots ${from} to ${last}: the table below has the counts` });
      const rows = worst.map((one) => el("tr", { class: one.votes < voted.length ? "changed" : null, "data-validator": one.index }, cell(one.index),
        cell(`${one.votes} of ${voted.length}`), cell(voted.length === 0 ? "–" : `${((100 * one.votes) / voted.length).toFixed(0)} %`),
        cell(one.last === null ? "none here" : el("a", { href: `#/block/${one.last}` }, `slot ${one.last}`)), cell(`${one.made} of ${one.due}`)));
      fill(main,
        heading("Validators", el("p", { class: "dim" }, `slots ${from} to ${last}${isLive ? ", live" : ""}`)),
        el("p", { id: "share" }, share === null ? "No vote is due yet." : `${share.toFixed(1)} % of the votes due are in blocks of the chain.`),
        el("nav", { class: "pager", "aria-label": "Which slots" },
          SPANS.map((one) => el("a", { href: `#/validators${isLive ? "" : `/${from}`}?slots=${one}`, "aria-current": one === span ? "true" : null }, plural(one, "slot"))),
          from > first && el("a", { href: `#/validators/${Math.max(first, from - span)}?slots=${span}` }, "‹ older"),
          !isLive && el("a", { href: from + span > head ? `#/validators?slots=${span}` : `#/validators/${from + span}?slots=${span}` }, "newer ›")),
        el("div", {}, canvas),
        el("p", { class: "dim" }, "A row is a validator, a column a slot; half a square is a vote that no block carries."),
        table("Validators, fewest votes first", ["validator #", "votes", "share", "last vote", "blocks proposed"], rows),
        validators.length > LISTED_MAX && el("p", { class: "dim" }, `The ${LISTED_MAX} of ${number(validators.length)} with the fewest votes.`));
      map(canvas, voted, validators);
    });
    await show();
    return { told: (topic) => isLive && topic === "head" && show() };
  },
};
