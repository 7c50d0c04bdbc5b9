// What the dashboard's parts build their tables and lists from.
import { h } from "../ai-image-form/dom.js";
import { exactTime } from "./format.js";

export { h, setAttribute, setText } from "../ai-image-form/dom.js";
export { descendant, element } from "../page-elements.js";

/**
 * Text of somebody else's: it keeps its direction to itself.
 * @param {string} text
 */
export function foreign(text) {
  return h("bdi", {}, text);
}

/**
 * A table's row; the first cell names it.
 * @param {Node|string} first
 * @param {...(Node|string)} cells
 */
export function row(first, ...cells) {
  return h("tr", {}, h("th", { scope: "row" }, first), ...cells.map((cell) => h("td", {}, cell)));
}

/**
 * A whole table.
 * @param {string} caption
 * @param {string[]} columns
 * @param {HTMLTableRowElement[]} rows
 */
export function table(caption, columns, rows) {
  const head = h("tr", {}, ...columns.map((column) => h("th", { scope: "col" }, column)));
  return h("table", {}, h("caption", {}, caption), h("thead", {}, head), h("tbody", {}, ...rows));
}

/**
 * A region that scrolls by itself, from the keyboard too.
 * @param {string} label
 * @param {Node} content
 */
export function scrollRegion(label, content) {
  return h("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, content);
}

/**
 * A status as a coloured word.
 * @param {string} status
 */
export function badge(status) {
  return h("span", { class: "badge", "data-status": status }, status);
}

/**
 * Make these the children, in this order. Those that stay are not moved, so that focus stays where it is.
 * @param {Element} parent
 * @param {Element[]} children
 */
export function setChildren(parent, children) {
  const kept = new Set(children);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  children.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
}

/**
 * A time, as `text` has it; pointed at, in full.
 * @param {string} iso
 * @param {string} text
 */
export function time(iso, text) {
  return h("time", { datetime: iso, title: exactTime(iso) }, text);
}
