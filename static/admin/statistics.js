// The statistics: the alerts, the tiles of numbers, and the tables of costs and errors.
import { element, h, row, scrollRegion, setAttribute, setChildren, setText, table } from "./dom.js";
import {
  alignedMoney,
  clock,
  count,
  counted,
  dateTime,
  duration,
  lastDays,
  money,
  percent,
  sentenceCase,
  shortId,
} from "./format.js";
import { listLink } from "./navigation.js";
import { setUnits } from "./request-table.js";

/** @import { Alert, Share, Statistics, ViewChanges } from "./types.d.ts" */

/** @typedef {{ name: string, value: string, note: string, isWorrying?: boolean, leadsTo?: ViewChanges }} Tile */

/** Seconds after which a request that was not sent yet is worth a look. */
const LONG_WAIT_SECONDS = 60;

const HOUR = 3_600_000;

/** What failures without an error code are counted as. */
const UNKNOWN = "unknown";

/**
 * The requests that an alert is about: those that were submitted while it fired, where it does not say.
 * @type {Record<string, ViewChanges>}
 */
const ABOUT = {
  stuck_requests: { status: "stuck" },
  assets_refused: { status: "not_in_library" },
  dispatch_failed: { status: "not_taken" },
  callback_wrong_secret: { status: "unfinished" },
  callback_refused: { status: "unfinished" },
  callback_contradiction: { status: "completed" },
};

/** @type {Map<string, { item: HTMLElement, summary: HTMLElement, seen: HTMLElement }>} by name and beginning */
const activeAlerts = new Map();

/** @type {Statistics|null} */
let latest = null;

/** Show what is so now: the statistics' numbers, and among the connections this page's own. */
export function showNow() {
  if (latest) showTiles(element("now"), tilesOfNow(latest));
}

/** @param {Statistics} statistics */
export function showStatistics(statistics) {
  latest = statistics;
  setUnits(statistics);
  showAlerts(statistics.alerts);
  showNow();
  showTiles(element("numbers"), tilesOfDays(statistics));
  const days = lastDays(statistics.days);
  setText(element("numbers-title"), sentenceCase(days));
  setText(element("shares-title"), `Costs and errors, ${days}`);
  element("shares").replaceChildren(...shareTables(statistics));
}

/**
 * An alert that goes on stays the same element: the region tells what is new only.
 * @param {Alert[]} alerts
 */
function showAlerts(alerts) {
  const active = alerts.filter((alert) => !alert.endedAt);
  const ended = alerts.filter((alert) => alert.endedAt);
  /** @type {Element[]} */
  const items = active.map((alert) => {
    const key = `${alert.name} ${alert.since}`;
    const shown = activeAlerts.get(key) ?? emptyAlert(alert);
    activeAlerts.set(key, shown);
    setText(shown.summary, alert.summary);
    setText(shown.seen, `Since ${dateTime(alert.since)}, seen ${counted(alert.count, "time")}`);
    return shown.item;
  });
  for (const [key, { item }] of activeAlerts) if (!items.includes(item)) activeAlerts.delete(key);
  setChildren(element("active-alerts"), items);
  element("no-alerts").hidden = active.length > 0;
  element("ended-alerts").hidden = ended.length === 0;
  setText(element("ended-alerts-title"), `${counted(ended.length, "alert")} ended in the last day`);
  element("ended-alerts-list").replaceChildren(
    ...ended.map((alert) => {
      const { summary, since, endedAt, count: times } = alert;
      const span = `${clock(since)} to ${dateTime(endedAt)}, ${counted(times, "time")} `;
      return h("li", {}, `${summary} `, h("span", {}, span), requestsOf(alert));
    }),
  );
}

/** @param {Alert} alert */
function emptyAlert(alert) {
  const [summary, seen] = [h("strong"), h("span")];
  return { item: h("li", {}, summary, seen, requestsOf(alert)), summary, seen };
}

/**
 * A link to the requests that an alert is about.
 * @param {Alert} alert
 */
function requestsOf({ name, summary, since, endedAt }) {
  const anchor = listLink(endedAt === null ? (ABOUT[name] ?? { since }) : { since, until: endedAt }, "Show requests");
  setAttribute(anchor, "aria-label", `Show requests: ${summary}`);
  return anchor;
}

/**
 * Tiles of which each zero means that all is well.
 * @param {Statistics} statistics
 * @returns {Tile[]}
 */
