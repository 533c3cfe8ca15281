// A fork tree on a canvas. Ten thousand blocks are ten thousand dots and as many lines: as elements they would take seconds.

import { colour } from "./dom.js";

const PAD = 14;
const AXIS = 22;
const LANE_MAX = 26;
const LANE_MIN = 3;

/** Where things stand on a canvas of this width: `x` of a slot, `y` of a lane. */
export function scale({ from, to, lanes, width }) {
  const step = (width - 2 * PAD) / Math.max(1, to - from);
  const lane = Math.max(LANE_MIN, Math.min(LANE_MAX, 240 / Math.max(1, lanes)));
  return { step, lane, height: PAD * 2 + AXIS + lane * (lanes - 1), x: (slot) => PAD + (slot - from) * step, y: (at) => PAD + at * lane };
}

function axis(context, { from, to, height, scaled }) {
  const room = Math.max(1, Math.round(64 / scaled.step));
  const unit = 10 ** Math.floor(Math.log10(room));
  const every = [1, 2, 5, 10].map((times) => times * unit).find((step) => step >= room);
  context.fillStyle = colour("dim");
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  for (let slot = Math.ceil(from / every) * every; slot <= to; slot += every) {
    context.fillText(String(slot), scaled.x(slot), height - 6);
    context.fillRect(scaled.x(slot), height - AXIS, 1, 4);
  }
}

/** Paints; how many blocks it painted. */
export function paint(canvas, tree, { placed, lanes }, selected) {
  const { from, to, finalized_slot: finalized, damage } = tree;
  const width = canvas.clientWidth || 800;
  const scaled = scale({ from, to, lanes, width });
  const ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = scaled.height * ratio;
  canvas.style.height = `${scaled.height}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  axis(context, { from, to, height: scaled.height, scaled });

  const kinds = [
    ["fork", (node) => !node.block.is_canonical],
    ["chain", (node) => node.block.is_canonical && node.block.slot > finalized],
    ["final", (node) => node.block.is_canonical && node.block.slot <= finalized],
  ];
  const dot = Math.max(0.9, Math.min(5, scaled.step / 2.6, Math.max(scaled.lane / 2.6, 1.5)));
  for (const [name, is] of kinds) {
    const nodes = placed.filter(is);
    context.strokeStyle = colour(name);
    context.fillStyle = colour(name);
    context.lineWidth = scaled.step < 4 ? 1 : 1.75;
    context.beginPath();
    for (const node of nodes) {
      const [x, y] = [scaled.x(node.block.slot), scaled.y(node.lane)];
      if (node.parent === null) context.moveTo(Math.max(0, x - scaled.step), y);
      else {
        context.moveTo(scaled.x(node.parent.block.slot), scaled.y(node.parent.lane));
        // Out of the parent's lane first, then along the own one.
        if (node.parent.lane !== node.lane) context.lineTo(Math.min(x, scaled.x(node.parent.block.slot) + scaled.step * 0.7), y);
      }
      context.lineTo(x, y);
    }
    context.stroke();
    context.beginPath();
    for (const node of nodes) {
      const [x, y] = [scaled.x(node.block.slot), scaled.y(node.lane)];
      context.moveTo(x + dot, y);
      if (name === "fork") context.rect(x - dot, y - dot, 2 * dot, 2 * dot);
      else context.arc(x, y, dot, 0, 2 * Math.PI);
    }
    context.fill();
  }
  context.fillStyle = colour("bad");
  for (const { slot } of damage) {
    if (slot === null) continue;
    const [x, y] = [scaled.x(slot), scaled.y(0)];
    context.beginPath();
    context.moveTo(x, y - 7);
    context.lineTo(x + 6, y + 5);
    context.lineTo(x - 6, y + 5);
    context.fill();
  }
  if (selected) {
    context.strokeStyle = colour("text");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(scaled.x(selected.block.slot), scaled.y(selected.lane), dot + 4, 0, 2 * Math.PI);
    context.stroke();
  }
  return placed.length;
}

/** The block nearest to a point. */
export function nearest(canvas, tree, { placed, lanes }, x, y) {
  const scaled = scale({ from: tree.from, to: tree.to, lanes, width: canvas.clientWidth });
  const distance = (node) => Math.hypot(scaled.x(node.block.slot) - x, (scaled.y(node.lane) - y) * 1.5);
  return placed.reduce((best, node) => (best === null || distance(node) < distance(best) ? node : best), null);
}
