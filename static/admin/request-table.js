// The table of requests: filters, pages, and rows that change in place.
import { GatewayError } from "../gateway.js";
import { get } from "./api.js";
import { badge, descendant, element, foreign, h, setAttribute, setChildren, setText, time } from "./dom.js";
import { ago, count, counted, duration, fieldValueOf, money, secondsSince, secondsTaken, setCurrency, shortId, timeOfField } from "./format.js";
import { isFiltered, link, navigate, showList, withoutFilters } from "./navigation.js";
import { throttled } from "./throttle.js";

/** @import { Body } from "../gateway.js" */
/** @import { Filter, ListedRequest, RequestPage, View, ViewChanges } from "./types.d.ts" */

/** @typedef {Record<Filter | "sort" | "order" | "cursor" | "newer" | "limit", string>} Query what is asked for; "" for no matter which */

const PAGE_SIZE = "25";

const DEFAULT_SORT = "time";

/** What the buttons between pages are called: for the newest first, the oldest first, and any other order. */
const PAGE_NAMES = {
  newest: ["Newest", "Newer", "Older"],
  oldest: ["Oldest", "Older", "Newer"],
  other: ["First", "Previous", "Next"],
};

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

/** @type {Map<string, { request: ListedRequest, element: HTMLTableRowElement, toldAt: number }>} the shown page, by request id */
const rows = new Map();

/** @type {Set<string>} ids and statuses that are known not to be on this page */
const elsewhere = new Set();

/** @type {Query|null} null: nothing was asked for yet */
let query = null;

/** @type {Query|null} what the rows are of */
let shownQuery = null;

/** @type {string|null} the cursor of the page after this one; null on the last page */
let nextCursor = null;

/** @type {string|null} the cursor of the page before this one; null on the first page */
let previousCursor = null;

/** Whether the page could not be read when it had to be. */
export let isBehind = false;

/** Read the page again, after what was asked for before is there. */
const reload = throttled(1000, () => load().catch(() => {})); // the next change, or the next poll, tries again

/** The same, where the order is not the time's: the database then reads all that the filters select. */
const reloadSorted = throttled(5000, () => load().catch(() => {}));

function reloadSoon() {
  if (query?.sort === DEFAULT_SORT) reload();
  else reloadSorted();
}

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
element("newer").addEventListener("click", () => turnPage({ cursor: null, newer: previousCursor }));
element("newest").addEventListener("click", () => turnPage({ cursor: null, newer: null }));
element("page-size", HTMLSelectElement).addEventListener("change", ({ target }) => {
  const { value } = /** @type {HTMLSelectElement} */ (target);
  turnPage({ limit: value === PAGE_SIZE ? null : value, cursor: null, newer: null });
});
const sorts = [...element("requests").querySelectorAll("button")]; // in the columns' headings: there are no rows yet
for (const button of sorts) {
  button.addEventListener("click", () => sortBy(button.dataset.sort ?? DEFAULT_SORT));
}
element("sort", HTMLSelectElement).addEventListener("change", ({ target }) => {
  const [sort, order] = /** @type {HTMLSelectElement} */ (target).value.split(" ");
  showSorted(sort, order);
});
setInterval(() => {
  if (!document.hidden) for (const { request, element: row } of rows.values()) showTimes(request, row);
}, TICK);

/** @param {ViewChanges} changes */
function turnPage(changes) {
  navigate(changes);
  showList();
}

/**
 * Sort by what a column holds: what is most first, and what is least when that was so already.
 * @param {string} sort
 */
function sortBy(sort) {
  const isMostFirst = query?.sort === sort && query.order === "desc";
  showSorted(sort, isMostFirst ? "asc" : "desc");
}

/**
 * @param {string} sort
 * @param {string} order
 */
function showSorted(sort, order) {
  const named = { sort: sort === DEFAULT_SORT ? null : sort, order: order === "desc" ? null : order };
  navigate({ ...named, cursor: null, newer: null });
}

/**
 * Show the page that the URL asks for, unless it is shown.
 * @param {View} view
 */