function tilesOfNow({ queue, connections, processes, callbackFailures, dispatchFailures }) {
  const oldest = queue.waiting ? `the oldest for ${duration(queue.oldestSeconds)}` : "to be sent to n8n";
  const failures = callbackFailures + dispatchFailures;
  const failed = `${counted(callbackFailures, "callback")}, ${counted(dispatchFailures, "dispatch", "dispatches")}`;
  const dayAgo = new Date(Date.now() - 24 * HOUR).toISOString();
  const isLate = queue.oldestSeconds > LONG_WAIT_SECONDS;
  return [
    { name: "Waiting", value: count(queue.waiting), note: oldest, isWorrying: isLate, leadsTo: { status: "waiting" } },
    { name: "Sending", value: count(queue.sending), note: "to n8n, or in doubt", leadsTo: { status: "sending" } },
    { name: "Processing", value: count(queue.processing), note: "at n8n", leadsTo: { status: "processing" } },
    {
      name: "Stuck",
      value: count(queue.stuck),
      note: "in processing for too long",
      isWorrying: queue.stuck > 0,
      leadsTo: { status: "stuck" },
    },
    {
      name: "Failed calls, 24 h",
      value: count(failures),
      note: failed,
      isWorrying: failures > 0,
      leadsTo: { status: "not_taken", since: dayAgo },
    },
    // They are counted every few seconds; the dashboard's own is there already.
    { name: "Connections", value: count(Math.max(connections, isLive() ? 1 : 0)), note: `open, in ${counted(processes, "process", "processes")}` },
  ];
}

/**
 * @param {Statistics} statistics
 * @returns {Tile[]}
 */
function tilesOfDays({ days, totals, successRate, seconds }) {
  const since = new Date(Date.now() - days * 24 * HOUR).toISOString();
  const mean = seconds.mean == null ? "no picture yet" : `${duration(seconds.mean)} on average`;
  const ended = `${count(totals.completed)} of ${count(totals.completed + totals.failed)} that ended`;
  const slowest = { status: "completed", sort: "duration", since };
  return [
    { name: "Success rate", value: percent(successRate), note: ended, leadsTo: { status: "completed", since } },
    { name: "Requests", value: count(totals.requests), note: "submitted", leadsTo: { since } },
    { name: "Failed", value: count(totals.failed), note: "requests", leadsTo: { status: "failed", since } },
    { name: "Cost", value: money(totals.cost), note: "in all", leadsTo: { sort: "cost", since } },
    { name: "Median time", value: duration(seconds.p50), note: mean, leadsTo: slowest },
    { name: "95th percentile", value: duration(seconds.p95), note: "from submission to picture", leadsTo: slowest },
  ];
}

/**
 * @param {HTMLElement} list
 * @param {Tile[]} tiles
 */
function showTiles(list, tiles) {
  tiles.forEach(({ name, value, note, isWorrying, leadsTo }, at) => {
    const tile = list.children[at] ?? list.appendChild(h("div", {}, h("dt"), h("dd"), h("dd")));
    const term = tile.children[0];
    // A link that has the focus is left alone: what it counts from is some seconds older.
    if (!term.contains(document.activeElement)) term.replaceChildren(leadsTo ? listLink(leadsTo, name) : name);
    const [number, remark] = tile.querySelectorAll("dd");
    setText(number, value);
    setText(remark, note);
    setAttribute(tile, "data-worrying", isWorrying);
    setAttribute(tile, "data-zero", value === "0");
  });
}

function isLive() {
  return element("live").dataset.state === "live";
}

/** @param {Statistics} statistics */
function shareTables({ days, byOrganization, byUser, errors }) {
  const since = new Date(Date.now() - days * 24 * HOUR).toISOString();
  const byCode = Object.entries(errors).sort(([, one], [, other]) => other - one);
  const errorRows = byCode.map(([code, requests]) => {
    const name = sentenceCase(code);
    return row(code === UNKNOWN ? name : listLink({ errorCode: code, since }, name), count(requests));
  });
  return [
    costTable("Costs by organization", "Organization", byOrganization, "organizationId", since),
    costTable("Costs by user", "User", byUser, "userId", since),
    titledTable("Errors by code", ["Code", "Requests"], errorRows),
  ];
}

/**
 * @param {string} title
 * @param {string} noun
 * @param {Share[]} shares
 * @param {"organizationId"|"userId"} parameter
 * @param {string} since what is counted
 */
function costTable(title, noun, shares, parameter, since) {
  const amounts = alignedMoney(shares.map((share) => share.cost));
  const rows = shares.map(({ [parameter]: id = "", name, requests }, at) => {
    const filter = listLink({ [parameter]: id, since }, name ?? shortId(id));
    setAttribute(filter, "title", name === null ? id : `${name} (${id})`);
    setAttribute(filter, "aria-label", `${name ?? shortId(id)}: show the requests of this ${noun.toLowerCase()}`);
    return row(filter, count(requests), amounts[at]);
  });
  return titledTable(title, [noun, "Requests", "Cost"], rows);
}

/**
 * @param {string} title
 * @param {string[]} columns
 * @param {HTMLTableRowElement[]} rows
 */
function titledTable(title, columns, rows) {
  if (rows.length === 0) return h("div", {}, h("h3", {}, title), h("p", {}, "None."));
  return scrollRegion(title, table(title, columns, rows));
}
