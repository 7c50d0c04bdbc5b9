// The table of requests: filters, pages, and rows that change in place.
import { read } from "./api.js";
import { arrange, badge, element, foreign, h, say, set } from "./dom.js";
import { paced } from "./pace.js";
import { counted, duration, fieldOf, moment, momentOfField, money, shortId, took } from "./texts.js";
import { FILTERS, link, show, unfiltered } from "./view.js";

const PAGE = 25;

/** Filters that are out of sight until they are wanted. */
const MORE = ["organizationId", "userId", "since", "until"];

const UNFINISHED = ["pending", "processing"];

const form = element("filters");
const rows = new Map(); // request id → { request, element }
const elsewhere = new Set(); // ids and statuses that are known not to be on this page

let filters = null;
let next = null; // the cursor of the page after this one; null on the last page

/** Whether the page could not be read when it had to be. */
export let isBehind = false;

/** Read the page again, after what was asked for before is there. */
const readSoon = paced(1000, () => load().catch(() => {})); // the next change, or the next look, tries again

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { since, until, ...asked } = Object.fromEntries(new FormData(form));
  show({ ...asked, since: momentOfField(since), until: momentOfField(until), cursor: null });
});
form.elements.status.addEventListener("change", () => form.requestSubmit());
element("clear").addEventListener("click", () => show(unfiltered()));
element("older").addEventListener("click", () => turn({ cursor: next }));
element("newest").addEventListener("click", () => turn({ cursor: null }));

function turn(changes) {
  show(changes);
  element("requests-title").focus({ preventScroll: true });
  element("requests-title").scrollIntoView({ block: "start" });
}

/** Show the page that the URL asks for, unless it is shown. */
export async function showList(view) {
  const asked = Object.fromEntries([...FILTERS, "cursor"].map((name) => [name, view[name] ?? ""]));
  if (JSON.stringify(asked) === JSON.stringify(filters)) return;
  filters = asked;
  elsewhere.clear();
  for (const name of ["status", "q", "organizationId", "userId"]) form.elements[name].value = asked[name];
  for (const name of ["since", "until"]) form.elements[name].value = asked[name] && fieldOf(asked[name]);
  if (MORE.some((name) => asked[name])) element("more-filters").open = true;
  await load();
}

/** Read the shown page again. */
export async function load() {
  const asked = filters;
  try {
    const answer = await read("requests", { ...asked, limit: PAGE });
    if (asked !== filters) return; // something else is looked at by now
    isBehind = false;
    say(element("list-problem"), null);
    next = answer.nextCursor;
    place(answer.requests);
  } catch (error) {
    if (asked !== filters) return;
    isBehind = error.status !== 400;
    if (isBehind) throw error;
    say(element("list-problem"), error.message);
    next = null;
    place([]);
  }
}

/** A request has changed: change its row, or read the page again where the request may come or go. */
export function takeUpdate(body) {
  if (filters === null) return;
  const shown = rows.get(body.requestId);
  if (shown && body.version <= shown.request.version) return;
  if (shown) {
    fill(shown, { ...shown.request, ...body });
    if (!mayBelong(body)) readSoon();
  } else if (!elsewhere.has(`${body.requestId} ${body.status}`) && mayBelong(body) && isWithinPage(body)) {
    elsewhere.add(`${body.requestId} ${body.status}`);
    readSoon();
  }
}

function mayBelong({ status, product, brand, createdAt }) {
  const { status: wanted, q, since, until } = filters;
  if (wanted === "stuck" ? status !== "processing" : wanted && status !== wanted) return false;
  if (!`${product} ${brand}`.toLowerCase().includes(q.trim().toLowerCase())) return false;
  const created = Date.parse(createdAt);
  return !(since && created < Date.parse(since)) && !(until && created >= Date.parse(until));
}

/** Whether a request that is not shown would be on this page, if the filters let it in. */
function isWithinPage({ createdAt }) {
  const [newest, oldest] = [[...rows.values()].at(0), [...rows.values()].at(-1)];
  if (!newest) return !filters.cursor;
  if (filters.cursor && createdAt > newest.request.createdAt) return false;
  return next === null || createdAt >= oldest.request.createdAt;
}

