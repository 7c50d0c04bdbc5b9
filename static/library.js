// The library: the user's pictures, newest first, and places for those that are being made.
import { fill } from "./ai-image-form/texts.js";
import { showSmall } from "./ai-image-form/thumbnail.js";
import { GatewayClient, GatewayError } from "./gateway.js";
import { element, texts } from "./page-elements.js";

/** @import { Asset, Body } from "./gateway.js" */

const PAGE_SIZE = 12;

const gateway = new GatewayClient();

/** @type {Map<string, HTMLLIElement>} by asset id */
const items = new Map();

/** @type {Map<string, HTMLLIElement>} of requests that run, by their ids */
const runningItems = new Map();

/** @type {WeakMap<HTMLAnchorElement, Asset>} what each link in the list leads to */
const assetOf = new WeakMap();

/** @type {string|null} the cursor of the page after those that are shown; null after the last one */
let nextCursor = null;

element("more").addEventListener("click", showMore);

/**
 * Keep a picture's place while it is made.
 * @param {Body} body
 */
export function showRunning({ requestId, status, progress, product, brand }) {
  const isRunning = status === "pending" || status === "processing";
  const item = runningItems.get(requestId);
  if (!isRunning) {
    runningItems.delete(requestId);
    item?.remove();
  } else if (item) {
    const bar = item.querySelector("progress");
    if (bar && progress !== null) bar.value = progress;
  } else {
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
  bar.setAttribute("aria-label", fill(texts.alt, { product, brand }));
  place.append(bar);
  const item = document.createElement("li");
  item.append(place, ...[product, brand].map(captionOf));
  return item;
}

/** Read the newest assets; older ones that are shown already stay. */
export function refresh() {
  void showLibrary(async () => {
    const page = await gateway.assets({ limit: PAGE_SIZE });
    if (items.size === 0) nextCursor = page.nextCursor;
    const list = element("assets");
    for (const asset of page.assets.reverse()) {
      const newest = list.querySelector("li:not(:has(.running))"); // what runs stays before it
      if (!items.has(asset.id)) list.insertBefore(itemOf(asset, page.thumbnails), newest);
    }
  });
}

async function showMore() {
  await showLibrary(async () => {
    const page = await gateway.assets({ limit: PAGE_SIZE, cursor: nextCursor });
    nextCursor = page.nextCursor;
    const added = page.assets.filter((asset) => !items.has(asset.id)).map((asset) => itemOf(asset, page.thumbnails));
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
    showProblem(texts.libraryProblem);
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

/**
 * @param {Asset} asset
 * @param {boolean} areMade whether small variants of pictures are made
 */
function itemOf(asset, areMade) {
  const { id, product, brand, fileUrl } = asset;
  const picture = document.createElement("img");
  Object.assign(picture, { loading: "lazy", decoding: "async", alt: fill(texts.alt, { product, brand }) });
  showSmall(picture, fileUrl, { areMade, onMissing: () => picture.replaceWith(missingPicture(picture.alt)) });
  const link = document.createElement("a");
  Object.assign(link, { href: fileUrl, target: "_blank", rel: "noopener" });
  link.append(picture, ...[product, brand].map(captionOf));
  link.addEventListener("click", (event) => enlarge(event, link));
  assetOf.set(link, asset);
  const item = document.createElement("li");
  item.append(link);
  items.set(id, item);
  return item;
}

/**
 * Show a picture large, here. Whoever asks for a tab of its own, or whose connection is gone, gets the link's.
 * @param {MouseEvent} event
 * @param {HTMLAnchorElement} link
 */
function enlarge(event, link) {
  if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  import("./lightbox.js").then(
    ({ openLightbox }) => openLightbox(link, { neighbour, assetOf: (one) => assetOf.get(one) }),
    () => window.open(link.href, "_blank", "noopener"),
  );
}

/**
 * The picture's link that is so many places away; null past the ends.
 * @param {HTMLAnchorElement} link
 * @param {number} distance
 */
function neighbour(link, distance) {
  const links = [...element("assets").querySelectorAll("a")];
  return links[links.indexOf(link) + distance] ?? null;
}

/** @param {string} alt */
function missingPicture(alt) {
  const text = document.createElement("span");
  text.className = "missing";
  text.setAttribute("role", "img");
  text.setAttribute("aria-label", alt);
  text.textContent = texts.pictureMissing;
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