export async function showTable(view) {
  const { status = "", q = "", organizationId = "", userId = "", errorCode = "", since = "", until = "" } = view;
  const { sort = DEFAULT_SORT, order = "desc", cursor = "", newer = "", limit = PAGE_SIZE } = view;
  const asked = { status, q, organizationId, userId, errorCode, since, until, sort, order, cursor, newer, limit };
  if (JSON.stringify(asked) === JSON.stringify(query)) return;
  query = asked;
  elsewhere.clear();
  fields.status.value = status;
  fields.q.value = q;
  fields.organizationId.value = organizationId;
  fields.userId.value = userId;
  fields.errorCode.value = errorCode;
  element("page-size", HTMLSelectElement).value = limit;
  showOrder(asked);
  fields.since.value = fieldValueOf(since);
  fields.until.value = fieldValueOf(until);
  if (organizationId || userId || errorCode || since || until) element("more-filters", HTMLDetailsElement).open = true;
  await load();
}

/**
 * Say in which order the rows are, in the columns' headings and in words.
 * @param {Query} asked
 */
function showOrder({ sort, order }) {
  element("sort", HTMLSelectElement).value = `${sort} ${order}`;
  for (const button of sorts) {
    const direction = order === "asc" ? "ascending" : "descending";
    setAttribute(/** @type {Element} */ (button.closest("th")), "aria-sort", button.dataset.sort === sort ? direction : null);
  }
  const names = PAGE_NAMES[sort === DEFAULT_SORT ? (order === "asc" ? "oldest" : "newest") : "other"];
  ["newest", "newer", "older"].forEach((id, at) => setText(element(id), names[at]));
  const words = descendant(element("sort"), ":checked", HTMLOptionElement).textContent;
  setText(descendant(element("requests"), "caption", HTMLElement), `Requests, ${words}. A product's link opens its details.`);
}

/** Read the shown page again. */
export async function load() {
  const [asked, askedAt] = [query, performance.now()];
  try {
    /** @type {RequestPage} */
    const page = await get("requests", { ...asked });
    if (asked !== query) return; // something else is looked at by now
    isBehind = false;
    setText(element("list-problem"), null);
    showPage(page, askedAt);
  } catch (error) {
    if (asked !== query) return;
    isBehind = !(error instanceof GatewayError && error.status === 400);
    if (isBehind) {
      if (asked !== shownQuery) showNothing("The requests could not be loaded; it is tried again.");
      throw error;
    }
    setText(element("list-problem"), /** @type {GatewayError} */ (error).message);
    showPage({ requests: [], previousCursor: null, nextCursor: null, total: 0 }, askedAt);
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
    if (body.version === shown.request.version) return; // a lower one is news, of a database that was set back
    // That it has just begun is all that an update says of when it was sent.
    const sentAt = shown.request.sentAt ?? (body.status === "pending" ? null : body.updatedAt);
    showRow({ ...shown.request, ...body, sentAt }, shown.element, performance.now());
    const hasMoved = query.sort !== DEFAULT_SORT && body.status !== shown.request.status;
    if (hasMoved || !mayMatch(body, query)) reloadSoon();
    return;
  }
  const key = `${body.requestId} ${body.status}`;
  if (elsewhere.has(key) || !mayMatch(body, query) || !isWithinPage(body, query)) return;
  elsewhere.add(key);
  reloadSoon();
}

/** @type {Record<string, string[] | undefined>} the statuses of what may stand for one */
const STATUSES_OF = {
  stuck: ["processing"],
  unfinished: ["pending", "processing"],
  waiting: ["pending"],
  sending: ["pending"],
  not_taken: ["pending", "processing", "completed", "failed"],
  not_in_library: ["completed"],
};

/**
 * Whether the filters may let a request in: who is behind it, which a search finds too, is not known here.
 * @param {Body} body
 * @param {Query} asked
 */
