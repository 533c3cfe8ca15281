// The frame: which page an address means, and one stream of events for whichever page is open.

import { absence } from "./absence.js";
import { get } from "./api.js";
import { el, fill } from "./dom.js";
import { follow } from "./live.js";
import { page as archive } from "./archive.js";
import { page as block } from "./block.js";
import { page as database } from "./database.js";
import { page as forks } from "./forks.js";
import { page as overview } from "./overview.js";
import { page as proof } from "./proof.js";
import { page as slots } from "./slots.js";
import { page as state } from "./state.js";
import { page as validators } from "./validators.js";

// A page is `{title, open(main, {args, query}, frame)}`; `open` shows it and may give `{told, close}`.
const PAGES = { "": overview, slots, block, state, forks, validators, database, archive, proof };
const LISTED = ["", "slots", "forks", "validators", "database", "archive", "proof"];

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const link = document.getElementById("link");

let opened = null;
let wasBroken = false;

/** What a page may ask of the frame. */
function frameOf(signal) {
  return {
    signal,
    /** Runs what reads; what is refused is shown in place of the page, or of `where`. */
    async read(work, where = main) {
      try {
        return await work();
      } catch (error) {
        if (error.name === "AbortError" || signal.aborted) return undefined;
        if (error.code === undefined) throw error;
        // What is shown stays: that the node does not answer stands above it.
        const isShown = error.code === "unreachable" && where.childElementCount > 0;
        if (!isShown) fill(where, absence(error));
        return undefined;
      }
    },
  };
}

function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...args] = path.split("/");
  return { name, args: args.map(decodeURIComponent), query: new URLSearchParams(query) };
}

function showNav(name) {
  const within = { block: "slots", state: "slots" }[name] ?? name;
  const links = LISTED.map((one) =>
    el("a", { href: `#/${one}`, "aria-current": one === within ? "page" : null }, PAGES[one].title));
  fill(nav, links, hasNetwork && el("a", { href: "/explorer/network.html" }, "Network"));
}

async function open(isNavigation) {
  opened?.abort.abort();
  opened?.page?.close?.();
  const { name, args, query } = route();
  const page = PAGES[name];
  const abort = new AbortController();
  const current = { abort, page: null };
  opened = current;
  showNav(name);
  document.title = `${page?.title ?? "Not found"} · Lamella`;
  main.setAttribute("aria-busy", "true");
  if (isNavigation) {
    fill(main);
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  if (page === undefined) {
    fill(main, el("p", {}, "There is no such page."));
  } else {
    const shown = await page.open(main, { args, query }, frameOf(abort.signal));
    if (opened === current) current.page = shown ?? null;
    else shown?.close?.();
  }
  if (opened === current) main.removeAttribute("aria-busy");
}

function linked(isLinked) {
  link.className = isLinked ? "link on" : "link off";
  link.textContent = isLinked ? "live" : "no answer, trying again";
  if (!isLinked) {
    wasBroken = true;
    return;
  }
  // After a break everything may be different, also what was refused; but what a person has typed is kept.
  if (wasBroken) {
    identify();
    if (!PAGES[route().name]?.isForm) open(false);
  }
  // A page that was in the background opens its stream again, too.
  wasBroken = true;
}

let hasNetwork = false;

async function identify() {
  try {
    document.getElementById("node").textContent = (await get("/node/identity")).node_id;
    const nodes = await (await fetch("/explorer/nodes.json")).json();
    hasNetwork = nodes.length > 1;
    showNav(route().name);
  } catch {
    // It is asked again when the stream opens.
  }
}

document.getElementById("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = document.getElementById("wanted").value.trim();
  if (wanted !== "") location.hash = `#/block/${encodeURIComponent(wanted)}`;
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => open(true));
identify();
open(false);
follow("", { linked, told: (topic, data) => opened?.page?.told?.(topic, data) });
