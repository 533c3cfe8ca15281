// Where the chain is now. Events move it; what they do not say is asked for after each.

import { mark } from "./absence.js";
import { get, getMetrics } from "./api.js";
import { blockLink, el, facts, fill, heading, plural } from "./dom.js";
import { commits, parse, value } from "./metrics.js";
import { strip } from "./slots.js";

const RECENT_SLOTS = 32;
const SETTLE_MS = 120;
const COMMITS_KEPT = 48;

function card(name, ...children) {
  return el("section", { class: "card" }, el("h2", {}, name), children);
}

/** The times of the last commits, as bars. */
function bars(times) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${COMMITS_KEPT * 4} 24`);
  svg.setAttribute("class", "bars");
  svg.setAttribute("aria-hidden", "true");
  const most = Math.max(...times, 1);
  times.forEach((time, at) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = Math.max(1, (time / most) * 24);
    for (const [name, set] of Object.entries({ x: (COMMITS_KEPT - times.length + at) * 4, y: 24 - height, width: 3, height })) {
      bar.setAttribute(name, set);
    }
    svg.append(bar);
  });
  return svg;
}

export const page = {
  title: "Overview",
  async open(main, _, { signal, read }) {
    const first = await read(() => Promise.all([get("/genesis", { signal }), get("/config/spec", { signal })]));
    if (first === undefined) return undefined;
    const [genesis, spec] = first;
    const cells = {};
    const slot = (name) => (cells[name] = el("div", { class: "figure", id: `figure-${name}` }, "…"));
    const more = (name) => (cells[`${name}-more`] = el("div", { class: "dim" }));
    const cards = ["head", "justified", "finalized", "clock", "peers", "commit"].map((name) => {
      const title = { clock: "Slot of the clock", commit: "Commit" }[name] ?? name[0].toUpperCase() + name.slice(1);
      return card(title, slot(name), more(name));
    });
    const [recent, ready] = [el("div"), el("div")];
    fill(main, heading("Overview"), el("div", { class: "cards" }, cards),
      el("h2", {}, "Recent slots"), recent, el("h2", {}, "What this node is for"), ready);

    const chain = { head: null, justified: null, finalized: null };
    const times = [];
    let before = null;
    let timer = 0;

    const showChain = () => {
      for (const name of ["head", "justified", "finalized"]) {
        const at = chain[name];
        if (at === null) continue;
        fill(cells[name], String(at.slot));
        const behind = chain.head.slot - at.slot;
        fill(cells[`${name}-more`], blockLink(at.root), name !== "head" && el("div", {}, `${plural(behind, "slot")} behind`));
      }
    };
    const showClock = () => {
      const ms = Date.now() - genesis.genesis_time * 1000;
      if (ms < 0) {
        fill(cells.clock, "0");
        fill(cells["clock-more"], `genesis in ${Math.ceil(-ms / 1000)} s`);
        return;
      }
      const now = Math.floor(ms / spec.MILLISECONDS_PER_SLOT);
      const late = chain.head === null ? 0 : now - chain.head.slot;
      fill(cells.clock, String(now));
      fill(cells["clock-more"], late > 1 ? `the head is ${plural(late, "slot")} behind` : `${spec.MILLISECONDS_PER_SLOT} ms a slot`);
    };
    const showCommits = (series) => {
      const now = commits(series);
      if (before !== null && now.count > before.count) {
        times.push((1000 * (now.seconds - before.seconds)) / (now.count - before.count));
        if (times.length > COMMITS_KEPT) times.shift();
      }
      before = now;
      const mean = now.count === 0 ? null : (1000 * now.seconds) / now.count;
      const last = times[times.length - 1] ?? mean;
      fill(cells.commit, last === null || last === undefined ? "–" : `${last.toFixed(1)} ms`);
      fill(cells["commit-more"], mean === null ? "no block imported since the start" : `mean ${mean.toFixed(1)} ms of ${now.count}`, bars(times));
    };
    const showReady = (answer) => {
      const { is_ready: isReady, ...checks } = answer;
      fill(ready, el("p", {}, mark(isReady ? "finalized" : "corrupt", isReady ? "ready" : "not ready")),
        facts(Object.entries(checks).map(([name, { is_ok: isOk, reason }]) => [name, mark(isOk ? "canonical" : "corrupt", reason)])));
    };
    const refresh = () => read(async () => {
      const [tree, text, peers, answer] = await Promise.all([
        get("/fork_choice", { signal }), getMetrics({ signal }), get("/node/peers", { signal }), get("/node/ready", { signal }),
      ]);
      const head = tree.nodes.find((node) => node.root === tree.head);
      Object.assign(chain, { head: head ?? { slot: 0, root: tree.head }, justified: tree.justified, finalized: tree.finalized });
      const stored = await get(`/tree/${Math.max(0, chain.head.slot - RECENT_SLOTS + 1)}?slots=${RECENT_SLOTS}`, { signal });
      const series = parse(text);
      const inMesh = peers.peers.filter((peer) => peer.is_in_mesh).length;
      fill(cells.peers, String(peers.count));
      fill(cells["peers-more"], `${inMesh} in the mesh`, el("div", {}, plural(value(series, "lean_fork_choice_reorgs_total") ?? 0, "reorg")));
      showCommits(series);
      showChain();
      showClock();
      showReady(answer);
      fill(recent, strip(stored, chain.head.slot));
    });

    const ticks = setInterval(showClock, 1000);
    await refresh();
    return {
      told(topic, data) {
        const name = { head: "head", justified_checkpoint: "justified", finalized_checkpoint: "finalized" }[topic];
        if (name !== undefined) {
          chain[name] = { slot: data.slot, root: data.block };
          showChain();
          showClock();
        }
        clearTimeout(timer);
        timer = setTimeout(refresh, SETTLE_MS);
      },
      close() {
        clearInterval(ticks);
        clearTimeout(timer);
      },
    };
  },
};