function place(requests) {
  const before = new Map(rows);
  rows.clear();
  for (const request of requests) {
    const shown = before.get(request.requestId) ?? { request: { version: 0 }, element: emptyRow(request) };
    // An update may have been faster than the page.
    fill(shown, shown.request.version > request.version ? { ...request, ...shown.request } : request);
    rows.set(request.requestId, shown);
  }
  const isFiltered = [...FILTERS, "cursor"].some((name) => filters[name]);
  const shown = [...rows.values()].map((one) => one.element);
  arrange(element("requests").tBodies[0], shown.length ? shown : [nothing(isFiltered)]);
  say(element("found"), shown.length ? found(shown.length) : isFiltered ? "No request matches" : "No requests yet");
  showPages();
}

function found(number) {
  if (filters.cursor) return counted(number, "older request");
  return next ? `Newest ${counted(number, "request")}` : counted(number, "request");
}

/** The one row of a table without requests. */
function nothing(isFiltered) {
  const told = isFiltered
    ? ["No request matches these filters. ", h("button", { type: "button", onclick: clear }, "Clear filters")]
    : ["No requests yet. They appear here as soon as somebody ", h("a", { href: "/" }, "submits one"), "."];
  return h("tr", {}, h("td", { class: "nothing", colspan: 7 }, ...told));
}

function clear() {
  show(unfiltered());
  element("requests-title").focus(); // the button goes
}

/** Offer what there is of other pages; focus on a button that goes is not lost. */
function showPages() {
  const pages = element("pages");
  const [isFirst, isLast] = [!filters.cursor, next === null];
  if (isFirst && isLast && pages.contains(document.activeElement)) element("requests-title").focus();
  pages.hidden = isFirst && isLast;
  element("newest").disabled = isFirst;
  element("older").disabled = isLast;
}

function emptyRow({ requestId, product, brand, createdAt, organizationId, userId, retryOf }) {
  const name = link({ request: requestId }, foreign(product));
  set(name, "data-request", requestId);
  const heading = h("th", { scope: "row" }, name, h("small", {}, foreign(brand), retryOf ? " · a retry" : ""));
  const submitted = h("time", { datetime: createdAt, title: new Date(createdAt).toString() }, moment(createdAt));
  const cells = Array.from({ length: 6 }, () => h("td"));
  cells[1].append(submitted);
  cells[4].append(idLink("organizationId", organizationId, "organization"));
  cells[5].append(idLink("userId", userId, "user"));
  return h("tr", {}, heading, ...cells);
}

function idLink(parameter, id, whose) {
  const made = link({ [parameter]: id, cursor: null }, shortId(id));
  set(made, "title", id);
  set(made, "aria-label", `${shortId(id)}: only this ${whose}'s requests`);
  return made;
}

/** Bring a row up to date, in place. */
function fill(shown, request) {
  shown.request = request;
  const [, status, , time, cost] = shown.element.cells;
  status.replaceChildren(...statusOf(request));
  const seconds = took(request);
  time.textContent = seconds == null ? "" : duration(seconds);
  cost.textContent = request.cost == null ? "" : money(request.cost);
}

/** What a request is at: its status, how far it is, and why it failed. */
function statusOf({ status, progress, errorMessage }) {
  const parts = [badge(status)];
  if (UNFINISHED.includes(status) && progress != null) {
    parts.push(h("progress", { max: 100, value: progress, "aria-label": "Progress" }), h("span", {}, `${progress} %`));
  }
  if (status === "failed" && errorMessage) parts.push(h("small", { title: errorMessage }, foreign(errorMessage)));
  return parts;
}

/** A shown request; undefined for others. */
export function requestOf(requestId) {
  return rows.get(requestId)?.request;
}

/** Give focus back to the row whose details were open; to the table's heading where it is gone. */
export function focusRow(requestId) {
  (rows.get(requestId)?.element.querySelector("a") ?? element("requests-title")).focus();
}
