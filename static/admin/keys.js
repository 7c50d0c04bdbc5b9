// Keys for the person on call: search, move through the rows, open one, and a list of the keys.
import { descendant, element } from "./dom.js";

const help = element("keys", HTMLDialogElement);

element("show-keys").addEventListener("click", () => help.showModal());
element("close-keys").addEventListener("click", () => help.close());
for (const dialog of document.querySelectorAll("dialog")) {
  // A click outside: the backdrop is the dialog itself, and what is inside covers it.
  dialog.addEventListener("click", ({ target, clientX, clientY }) => {
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    const isOutside = clientX < left || clientX > right || clientY < top || clientY > bottom;
    if (target === dialog && isOutside) dialog.close();
  });
}

addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || element("dashboard").hidden) return;
  const isTyping = target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
  if (isTyping || document.querySelector("dialog[open]")) return;
  const action = ACTIONS[key];
  if (!action) return;
  event.preventDefault();
  action();
});

/** @type {Record<string, (() => void) | undefined>} */
const ACTIONS = {
  "/": () => descendant(element("filters"), "[name=q]", HTMLInputElement).focus(),
  "?": () => help.showModal(),
  j: () => move(1),
  k: () => move(-1),
};

/**
 * Focus the next row's link, or the one before; Enter opens it, as with any link.
 * @param {1|-1} step
 */
function move(step) {
  /** @type {HTMLAnchorElement[]} */
  const links = [...element("requests").querySelectorAll("a")].filter((link) => link.dataset.request !== undefined);
  const row = document.activeElement?.closest("tr");
  const at = links.findIndex((link) => link.closest("tr") === row);
  const next = at === -1 ? (step === 1 ? 0 : links.length - 1) : at + step;
  links[Math.min(Math.max(next, 0), links.length - 1)]?.focus();
}
