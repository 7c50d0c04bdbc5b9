// What stands around the form: the library, and what is left of the limits. It follows what the form tells.
import "./ai-image-form.js";
import { GatewayClient } from "./gateway.js";

const PAGE = 12;

const COUNT = new Intl.NumberFormat("en");
const MONEY = new Intl.NumberFormat("en", { minimumFractionDigits: 2 });

const element = (id) => document.getElementById(id);
const gateway = new GatewayClient();
const items = new Map(); // asset id → list item

let next = null;

element("form").addEventListener("ai-image-submitted", showUsage);
element("form").addEventListener("ai-image-success", () => refresh());
element("form").addEventListener("ai-image-error", showUsage);
element("more").addEventListener("click", more);
refresh();

/** Read the newest assets and the usage; older assets that are shown already stay. */
async function refresh() {
  showUsage();
  await showing(async () => {
    const { assets, nextCursor } = await gateway.assets({ limit: PAGE });
    if (items.size === 0) next = nextCursor;
    for (const asset of assets.reverse()) {
      if (!items.has(asset.id)) element("assets").prepend(item(asset));
    }
  });
}

async function more() {
  await showing(async () => {
    const { assets, nextCursor } = await gateway.assets({ limit: PAGE, cursor: next });
    next = nextCursor;
    const added = assets.filter((asset) => !items.has(asset.id)).map(item);
    element("assets").append(...added);
    added[0]?.querySelector("a").focus();
  });
}

async function showing(read) {
  try {
    await read();
    problem(null);
  } catch (error) {
    if (error.status === 401) {
      element("library").hidden = true; // the form says what to do
      return;
    }
    problem("Your library could not be loaded. Please try again later.");
  }
  element("library").hidden = false;
  element("library-empty").hidden = items.size > 0 || !element("library-problem").hidden;
  element("more").hidden = next === null;
}

function problem(text) {
  element("library-problem").textContent = text ?? "";
  element("library-problem").hidden = !text;
}

function item({ id, product, brand, fileUrl }) {
  const picture = document.createElement("img");
  Object.assign(picture, { loading: "lazy", decoding: "async", alt: `${product} – ${brand}`, src: fileUrl });
  const link = document.createElement("a");
  Object.assign(link, { href: fileUrl, target: "_blank", rel: "noopener" });
  link.append(picture, ...[product, brand].map(span));
  const entry = document.createElement("li");
  entry.append(link);
  items.set(id, entry);
  return entry;
}

function span(text) {
  const made = document.createElement("span");
  made.dir = "auto";
  made.textContent = text;
  made.setAttribute("aria-hidden", "true"); // the picture's name says it already
  return made;
}

async function showUsage() {
  try {
    const { limit, month } = await gateway.usage();
    // A cost has no currency: what it counts is the operator's affair.
    const spent = Number(month.spent) > 0 && `${MONEY.format(month.spent)} spent this month`;
    const left = `${COUNT.format(limit.remaining)} of ${COUNT.format(limit.quota)} images left this hour`;
    element("usage").textContent = [left, spent].filter(Boolean).join(" · ");
  } catch {
    element("usage").textContent = ""; // it only adorns
  }
}
