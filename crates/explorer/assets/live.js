// A node's events, for as long as the page is looked at.
//
// The stream is opened again and again after a break, and whoever listens is told to read everything anew then: what was
// missed is missed. A page in the background gives its stream back: a node has places for few.

const TOPICS = ["head", "block", "justified_checkpoint", "finalized_checkpoint"];
const RETRY_MS = 500;
const RETRY_MS_MAX = 4000;

/** Follows a node. `told(topic, data)` for each event, `linked(bool)` when the stream opens and breaks; gives a way to stop. */
export function follow(origin, { told, linked }) {
  let source = null;
  let timer = 0;
  let retry = RETRY_MS;

  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    source = new EventSource(`${origin}/lean/v0/events?topics=${TOPICS.join(",")}`);
    source.onopen = () => {
      retry = RETRY_MS;
      linked(true);
    };
    source.onerror = () => {
      close();
      linked(false);
      timer = setTimeout(open, retry);
      retry = Math.min(retry * 2, RETRY_MS_MAX);
    };
    for (const topic of TOPICS) source.addEventListener(topic, (event) => told(topic, JSON.parse(event.data)));
  };
  const seen = () => (document.hidden ? close() : source ?? open());

  document.addEventListener("visibilitychange", seen);
  seen();
  return () => {
    document.removeEventListener("visibilitychange", seen);
    close();
  };
}
