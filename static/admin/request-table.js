// The table of requests: filters, pages, and rows that change in place.
import { GatewayError } from "../gateway.js";
import { get } from "./api.js";
import { badge, descendant, element, foreign, h, setAttribute, setChildren, setText } from "./dom.js";
import { ago, count, counted, duration, fieldValueOf, money, secondsTaken, shortId, timeOfField, TIME_ZONE } from "./format.js";
import { link, navigate, withoutFilters } from "./navigation.js";
import { throttled } from "./throttle.js";

/** @import { Body } from "../gateway.js" */
/** @import { AdminRequest, Filter, RequestPage, View, ViewChanges } from "./types.d.ts" */

/** @typedef {Record<Filter | "cursor" | "newer" | "limit", string>} Query what is asked for; "" for no matter which */

const PAGE_SIZE = "25";

/** So many requests are counted at most. */
const MAX_COUNTED = 10_000;

/** How often what says “ago” is written anew, in milliseconds. */
const TICK = 5000;

const form = element("filters", HTMLFormElement);

const fields = {
  status: descendant(form, "[name=status]", HTMLSelectElement),
  q: descendant(form, "[name=q]", HTMLInputElement),
  organizationId: descendant(form, "[name=organizationId]", HTMLInputElement),
  userId: descendant(form, "[name=userId]", HTMLInputElement),
  errorCode: descendant(form, "[name=errorCode]", HTMLInputElement),
  since: descendant(form, "[name=since]", HTMLInputElement),
  until: descendant(form, "[name=until]", HTMLInputElement),
};

/** @type {Map<string, { request: AdminRequest, element: HTMLTableRowElement }>} the shown page, by request id */
const rows = new Map();

/** @type {Set<string>} ids and statuses that are known not to be on this page */
const elsewhere = new Set();

/** @type {Query|null} null: nothing was asked for yet */
let query = null;

/** @type {Query|null} what the rows are of */
let shownQuery = null;

/** @type {string|null} the cursor of the page after this one; null on the last page */
let nextCursor = null;

/** Whether the page could not be read when it had to be. */
export let isBehind = false;

/** Read the page again, after what was asked for before is there. */
const reloadSoon = throttled(1000, () => load().catch(() => {})); // the next change, or the next poll, tries again

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { status, q, organizationId, userId, errorCode, since, until } = fields;
  navigate({
    status: status.value,
    q: q.value,
    organizationId: organizationId.value,
    userId: userId.value,
    errorCode: errorCode.value,
    since: timeOfField(since.value),
    until: timeOfField(until.value),
    cursor: null,
    newer: null,
  });
});
fields.status.addEventListener("change", () => form.requestSubmit());
element("clear").addEventListener("click", () => navigate(withoutFilters()));
element("older").addEventListener("click", () => turnPage({ cursor: nextCursor, newer: null }));
element("newer").addEventListener("click", () => turnPage({ cursor: null, newer: [...rows.keys()][0] ?? null }));
element("newest").addEventListener("click", () => turnPage({ cursor: null, newer: null }));
element("page-size", HTMLSelectElement).addEventListener("change", ({ target }) => {
  const { value } = /** @type {HTMLSelectElement} */ (target);
  turnPage({ limit: value === PAGE_SIZE ? null : value, cursor: null, newer: null });
});
setText(element("submitted-column"), `Submitted (${TIME_ZONE})`);
setInterval(() => {
  if (!document.hidden) for (const { request, element: row } of rows.values()) showTimes(request, row);
}, TICK);

/** @param {ViewChanges} changes */
function turnPage(changes) {
  navigate(changes);
  element("requests-title").focus({ preventScroll: true });
  element("requests-title").scrollIntoView({ block: "start" });
}

/**
 * Show the page that the URL asks for, unless it is shown.
 * @param {View} view
 */
export async function showTable(view) {
  const { status = "", q = "", organizationId = "", userId = "", errorCode = "", since = "", until = "" } = view;
  const { cursor = "", newer = "", limit = PAGE_SIZE } = view;
  const asked = { status, q, organizationId, userId, errorCode, since, until, cursor, newer, limit };
  if (JSON.stringify(asked) === JSON.stringify(query)) return;
  query = asked;
  elsewhere.clear();
  fields.status.value = status;
  fields.q.value = q;
  fields.organizationId.value = organizationId;
  fields.userId.value = userId;
  fields.errorCode.value = errorCode;
  element("page-size", HTMLSelectElement).value = limit;
  fields.since.value = fieldValueOf(since);
  fields.until.value = fieldValueOf(until);
  if (organizationId || userId || errorCode || since || until) element("more-filters", HTMLDetailsElement).open = true;
  await load();
}

