// What is not there, and why. Unknown, skipped, pruned and damaged are four things, and look like four.

import { el, prose } from "./dom.js";

// Sign, word, and what a person can do about it, by the node's word for a program (docs/api.md).
const KINDS = {
  unknown: ["?", "Unknown", "This node never imported a block of this root. Another node may have it."],
  skipped_slot: ["–", "Skipped", "No block was made at this slot: the chain leads over it, and the next block proves it."],
  pruned: ["○", "Pruned", "It was here and was let go, on purpose. Ask a node that keeps more."],
  corrupt: ["▲", "Damaged", "A row of the database cannot be trusted, so it is not shown. Run `lamella db verify`."],
  unchecked: ["◌", "Unchecked", "It came with catch-up, and its proof was not checked yet."],
  beyond_head: ["›", "Not yet", "The chain has not got there."],
  before_bootstrap: ["‹", "Before the beginning", "This node began at a later checkpoint. Ask one that began earlier."],
  unreachable: ["×", "No answer", "The node does not answer. This page goes on as soon as it does."],
};

/** The word for a kind of absence. */
export function word(code) {
  return (KINDS[code] ?? [null, "Refused"])[1];
}

/** A small mark for a row, with its word. */
export function mark(kind, text) {
  const sign = { canonical: "●", finalized: "◉", fork: "◇", kept: "■" }[kind] ?? KINDS[kind]?.[0] ?? "!";
  return el("span", { class: `mark ${kind}` }, el("span", { "aria-hidden": "true", class: "sign" }, sign), text);
}

/** What stands where something would stand that is not there. */
export function absence(refusal) {
  const [sign, title, advice] = KINDS[refusal.code] ?? ["!", "Refused", "The node did not answer this."];
  return el("section", { class: `absence ${refusal.code}`, role: "alert", "data-code": refusal.code },
    el("span", { class: "sign", "aria-hidden": "true" }, sign),
    el("div", {}, el("h2", {}, title), el("p", {}, prose(refusal.message)), el("p", { class: "dim" }, prose(advice))));
}
