// What is looked at lives in the URL's query and nowhere else: a view can be shared, reloaded, and gone back to.
import { element, h, setAttribute } from "./dom.js";

/** @import { Filter, View, ViewChanges } from "./types.d.ts" */

/** @type {Filter[]} */
export const FILTERS = ["status", "q", "organizationId", "userId", "errorCode", "since", "until"];

/** @type {Set<(view: View) => void>} */
const listeners = new Set();

addEventListener("popstate", notify);

/**
 * The URL's view.
 * @returns {View}
 */
export function currentView() {
  return Object.fromEntries(new URLSearchParams(location.search));
}

/**
 * The address of the view that differs by `changes`.
 * @param {ViewChanges} changes
 */
function hrefOf(changes) {
  const view = { ...currentView(), ...changes };
  const set = Object.entries(view).flatMap(([name, value]) => (value ? [[name, value]] : []));
  return set.length ? `?${new URLSearchParams(set)}` : location.pathname;
}

/**
 * Look at something else.
 * @param {ViewChanges} changes
 */
export function navigate(changes) {
  if (hrefOf(changes) === hrefOf({})) return;
  history.pushState(null, "", hrefOf(changes));
  notify();
}

/**
 * Changes that take all filters away, and go back to the newest page.
 * @returns {ViewChanges}
 */
export function withoutFilters() {
  return Object.fromEntries([...FILTERS, "sort", "order", "cursor", "newer"].map((name) => [name, null]));
}

/**
 * Whether a view is one of chosen requests.
 * @param {View} view
 */
export function isFiltered(view) {
  return [...FILTERS, "sort"].some((name) => view[/** @type {Filter} */ (name)]);
}

/** @param {(view: View) => void} listener */
export function onNavigate(listener) {
  listeners.add(listener);
}

function notify() {
  for (const listener of listeners) listener(currentView());
}

/**
 * A link to the view that differs by `changes`. Modified clicks stay the browser's: a new tab works.
 * @param {ViewChanges} changes
 * @param {...(Node|string)} children
 */
export function link(changes, ...children) {
  const anchor = h("a", { href: hrefOf(changes) }, ...children);
  // What else is looked at may have changed since it was made.
  for (const event of ["pointerenter", "focus"]) {
    anchor.addEventListener(event, () => setAttribute(anchor, "href", hrefOf(changes)));
  }
  anchor.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    navigate(changes);
  });
  return anchor;
}

/**
 * A link, from elsewhere on the page, to the list with these filters and no others: the list comes into sight.
 * @param {ViewChanges} filters
 * @param {...(Node|string)} children
 */
export function listLink(filters, ...children) {
  const anchor = link({ ...withoutFilters(), request: null, ...filters }, ...children);
  anchor.addEventListener("click", (event) => {
    if (event.defaultPrevented) showList();
  });
  return anchor;
}

/** Bring the list into sight, and the focus to it. */
export function showList() {
  element("requests-title").focus({ preventScroll: true });
  element("requests-title").scrollIntoView({ block: "start" });
}
