// What the node keeps and how large it is: tables, growth, readers, what was pruned, and the last look for rot.

import { mark } from "./absence.js";
import { get, getMetrics } from "./api.js";
import { bytes, cell, el, facts, fill, heading, number, plural, prose, table } from "./dom.js";
import { helps, parse, value } from "./metrics.js";

/** A bar of the chain's slots: which have their proofs, and which no longer. */
function extent(facts) {
  const { first_slot: first, head_slot: head, proofs_from_slot: proofs } = facts;
  const pruned = Math.min(proofs, head + 1) - first;
  return [
    el("meter", { min: 0, max: Math.max(1, head - first + 1), value: head - first + 1 - pruned, class: "newest", "aria-label": "Slots whose proofs are kept" }),
    el("ul", { class: "plain" },
      first > 0 && el("li", {}, mark("before_bootstrap", `slots 0 to ${first - 1}: before this node began`)),
      el("li", {}, mark("kept", `slots ${first} to ${head}: blocks and states`)),
      pruned > 0 && el("li", {}, mark("pruned", `slots ${first} to ${first + pruned - 1}: proofs pruned`)),
      proofs <= head && el("li", {}, mark("kept", `slots ${Math.max(proofs, first)} to ${head}: proofs kept`))),
  ];
}

/** What the node says of its looks for rot; its names are shown as they are. */
function scrub(series, help) {
  const found = series.filter((one) => one.name.startsWith("lean_scrub_") && !/_bucket$/.test(one.name));
  if (found.length === 0) return el("p", { class: "dim" }, prose("This node does not look for rot by itself. `lamella db verify` looks now."));
  const shown = (one) => (/_time(stamp)?_seconds$/.test(one.name) ? (one.value === 0 ? "never" : new Date(one.value * 1000).toLocaleString("en")) : number(one.value));
  return table("Looks for rot", ["what", "", " #"], found.map((one) =>
    el("tr", {}, cell(help.get(one.name) ?? one.name), cell(el("code", {}, `${one.name.slice(5)}${one.labels ? ` ${one.labels}` : ""}`)), el("td", { class: "right" }, shown(one)))));
}

export const page = {
  title: "Database",
  async open(main, _, { signal, read }) {
    let begun = null;
    const show = () => read(async () => {
      const [database, text, ready] = await Promise.all([get("/node/database", { signal }), getMetrics({ signal }), get("/node/ready", { signal })]);
      const series = parse(text);
      begun ??= { bytes: database.used_bytes, slot: database.head_slot, at: Date.now() };
      const slots = database.head_slot - database.first_slot + 1;
      const grown = database.used_bytes - begun.bytes;
      const left = value(series, "lean_storage_chain_slots_left");
      const held = value(series, "lean_storage_held_bytes") ?? 0;
      const total = Math.max(1, database.tables.reduce((sum, one) => sum + one.bytes, 0));
      fill(main, heading("Database"),
        facts([
          ["in use", `${bytes(database.used_bytes)} of a file of ${bytes(database.file_bytes)}`],
          ["growth", `${bytes(database.used_bytes / slots)} a slot on average; `, `${grown < 0 ? "−" : "+"}${bytes(Math.abs(grown))} in ${plural(database.head_slot - begun.slot, "slot")} since this page was opened`],
          ["free pages", `${number(database.free_pages)}, ${bytes(database.free_pages * database.page_bytes)} to be used again`],
          ["readers", `${plural(database.open_readers, "read")} open; `, mark(ready.readers.is_ok ? "canonical" : "corrupt", ready.readers.reason), held > 0 && ` ${bytes(held)} wait for them`],
          ["states in memory", `${number(database.cached_states)} in ${bytes(database.cached_bytes)}`],
          ["damaged rows read", number(value(series, "lean_storage_corrupt_reads_total") ?? 0)],
          left !== undefined && ["room", `${number(left)} slots until a state can hold no more history`],
          ["schema", `${database.schema_version}, proofs ${database.proof_scheme}`],
        ]),
        el("h2", {}, "What is kept"), extent(database),
        el("h2", {}, "Tables"),
        table("Tables", ["table", "rows #", "bytes #", "of all", "depth #"], database.tables.map((one) =>
          el("tr", {}, cell(one.name), cell(one.rows), el("td", { class: "right" }, bytes(one.bytes)),
            cell(el("meter", { min: 0, max: 100, value: (100 * one.bytes) / total, "aria-label": `${one.name}: share of all bytes` })), cell(one.depth)))),
        el("h2", {}, "Looks for rot"), scrub(series, helps(text)));
    });
    await show();
    return { told: (topic) => topic === "head" && show() };
  },
};
