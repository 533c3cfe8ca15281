// History as files: how far the chain is sealed, how far the archive has it, and whether shipping goes well.

import { mark } from "./absence.js";
import { get, getMetrics } from "./api.js";
import { bytes, cell, el, facts, fill, heading, number, plural, prose, table } from "./dom.js";
import { helps, parse } from "./metrics.js";

const SEGMENT_SLOTS = 1024;
const KNOWN = ["segments_sealed", "segments_shipped", "proofs_shipped", "held_slots", "lag_segments", "failures_total", "failing", "bytes_total"];

export const page = {
  title: "Archive",
  async open(main, _, { signal, read }) {
    const show = () => read(async () => {
      const [text, sync, ready, { followers }] = await Promise.all([
        getMetrics({ signal }), get("/node/syncing", { signal }), get("/node/ready", { signal }), get("/node/followers", { signal }),
      ]);
      const series = parse(text).filter((one) => one.name.startsWith("lean_archive_"));
      const help = helps(text);
      const of = (name) => series.find((one) => one.name === `lean_archive_${name}`)?.value ?? 0;
      const [sealed, shipped, lag] = [of("segments_sealed"), of("segments_shipped"), of("lag_segments")];
      const others = series.filter((one) => !KNOWN.includes(one.name.slice("lean_archive_".length)));
      const next = (Math.floor(sync.finalized_slot / SEGMENT_SLOTS) + 1) * SEGMENT_SLOTS;
      const isUsed = sealed > 0 || shipped > 0 || of("bytes_total") > 0 || of("failures_total") > 0 || of("tail_blocks_total") > 0;
      fill(main, heading("Archive"),
        el("p", {}, "Finalized history is sealed in segments of 1,024 slots, files that one block root proves."),
        !isUsed && el("p", {}, prose(`Nothing has been shipped: either this node ships nowhere (\`--archive\` says where), or its chain has no whole segment yet. The next one is whole when slot ${number(next - 1)} is final; finality is at slot ${number(sync.finalized_slot)}.`)),
        el("div", { class: "segments", role: "img", "aria-label": `${sealed} segments sealed, ${shipped} of them in the archive` },
          Array.from({ length: Math.min(sealed, 256) }, (_, at) => el("span", { class: at < shipped ? "segment shipped" : "segment", title: `segment ${at}: slots ${at * SEGMENT_SLOTS} to ${(at + 1) * SEGMENT_SLOTS - 1}, ${at < shipped ? "shipped" : "waits"}` }))),
        facts([
          ["sealed", plural(sealed, "segment")],
          ["in the archive", plural(shipped, "segment"), shipped > 0 && `, up to slot ${number(shipped * SEGMENT_SLOTS - 1)}`],
          ["proofs", `of ${plural(of("proofs_shipped"), "segment")}`, of("held_slots") > 0 && `; those of ${plural(of("held_slots"), "slot")} are kept beyond their window for it`],
          ["required", mark(ready.archive.is_ok ? "canonical" : "corrupt", ready.archive.reason)],
          ["lag", lag === 0 ? mark("canonical", "none") : mark("unchecked", plural(lag, "segment"))],
          ["frontier", `slot ${number(Math.min(shipped, sealed) * SEGMENT_SLOTS)}, finality is at ${number(sync.finalized_slot)}`],
          ["shipping", of("failing") === 1 ? mark("corrupt", "failing, tried again") : mark("canonical", "well"), `, ${plural(of("failures_total"), "failure")} since the start`],
          ["put", bytes(of("bytes_total"))],
          ...others.map((one) => [el("span", { title: help.get(one.name) }, one.name.slice("lean_archive_".length).replaceAll("_", " ")), `${number(one.value)}${one.labels ? ` (${one.labels})` : ""}`]),
        ]),
        el("h2", {}, "Followers"),
        followers.length === 0
          ? el("p", { class: "dim" }, prose("Nobody asked this node for its archive in the last ten minutes. Who follows a folder or a bucket is not seen from here: `lean_follow_lag_slots` of each follower tells."))
          : table("Who asks this node for its archive", ["address", "asks since #", "last asked #", "requests #", "had last"], followers.map((one) => el("tr", { "data-follower": one.address },
            cell(el("code", {}, one.address)), el("td", { class: "right" }, `${number(one.since_s)} s`), el("td", { class: "right" }, `${number(one.silent_s)} s ago`),
            el("td", { class: "right" }, number(one.requests)), cell(one.object === null ? el("span", { class: "dim" }, "only the list") : el("code", {}, one.object))))));
    });
    await show();
    return { told: (topic) => topic === "finalized_checkpoint" && show() };
  },
};