/** Read the shown page again. */
export async function load() {
  const asked = query;
  try {
    /** @type {RequestPage} */
    const page = await get("requests", { ...asked });
    if (asked !== query) return; // something else is looked at by now
    isBehind = false;
    setText(element("list-problem"), null);
    showPage(page);
  } catch (error) {
    if (asked !== query) return;
    isBehind = !(error instanceof GatewayError && error.status === 400);
    if (isBehind) {
      if (asked !== shownQuery) showNothing("The requests could not be loaded; it is tried again.");
      throw error;
    }
    setText(element("list-problem"), /** @type {GatewayError} */ (error).message);
    showPage({ requests: [], nextCursor: null, total: 0 });
  }
}

/**
 * A request has changed: change its row, or read the page again where the request may come or go.
 * @param {Body} body
 */
export function applyUpdate(body) {
  if (query === null) return;
  const shown = rows.get(body.requestId);
  if (shown) {
    if (body.version <= shown.request.version) return;
    showRow({ ...shown.request, ...body }, shown.element);
    if (!mayMatch(body, query)) reloadSoon();
    return;
  }
  const key = `${body.requestId} ${body.status}`;
  if (elsewhere.has(key) || !mayMatch(body, query) || !isWithinPage(body, query)) return;
  elsewhere.add(key);
  reloadSoon();
}

/**
 * Whether the filters may let a request in: who is behind it, which a search finds too, is not known here.
 * @param {Body} body
 * @param {Query} asked
 */
function mayMatch({ status, errorCode, createdAt }, asked) {
  const isOpen = status === "pending" || status === "processing";
  const wanted = asked.status === "stuck" ? "processing" : asked.status;
  if (wanted === "unfinished" ? !isOpen : wanted && status !== wanted) return false;
  if (asked.errorCode && errorCode !== asked.errorCode) return false;
  const created = Date.parse(createdAt);
  const isEarly = asked.since && created < Date.parse(asked.since);
  const isLate = asked.until && created >= Date.parse(asked.until);
  return !isEarly && !isLate;
}

/**
 * Whether a request that is not shown would be on this page, if the filters let it in.
 * @param {Body} body
 * @param {Query} asked
 */
function isWithinPage({ createdAt }, { cursor, newer }) {
  const shown = [...rows.values()];
  const [newest, oldest] = [shown.at(0), shown.at(-1)];
  if (!newest || !oldest) return !cursor;
  if ((cursor || newer) && createdAt > newest.request.createdAt) return false;
  return nextCursor === null || createdAt >= oldest.request.createdAt;
}

/**
 * Take the rows away, which are of another question than the one that is asked.
 * @param {string} text
 */
function showNothing(text) {
  rows.clear();
  nextCursor = null;
  const [body] = element("requests", HTMLTableElement).tBodies;
  setChildren(body, [h("tr", {}, h("td", { class: "placeholder", colspan: 7 }, text))]);
  setText(element("found"), null);
  showPageButtons();
}

/** @param {RequestPage} page */
function showPage({ requests, nextCursor: next, total }) {
  nextCursor = next;
  shownQuery = query;
  const before = new Map(rows);
  rows.clear();
  for (const request of requests) {
    const shown = before.get(request.requestId);
    // An update may have been faster than the page.
    const isNewer = shown && shown.request.version > request.version;
    showRow(isNewer ? { ...request, ...shown.request } : request, shown?.element ?? emptyRow(request));
  }
  const isFiltered = query !== null && Object.entries(query).some(([name, value]) => name !== "limit" && value);
  const shown = [...rows.values()].map((row) => row.element);
  const [body] = element("requests", HTMLTableElement).tBodies;
  setChildren(body, shown.length ? shown : [placeholderRow(isFiltered)]);
  const none = isFiltered ? "No request matches" : "No requests yet";
  setText(element("found"), shown.length ? pageTitle(shown.length, total) : none);
  showPageButtons();
}

/**
 * @param {number} number of requests on this page
 * @param {number} total of all pages
 */
function pageTitle(number, total) {
  if (number === total) return counted(total, "request");
  const all = total >= MAX_COUNTED ? `more than ${count(total)}` : count(total);
  return `${number} of ${all} requests`;
}

/**
 * The one row of a table without requests.
 * @param {boolean} isFiltered
 */
function placeholderRow(isFiltered) {
  const content = isFiltered
    ? ["No request matches these filters. ", h("button", { type: "button", onclick: clearFilters }, "Clear filters")]
    : ["No requests yet. They appear here as soon as somebody ", h("a", { href: "/" }, "submits one"), "."];
  return h("tr", {}, h("td", { class: "placeholder", colspan: 7 }, ...content));
}

