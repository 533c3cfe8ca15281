// What the node keeps and how large it is: tables, growth, readers, what was pruned, and the last whole reading.

import { mark } from "./absence.js";
import { get, getMetrics } from "./api.js";
import { bytes, cell, duration, el, facts, fill, heading, number, plural, prose, table } from "./dom.js";
import { parse, value } from "./metrics.js";

/** A bar of the chain's slots: which have their proofs, and which no longer. */
function extent(facts) {
  const { first_slot: first, head_slot: head, states_from_slot: states, bodies_from_slot: bodies, prune_mode: mode, proofs_from_slot: proofs } = facts;
  const pruned = Math.min(proofs, head + 1) - first;
  return [
    el("meter", { min: 0, max: Math.max(1, head - first + 1), value: head - first + 1 - pruned, class: "newest", "aria-label": "Slots whose proofs are kept" }),
    el("ul", { class: "plain" },
      first > 0 && el("li", {}, mark("before_bootstrap", `slots 0 to ${first - 1}: before this node began`)),
      el("li", {}, mark("kept", `slots ${first} to ${head}: headers`)),
      bodies > first && el("li", {}, mark("pruned", `slots ${first} to ${bodies - 1}: bodies pruned`)),
      el("li", {}, mark("kept", `slots ${bodies} to ${head}: bodies`)),
      states > first && el("li", {}, mark("pruned", `slots ${first} to ${states - 1}: states pruned`)),
      el("li", {}, mark("kept", `slots ${states} to ${head}: states kept, mode ${mode}`)),
      pruned > 0 && el("li", {}, mark("pruned", `slots ${first} to ${first + pruned - 1}: proofs pruned`)),
      proofs <= head && el("li", {}, mark("kept", `slots ${Math.max(proofs, first)} to ${head}: proofs kept`))),
  ];
}

/** When the node last read all of its store, and what it found. */
function scrub(series) {
  const of = (name) => value(series, `lean_scrub_${name}`) ?? 0;
  if (value(series, "lean_scrub_runs_total") === undefined) {
    return el("p", { class: "dim" }, prose("This node does not read its store by itself. `lamella db verify` does."));
  }
  const ended = of("last_end_time_seconds");
  const found = of("findings");
  const last = new Date(ended * 1000).toLocaleString("en");
  return facts([
    ["last whole reading", ended === 0 ? el("span", { class: "dim" }, "none since the start") : mark(found === 0 ? "canonical" : "corrupt", `${last}, ${plural(found, "finding")}`)],
    ended > 0 && ["it took", duration(of("last_duration_seconds"))],
    ["now", of("running") === 1 ? "reading" : "not reading"],
    ["readings", `${plural(of("runs_total"), "reading")}, ${plural(of("checks_total"), "check")}, ${plural(of("findings_total"), "finding")}`],
    ["repaired", `${plural(of("repaired_rows_total"), "row")}, ${number(of("unrepaired_rows"))} not`],
  ]);
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
        el("h2", {}, "Whole readings"), scrub(series));
    });
    await show();
    return { told: (topic) => topic === "head" && show() };
  },
};
