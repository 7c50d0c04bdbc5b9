// What stands around the form: the library, and what is left of the limits. It follows the form's events.
import { AiImageForm } from "./ai-image-form.js";
import { GatewayClient, GatewayError } from "./gateway.js";
import { element } from "./page-elements.js";
import { showProgress } from "./progress-icon.js";
import "./theme.js";

/** @import { Asset, Body, Usage } from "./gateway.js" */

const PAGE_SIZE = 12;

const COUNT = new Intl.NumberFormat("en");
const MONEY = new Intl.NumberFormat("en", { minimumFractionDigits: 2 });

const form = element("form", AiImageForm);
const gateway = new GatewayClient();

/** @type {Map<string, HTMLLIElement>} by asset id */
const items = new Map();

/** @type {string|null} the cursor of the page after those that are shown; null after the last one */
let nextCursor = null;

form.addEventListener("ai-image-usage", ({ detail }) => showUsage(detail));
form.addEventListener("ai-image-update", ({ detail }) => {
  showProgress(detail);
  showRunning(detail);
  if (detail.status === "completed") refresh(); // here, in another tab, on another device
});
element("more").addEventListener("click", showMore);
refresh();

/** @type {Map<string, HTMLLIElement>} of requests that run, by their ids */
const runningItems = new Map();

/**
 * Keep a picture's place in the library while it is made.
 * @param {Body} body
 */
function showRunning({ requestId, status, progress, product, brand }) {
  const isRunning = status === "pending" || status === "processing";
  const item = runningItems.get(requestId);
  if (!isRunning) {
    runningItems.delete(requestId);
    item?.remove();
  } else if (item) {
    const bar = item.querySelector("progress");
    if (bar && progress !== null) bar.value = progress;
  } else if (!element("library").hidden) {
    const added = runningItemOf(product, brand);
    runningItems.set(requestId, added);
    element("assets").prepend(added);
  }
  element("library-empty").hidden = items.size + runningItems.size > 0 || !element("library-problem").hidden;
}

/**
 * @param {string} product
 * @param {string} brand
 */
function runningItemOf(product, brand) {
  const place = document.createElement("div");
  place.className = "running";
  const bar = document.createElement("progress");
  bar.max = 100;
  bar.setAttribute("aria-label", `${product} – ${brand}`);
  place.append(bar);
  const item = document.createElement("li");
  item.append(place, ...[product, brand].map(captionOf));
  return item;
}

/** Read the newest assets; older ones that are shown already stay. */
function refresh() {
  void showLibrary(async () => {
    const page = await gateway.assets({ limit: PAGE_SIZE });
    if (items.size === 0) nextCursor = page.nextCursor;
    for (const asset of page.assets.reverse()) {
      if (!items.has(asset.id)) element("assets").prepend(itemOf(asset));
    }
  });
}

async function showMore() {
  await showLibrary(async () => {
    const page = await gateway.assets({ limit: PAGE_SIZE, cursor: nextCursor });
    nextCursor = page.nextCursor;
    const added = page.assets.filter((asset) => !items.has(asset.id)).map(itemOf);
    element("assets").append(...added);
    added[0]?.querySelector("a")?.focus();
  });
}

/**
 * Show the library after `read` has put assets into it, or why there is none.
 * @param {() => Promise<void>} read
 */
async function showLibrary(read) {
  try {
    await read();
    showProblem("");
  } catch (error) {
    if (error instanceof GatewayError && error.status === 401) {
      element("library").hidden = true;
      element("signed-out").hidden = false;
      return;
    }
    showProblem("Your library could not be loaded. Please try again later.");
  }
  element("library").hidden = false;
  element("signed-out").hidden = true;
  element("library-empty").hidden = items.size + runningItems.size > 0 || !element("library-problem").hidden;
  element("more").hidden = nextCursor === null;
}

/** @param {string} text empty for no problem */
function showProblem(text) {
  element("library-problem").textContent = text;
  element("library-problem").hidden = !text;
}

/** @param {Asset} asset */
function itemOf({ id, product, brand, fileUrl }) {
  const picture = document.createElement("img");
  Object.assign(picture, { loading: "lazy", decoding: "async", alt: `${product} – ${brand}`, src: fileUrl });
  picture.addEventListener("error", () => picture.replaceWith(missingPicture(picture.alt)));
  const link = document.createElement("a");
  Object.assign(link, { href: fileUrl, target: "_blank", rel: "noopener" });
  link.append(picture, ...[product, brand].map(captionOf));
  const item = document.createElement("li");
  item.append(link);
  items.set(id, item);
  return item;
}

/** @param {string} alt */
function missingPicture(alt) {
  const text = document.createElement("span");
  text.className = "missing";
  text.setAttribute("role", "img");
  text.setAttribute("aria-label", alt);
  text.textContent = "The picture could not be loaded.";
  return text;
}

/** @param {string} text */
function captionOf(text) {
  const caption = document.createElement("span");
  caption.dir = "auto";
  caption.textContent = text;
  caption.setAttribute("aria-hidden", "true"); // the picture's name says it already
  return caption;
}

/** @param {Usage} usage */
function showUsage({ limit, month }) {
  // A cost has no currency: what it counts is the operator's affair.
  const spent = Number(month.spent);
  const left = `${COUNT.format(limit.remaining)} of ${COUNT.format(limit.quota)} images left this hour`;
  element("usage").textContent = spent > 0 ? `${left} · ${MONEY.format(spent)} spent this month` : left;
}
