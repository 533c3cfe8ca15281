// A proof, checked here and not by the node: what a slot holds, under one block root that the person trusts.

import { get } from "./api.js";
import { absence } from "./absence.js";
import { ZERO, el, facts, fill, heading } from "./dom.js";
import { climb, headerRoot } from "./ssz.js";

// Where a state's block root of a slot lies: leaf `slot` of 2^18, below the list's root, below the seventh of the state's ten fields
// (leanSpec `State.historical_block_hashes`). The node says the index, too; what is checked is that it is this one.
const HISTORY_INDEX = 42 * 2 ** 18;

/** Each step of a check: what was looked at, and whether it holds. */
export function check(proof, slot, trusted) {
  const { header, trusted_header: under } = proof;
  const steps = [];
  const step = (text, holds) => steps.push({ text, holds });
  step("The trusted header hashes to the root that you typed.", headerRoot(under) === trusted.toLowerCase());
  if (slot === under.slot) {
    step("It is the block of that slot itself: no branch is needed.", proof.root === headerRoot(under) && proof.branch.length === 0);
  } else {
    const isHistory = slot < under.slot && proof.generalized_index === HISTORY_INDEX + slot;
    step(`The branch of ${proof.branch.length} hashes begins at slot ${slot} of the history.`, isHistory);
    step("It climbs to the trusted header's state root.", climb(proof.root, proof.branch, proof.generalized_index) === under.state_root);
  }
  if (proof.root === ZERO) step("The leaf is zero: the chain has no block at this slot.", header === null);
  else if (header !== null) step("The header hashes to the leaf, and has this slot.", headerRoot(header) === proof.root && header.slot === slot);
  return steps;
}

function verdict(proof, steps) {
  const holds = steps.every((step) => step.holds);
  const what = proof.root === ZERO ? "the slot is empty" : proof.header === null ? "the block's root" : "block and post-state";
  return el("section", { class: holds ? "verdict holds" : "verdict fails", role: "status", "data-holds": String(holds) },
    el("h2", {}, holds ? `Proven: ${what}` : "Not proven"),
    el("ol", {}, steps.map((step) => el("li", { class: step.holds ? "yes" : "no" }, el("span", { class: "sign" }, step.holds ? "✓" : "✗"), ` ${step.text}`))),
    holds && proof.header && facts([
      ["block root", el("code", {}, proof.root)], ["state root", el("code", {}, proof.header.state_root)], ["body root", el("code", {}, proof.header.body_root)],
    ]),
    !holds && el("p", {}, "Believe nothing of this answer: the node, or the root, is of another chain."));
}

export const page = {
  title: "Proof",
  isForm: true,
  async open(main, { args: [wanted = ""] }, { signal }) {
    const result = el("div", { "aria-live": "polite" });
    const slot = el("input", { id: "proof-slot", inputmode: "numeric", pattern: "\\d{1,15}", required: true, value: wanted, autocomplete: "off" });
    const root = el("input", { id: "proof-root", pattern: "0x[0-9a-fA-F]{64}", required: true, spellcheck: "false", autocomplete: "off", placeholder: "0x and 64 digits" });
    const prove = async (event) => {
      event.preventDefault();
      fill(result, el("p", { class: "dim" }, "asking"));
      try {
        const trusted = root.value.trim();
        const proof = await get(`/proof/block/${slot.value}?root=${trusted}`, { signal });
        fill(result, verdict(proof, check(proof, Number(slot.value), trusted)));
      } catch (error) {
        if (error.name === "AbortError") return;
        // What is no proof at all is a refusal of ours.
        fill(result, absence(error.code ? error : { code: "corrupt", message: `The answer is no proof: ${error.message}` }));
      }
    };
    fill(main, heading("Proof"),
      el("p", {}, "A state holds the root of every block before it. So whoever trusts one block root needs nobody's word for the chain before it: 23 hashes lead from a slot to that root, and are checked in this browser."),
      el("form", { class: "fields", onsubmit: prove },
        el("label", { for: "proof-root" }, "Block root that you trust ", el("span", { class: "dim" }, "from whom you trust, not from this node")), root,
        el("label", { for: "proof-slot" }, "Slot to prove"), slot, el("button", {}, "Check here")), result);
  },
};
