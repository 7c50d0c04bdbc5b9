// One picture of the library, large: with its date, a download, its link, and the ways to its neighbours.
import { h, setAttribute, setText } from "./ai-image-form/dom.js";
import { downloadUrl, fileName, isDownloadable } from "./ai-image-form/download.js";
import { fill } from "./ai-image-form/texts.js";
import { texts } from "./page-elements.js";

/** @import { Asset } from "./gateway.js" */

/**
 * @typedef {object} Library
 * @property {(link: HTMLAnchorElement, distance: number) => HTMLAnchorElement|null} neighbour
 * @property {(link: HTMLAnchorElement) => Asset|undefined} assetOf
 */

const DATE = new Intl.DateTimeFormat(texts.language, { dateStyle: "long", timeStyle: "short" });

const picture = h("img", { decoding: "async" });
const missing = h("p", { class: "missing", hidden: true }, texts.pictureMissing);
const title = h("h2", { id: "lightbox-title", dir: "auto" });
const date = h("time");
const download = h("a", { class: "action", target: "_blank", rel: "noopener" });
const copy = h("button", { class: "action", type: "button", onclick: copyLink }, texts.copyLink);
const state = h("p", { role: "status" });
const close = h("button", { class: "icon", type: "button", "aria-label": texts.close, onclick: () => dialog.close() }, "✕");
const [back, forth] = [texts.previous, texts.next].map((label, at) => {
  const onclick = () => step(at === 0 ? -1 : 1);
  return h("button", { class: "icon", type: "button", "aria-label": label, onclick }, at === 0 ? "‹" : "›");
});

const dialog = h("dialog", { id: "lightbox", "aria-labelledby": "lightbox-title" });
dialog.append(
  h("header", {}, title, close),
  h("div", { class: "stage" }, back, h("figure", {}, picture, missing), forth),
  h("footer", {}, h("p", {}, date), download, copy, state),
);
document.body.append(dialog);

/** @type {HTMLAnchorElement|null} of the picture that is shown */
let shown = null;

/** @type {Library|null} */
let library = null;

picture.addEventListener("error", () => (missing.hidden = !(picture.hidden = true)));
dialog.addEventListener("keydown", (event) => {
  const isLeftToRight = getComputedStyle(dialog).direction === "ltr";
  const distance = { ArrowLeft: isLeftToRight ? -1 : 1, ArrowRight: isLeftToRight ? 1 : -1 }[event.key];
  if (distance === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  step(distance);
});
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // its backdrop
});
dialog.addEventListener("close", () => {
  picture.removeAttribute("src");
  shown?.focus(); // the one that was looked at last, which is in sight then
});

/**
 * @param {HTMLAnchorElement} link the picture's, in the library
 * @param {Library} of
 */
export function openLightbox(link, of) {
  library = of;
  show(link);
  if (!dialog.open) dialog.showModal();
  close.focus();
}

/** @param {number} distance */
function step(distance) {
  const link = shown && library?.neighbour(shown, distance);
  if (link) show(link);
}

/** @param {HTMLAnchorElement} link */
function show(link) {
  const asset = library?.assetOf(link);
  if (!asset) return;
  shown = link;
  const { product, brand, fileUrl, createdAt } = asset;
  const name = fileName({ product, brand, storageKey: new URL(fileUrl, location.href).pathname });
  setText(title, fill(texts.alt, { product, brand }));
  setAttribute(title, "title", title.textContent); // long names are cut off
  picture.alt = title.textContent;
  picture.hidden = false;
  missing.hidden = true;
  setAttribute(picture, "src", fileUrl);
  date.dateTime = createdAt;
  setText(date, fill(texts.made, { date: DATE.format(Date.parse(createdAt)) }));
  setText(download, isDownloadable(fileUrl) ? texts.download : texts.open);
  setAttribute(download, "href", downloadUrl(fileUrl, name));
  setAttribute(download, "download", isDownloadable(fileUrl) ? name : null);
  state.textContent = "";
  // Not `disabled`: that would throw the keyboard's focus away.
  setAttribute(back, "aria-disabled", library?.neighbour(link, -1) ? null : "true");
  setAttribute(forth, "aria-disabled", library?.neighbour(link, 1) ? null : "true");
}

async function copyLink() {
  const link = shown;
  const told = await navigator.clipboard?.writeText(shown?.href ?? "").then(
    () => texts.copied,
    () => texts.copyProblem,
  );
  if (link === shown) state.textContent = told ?? texts.copyProblem;
}