function mayMatch({ status, errorCode, createdAt }, asked) {
  const wanted = STATUSES_OF[asked.status] ?? [asked.status];
  if (asked.status && !wanted.includes(status)) return false;
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
function isWithinPage({ createdAt }, { sort, order, cursor, newer }) {
  if (sort !== DEFAULT_SORT || order !== "desc") return true; // where it belongs is not known here
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
  nextCursor = previousCursor = null;
  const [body] = element("requests", HTMLTableElement).tBodies;
  setChildren(body, [h("tr", {}, h("td", { class: "placeholder", colspan: 7 }, text))]);
  setText(element("found"), null);
  showPageButtons();
}

/**
 * @param {RequestPage} page
 * @param {number} askedAt when the page was asked for: what an update told before, it tells better
 */
function showPage({ requests, previousCursor: previous, nextCursor: next, total }, askedAt) {
  [previousCursor, nextCursor] = [previous, next];
  shownQuery = query;
  const before = new Map(rows);
  rows.clear();
  for (const request of requests) {
    const shown = before.get(request.requestId);
    const isNewer = shown && shown.toldAt > askedAt && shown.request.version > request.version;
    const newest = isNewer ? { ...request, ...shown.request } : request;
    showRow(newest, shown?.element ?? emptyRow(request), isNewer ? shown.toldAt : 0);
  }
  const hasFilters = query !== null && isFiltered({ ...query, sort: "" });
  const shown = [...rows.values()].map((row) => row.element);
  const [body] = element("requests", HTMLTableElement).tBodies;
  setChildren(body, shown.length ? shown : [placeholderRow(hasFilters)]);
  const none = hasFilters ? "No request matches" : "No requests yet";
  setText(element("found"), shown.length ? pageTitle(shown.length, total) : none);
  showPageButtons();
}

/**
 * @param {number} number of requests on this page
 * @param {number} total of all pages
 */
function pageTitle(number, total) {
  if (number === total) return counted(total, "request");
  const all = total >= MAX_COUNTED ? `${count(total)} or more` : count(total);
  return `${number} of ${all} requests`;
}

/**
 * The one row of a table without requests.
 * @param {boolean} hasFilters
 */
function placeholderRow(hasFilters) {
  const content = hasFilters
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
  element("newest", HTMLButtonElement).disabled = isFirst;
  element("newer", HTMLButtonElement).disabled = previousCursor === null;
  element("older", HTMLButtonElement).disabled = isLast;
}

/** @param {ListedRequest} request */
function emptyRow({ requestId, product, brand, createdAt, retryOf, ...request }) {
  const { organizationId, organizationName, userId, userEmail } = request;
  const name = link({ request: requestId }, foreign(product));
  setAttribute(name, "data-request", requestId);
  const submitted = time(createdAt, ago(createdAt));
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
 * @param {ListedRequest} request
 * @param {HTMLTableRowElement} row
 * @param {number} toldAt when an update told of it, on the clock of the page; 0 if none did
 */
function showRow(request, row, toldAt) {
  rows.set(request.requestId, { request, element: row, toldAt });
  row.cells[1].replaceChildren(...statusParts(request));
  showTimes(request, row);
  showCost(request, row);
}

/**
 * @param {ListedRequest} request
 * @param {HTMLTableRowElement} row
 */
function showCost({ cost }, row) {
  row.cells[4].textContent = cost === null ? "" : money(cost);
}

/** Seconds after which a request in processing is stuck; set by the statistics. */
let stuckAfter = Infinity;

/**
 * Take what only the statistics tell, for rows that came before them too.
 * @param {import("./types.d.ts").Statistics} statistics
 */
export function setUnits({ stuckAfterSeconds, currency }) {
  stuckAfter = stuckAfterSeconds;
  setCurrency(currency);
  for (const { request, element: row } of rows.values()) {
    showTimes(request, row);
    showCost(request, row);
  }
}

/**
 * Show what changes by itself: how long ago, for how long, and whether that is too long.
 * @param {ListedRequest} request
 * @param {HTMLTableRowElement} row
 */
function showTimes(request, row) {
  const [, , submitted, took] = row.cells;
  const { status, createdAt, sentAt } = request;
  const isOpen = status === "pending" || status === "processing";
  const isStuck = status === "processing" && secondsSince(sentAt ?? createdAt) > stuckAfter;
  setText(descendant(submitted, "time", HTMLElement), ago(createdAt));
  took.textContent = duration(isOpen ? secondsSince(createdAt) : secondsTaken(request));
  setAttribute(took, "class", isOpen ? "running" : null);
  setAttribute(row, "data-stuck", isStuck);
  setAttribute(took, "title", isStuck ? "Stuck: in processing for too long" : null);
}

/**
 * What a request is at: its status, how far it is, and why it failed.
 * @param {ListedRequest} request
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
