// Several nodes on one page: who is where, and whether they agree.

import { mark } from "./absence.js";
import { get, getMetrics } from "./api.js";
import { el, fill, heading, plural, short } from "./dom.js";
import { follow } from "./live.js";
import { commits, parse } from "./metrics.js";

const SETTLE_MS = 150;

const main = document.getElementById("main");
const link = document.getElementById("link");
const nodes = [];

function card(node) {
  const { name, origin, view, isLinked } = node;
  const rows = !isLinked || view === null ? [el("p", {}, mark("unreachable", "does not answer"))] : [
    el("div", { class: "figure" }, String(view.head.slot)),
    el("p", { class: "mono", title: view.head.root }, short(view.head.root)),
    el("dl", { class: "facts" }, [["justified", view.justified], ["finalized", view.finalized], ["peers", view.peers], ["commit", view.commit]]
      .map(([term, text]) => [el("dt", {}, term), el("dd", {}, String(text))])),
  ];
  return el("section", { class: "card", "data-node": name, "data-linked": String(isLinked) },
    el("h2", {}, el("a", { href: `${origin}/explorer/` }, name)), rows);
}

/** Agreement, in words: of the nodes that answer. */
function agreement() {
  const views = nodes.filter((node) => node.isLinked && node.view !== null).map((node) => node.view);
  const silent = nodes.length - views.length;
  const heads = new Set(views.map((view) => view.head.root));
  const slots = views.map((view) => view.head.slot);
  const spread = Math.max(...slots) - Math.min(...slots);
  if (views.length === 0) return mark("unreachable", "no node answers");
  return [
    heads.size === 1 ? mark("finalized", `${plural(views.length, "node")} on one head`)
      : mark(spread <= 1 ? "canonical" : "fork", `${heads.size} heads, ${plural(spread, "slot")} apart`),
    silent > 0 && [" ", mark("unreachable", `${plural(silent, "node")} silent`)],
  ];
}

function show() {
  link.className = nodes.every((node) => node.isLinked) ? "link on" : "link off";
  link.textContent = `${nodes.filter((node) => node.isLinked).length} of ${nodes.length} live`;
  fill(document.getElementById("agreement"), agreement());
  fill(document.getElementById("nodes"), nodes.map(card));
}

async function look(node) {
  const { origin } = node;
  try {
    const [tree, peers, text] = await Promise.all([get("/fork_choice", { origin }), get("/node/peers", { origin }), getMetrics({ origin })]);
    const { count, seconds } = commits(parse(text));
    const head = tree.nodes.find((one) => one.root === tree.head) ?? { slot: 0, root: tree.head };
    node.view = { head, justified: tree.justified.slot, finalized: tree.finalized.slot, peers: peers.count, commit: count === 0 ? "–" : `${((1000 * seconds) / count).toFixed(1)} ms` };
  } catch (error) {
    if (error.code === undefined) throw error;
    node.view = null;
  }
  show();
}

async function begin() {
  const listed = await (await fetch("/explorer/nodes.json")).json();
  if (listed.length === 0) listed.push({ name: (await get("/node/identity")).node_id, origin: location.origin });
  document.title = "Network · Lamella";
  fill(main, heading("Network", el("p", { id: "agreement", role: "status" })), el("div", { id: "nodes", class: "cards" }));
  for (const { name, origin } of listed) {
    const node = { name, origin, view: null, isLinked: false, timer: 0 };
    nodes.push(node);
    follow(origin, {
      linked(isLinked) {
        node.isLinked = isLinked;
        if (isLinked) look(node);
        else show();
      },
      told(topic, data) {
        if (topic === "head" && node.view !== null) {
          node.view.head = { slot: data.slot, root: data.block };
          show();
        }
        clearTimeout(node.timer);
        node.timer = setTimeout(() => look(node), SETTLE_MS);
      },
    });
  }
  show();
}

begin();
