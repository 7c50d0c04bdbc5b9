// What is looked at lives in the URL's query and nowhere else: a view can be shared, reloaded, and gone back to.
import { h } from "./dom.js";

export const FILTERS = ["status", "q", "organizationId", "userId", "since", "until"];

const listeners = new Set();

addEventListener("popstate", tell);

/** The query's parameters. */
export function current() {
  return Object.fromEntries(new URLSearchParams(location.search));
}

/** The address of the view that differs by `changes`; null takes a parameter away. */
export function address(changes) {
  const set = Object.entries({ ...current(), ...changes }).filter(([, value]) => value);
  return set.length ? `?${new URLSearchParams(set)}` : location.pathname;
}

/** Look at something else. */
export function show(changes) {
  if (address(changes) === address({})) return;
  history.pushState(null, "", address(changes));
  tell();
}

/** Changes that take all filters away, and go back to the newest page. */
export function unfiltered() {
  return Object.fromEntries([...FILTERS, "cursor"].map((name) => [name, null]));
}

export function onChange(listener) {
  listeners.add(listener);
}

function tell() {
  for (const listener of listeners) listener(current());
}

/** A link to the view that differs by `changes`. Modified clicks stay the browser's: a new tab works. */
export function link(changes, ...children) {
  const onclick = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(changes);
  };
  return h("a", { href: address(changes), onclick }, ...children);
}