function clearFilters() {
  navigate(withoutFilters());
  element("requests-title").focus(); // the button goes
}

/** Offer what there is of other pages; focus on a button that goes is not lost. */
function showPageButtons() {
  const pages = element("pages");
  const [isFirst, isLast] = [!query?.cursor && !query?.newer, nextCursor === null];
  if (isFirst && isLast && pages.contains(document.activeElement)) element("requests-title").focus();
  pages.hidden = isFirst && isLast;
  element("newest", HTMLButtonElement).disabled = element("newer", HTMLButtonElement).disabled = isFirst;
  element("older", HTMLButtonElement).disabled = isLast;
}

/** @param {AdminRequest} request */
function emptyRow({ requestId, product, brand, createdAt, retryOf, ...request }) {
  const { organizationId, organizationName, userId, userEmail } = request;
  const name = link({ request: requestId }, foreign(product));
  setAttribute(name, "data-request", requestId);
  const submitted = h("time", { datetime: createdAt, title: new Date(createdAt).toString() }, ago(createdAt));
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, name, h("small", {}, foreign(brand), retryOf ? " · a retry" : "")),
    h("td"),
    h("td", {}, submitted),
    h("td"),
    h("td"),
    h("td", {}, idLink("organizationId", organizationId, organizationName, "organization")),
    h("td", {}, idLink("userId", userId, userEmail, "user")),
  );
}

/**
 * @param {"organizationId"|"userId"} parameter
 * @param {string} id
 * @param {string|null} name
 * @param {string} noun
 */
function idLink(parameter, id, name, noun) {
  const anchor = link({ [parameter]: id, cursor: null, newer: null }, name === null ? shortId(id) : foreign(name));
  setAttribute(anchor, "title", name === null ? id : `${name} (${id})`);
  setAttribute(anchor, "class", name === null ? null : "name");
  setAttribute(anchor, "aria-label", `${name ?? shortId(id)}: only this ${noun}'s requests`);
  return anchor;
}

/**
 * Bring a row up to date, in place.
 * @param {AdminRequest} request
 * @param {HTMLTableRowElement} row
 */
function showRow(request, row) {
  rows.set(request.requestId, { request, element: row });
  const [, status, , , cost] = row.cells;
  status.replaceChildren(...statusParts(request));
  showTimes(request, row);
  cost.textContent = request.cost === null ? "" : money(request.cost);
}

/** Seconds after which a request in processing is stuck; set by the statistics. */
let stuckAfter = Infinity;

/** @param {number} seconds */
export function setStuckAfter(seconds) {
  stuckAfter = seconds;
  for (const { request, element: row } of rows.values()) showTimes(request, row);
}

/**
 * Show what changes by itself: how long ago, for how long, and whether that is too long.
 * @param {AdminRequest} request
 * @param {HTMLTableRowElement} row
 */
function showTimes(request, row) {
  const [, , submitted, time] = row.cells;
  const { status, createdAt } = request;
  const isOpen = status === "pending" || status === "processing";
  const elapsed = Math.max(0, (Date.now() - Date.parse(createdAt)) / 1000);
  const isStuck = status === "processing" && elapsed > stuckAfter;
  setText(descendant(submitted, "time", HTMLElement), ago(createdAt));
  time.textContent = duration(isOpen ? Math.round(elapsed) : secondsTaken(request));
  setAttribute(time, "class", isOpen ? "running" : null);
  setAttribute(row, "data-stuck", isStuck);
  setAttribute(time, "title", isStuck ? "Stuck: in processing for too long" : null);
}

/**
 * What a request is at: its status, how far it is, and why it failed.
 * @param {AdminRequest} request
 */
function statusParts({ status, progress, errorMessage }) {
  /** @type {Node[]} */
  const parts = [badge(status)];
  if ((status === "pending" || status === "processing") && progress !== null) {
    parts.push(h("progress", { max: 100, value: progress, "aria-label": "Progress" }), h("span", {}, `${progress} %`));
  }
  if (status === "failed" && errorMessage) parts.push(h("small", { title: errorMessage }, foreign(errorMessage)));
  return parts;
}

/**
 * A shown request; undefined for others.
 * @param {string} requestId
 */
export function shownRequest(requestId) {
  return rows.get(requestId)?.request;
}

/**
 * Give focus back to the row whose details were open; to the table's heading where it is gone.
 * @param {string|null} requestId
 */
export function focusRow(requestId) {
  const anchor = requestId === null ? null : rows.get(requestId)?.element.querySelector("a");
  (anchor ?? element("requests-title")).focus();
}
