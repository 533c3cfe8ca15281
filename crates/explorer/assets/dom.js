// Elements, and how numbers and roots are written.
//
// Whatever a node answers becomes a text node here, never markup: `el` knows no other way.

/** An element: attributes by name, listeners as `onclick: f`, children as text or nodes; null and false are left out. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replaces what an element shows. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

export const ZERO = "0x" + "0".repeat(64);

/** A root, short; the whole of it is its title, and what is copied from its page. */
export function short(root) {
  return `${root.slice(0, 8)}…${root.slice(-4)}`;
}

/** A link to a block. */
export function blockLink(root, text = short(root)) {
  return el("a", { href: `#/block/${root}`, title: root, class: "mono" }, text);
}

/** A checkpoint as slot and link. */
export function checkpoint({ slot, root }) {
  return root === ZERO ? [`${slot} `, el("span", { class: "dim" }, "(zero root)")] : [`${slot} `, blockLink(root)];
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(count) {
  let unit = 0;
  let value = count;
  while (Math.abs(value) >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || Math.abs(value) >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export function number(value) {
  return value.toLocaleString("en");
}

export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

export function duration(seconds) {
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

/** A sentence in which backquotes mark what is typed. */
export function prose(text) {
  return text.split("`").map((part, at) => (at % 2 === 1 ? el("code", {}, part) : part));
}

/** A heading with what stands beside it. */
export function heading(text, ...beside) {
  return el("div", { class: "heading" }, el("h1", {}, text), ...beside);
}

/** Rows of a name and what it has. */
export function facts(rows) {
  return el("dl", { class: "facts" }, rows.filter(Boolean).map(([name, ...value]) => [el("dt", {}, name), el("dd", {}, ...value)]));
}

/** A table that scrolls by itself where the page is narrow. */
export function table(caption, heads, rows) {
  const head = heads.map((text) => el("th", { scope: "col", class: text.endsWith(" #") ? "right" : null }, text.replace(/ #$/, "")));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", { class: "hidden" }, caption), el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}

/** A cell; figures stand right. */
export function cell(...children) {
  const isFigure = typeof children[0] === "number";
  return el("td", { class: isFigure ? "right" : null }, isFigure ? number(children[0]) : children);
}

/** Colours of the sheet, for what is drawn. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
