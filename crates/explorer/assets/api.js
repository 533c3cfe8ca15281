// How a node is asked. A refusal keeps the node's own word for why.

const BASE = "/lean/v0";

// A node that is asked too much at once says so; it is asked again after this long, this often.
const BUSY_WAIT_MS = 600;
const BUSY_TRIES = 4;

/** Why there is no answer: `code` is docs/api.md's, or `unreachable`. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** Asks for a path; the response if it is one of success, or has no error in it. */
async function ask(url, accept, signal) {
  for (let tries = 1; ; tries += 1) {
    let response;
    try {
      response = await fetch(url, { headers: { accept }, signal, cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refusal("unreachable", "No connection to the node.");
    }
    if (response.ok) return response;
    const body = await response.json().catch(() => ({}));
    // Not ready is an answer, too: it says why.
    if (body.code === undefined && body.is_ready === false) return { json: async () => body, headers: response.headers };
    if (body.code === "busy" && tries < BUSY_TRIES) {
      await new Promise((resolve) => setTimeout(resolve, BUSY_WAIT_MS * tries));
      continue;
    }
    throw new Refusal(body.code ?? "internal", body.error ?? `The node answered ${response.status}.`);
  }
}

/** An answer up to its end: a node that dies in the middle of one has not answered. */
function whole(body) {
  return body.catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Refusal("unreachable", "The node's answer broke off.");
  });
}

/** The JSON of a route. */
export async function get(route, { signal, origin = "" } = {}) {
  const response = await ask(`${origin}${BASE}${route}`, "application/json", signal);
  return whole(response.json());
}

/** The JSON of a route that is about one block, and that block's root. */
export async function getOf(route, { signal } = {}) {
  const response = await ask(`${BASE}${route}`, "application/json", signal);
  return { root: response.headers.get("x-block-root"), value: await whole(response.json()) };
}

/** The bytes of a route. */
export async function getBytes(route, { signal } = {}) {
  const response = await ask(`${BASE}${route}`, "application/octet-stream", signal);
  return new Uint8Array(await whole(response.arrayBuffer()));
}

/** The text of the metrics. */
export async function getMetrics({ signal, origin = "" } = {}) {
  const response = await ask(`${origin}/metrics`, "text/plain", signal);
  return whole(response.text());
}
