// What is going on: the alerts, the numbers, and the tables of costs and errors.
import { arrange, element, h, row, say, scrolling, set, table } from "./dom.js";
import { count, counted, duration, lastDays, moment, money, moneys, percent, shortId, words } from "./texts.js";
import { link } from "./view.js";

/** Seconds after which a request that was not sent yet is worth a look. */
const WAITS_LONG = 60;

const shownAlerts = new Map(); // an active alert's name and beginning → its list item

export function showNumbers(stats) {
  showAlerts(stats.alerts);
  arrangeTiles(element("now"), tilesOfNow(stats));
  arrangeTiles(element("numbers"), tilesOfDays(stats));
  const span = lastDays(stats.days);
  say(element("numbers-title"), words(span));
  say(element("shares-title"), `Costs and errors, ${span}`);
  element("shares").replaceChildren(...shares(stats));
}

/** An alert that goes on stays the same element: the region tells what is new only. */
function showAlerts(alerts) {
  const active = alerts.filter((alert) => !alert.endedAt);
  const ended = alerts.filter((alert) => alert.endedAt);
  const items = active.map((alert) => {
    const key = `${alert.name} ${alert.since}`;
    const item = shownAlerts.get(key) ?? h("li", {}, h("strong"), h("span"));
    shownAlerts.set(key, item);
    say(item.firstChild, alert.summary);
    say(item.lastChild, `Since ${moment(alert.since)}, seen ${counted(alert.count, "time")}`);
    return item;
  });
  for (const [key, item] of shownAlerts) if (!items.includes(item)) shownAlerts.delete(key);
  arrange(element("active-alerts"), items);
  element("calm").hidden = active.length > 0;
  element("ended-alerts").hidden = ended.length === 0;
  const [summary, list] = element("ended-alerts").children;
  say(summary, `${counted(ended.length, "alert")} ended in the last day`);
  list.replaceChildren(
    ...ended.map(({ summary, since, endedAt, count }) =>
      h("li", {}, `${summary} `, h("span", {}, `${moment(since)} to ${moment(endedAt)}, ${counted(count, "time")}`)),
    ),
  );
}

/** Tiles of which each zero means that all is well. */
function tilesOfNow({ queue, connections, processes, callbackFailures, dispatchFailures }) {
  const waiting = queue.waiting ? `the oldest for ${duration(queue.oldestSeconds)}` : "to be sent to n8n";
  const failures = callbackFailures + dispatchFailures;
  const failed = `${counted(callbackFailures, "callback")}, ${counted(dispatchFailures, "dispatch", "dispatches")}`;
  return [
    ["Waiting", queue.waiting, waiting, queue.oldestSeconds > WAITS_LONG],
    ["Sending", queue.sending, "to n8n, or in doubt"],
    ["Processing", queue.processing, "at n8n"],
    ["Stuck", queue.stuck, "in processing for too long", queue.stuck > 0],
    ["Failures in 24 h", failures, failed, failures > 0],
    ["Connections", connections, `open, in ${counted(processes, "process", "processes")}`],
  ].map(([name, number, ...more]) => [name, count(number), ...more]);
}

function tilesOfDays({ totals, successRate, seconds }) {
  const mean = seconds.mean == null ? "no picture yet" : `${duration(seconds.mean)} on average`;
  return [
    ["Success rate", percent(successRate), `${count(totals.completed)} of ${count(totals.completed + totals.failed)} that ended`],
    ["Requests", count(totals.requests), `${count(totals.failed)} failed`],
    ["Cost", money(totals.cost), "in all"],
    ["Median time", duration(seconds.p50), mean],
    ["95th percentile", duration(seconds.p95), "from submission to picture"],
  ];
}

function arrangeTiles(list, tiles) {
  tiles.forEach(([name, value, note, worrying], at) => {
    const tile = list.children[at] ?? list.appendChild(h("div", {}, h("dt", {}, name), h("dd"), h("dd")));
    say(tile.children[1], value);
    say(tile.children[2], note);
    set(tile, "data-worrying", worrying);
    set(tile, "data-zero", value === "0");
  });
}

function shares({ byOrganization, byUser, errors }) {
  const costs = (title, one, shares, parameter) => {
    const amounts = moneys(shares.map((share) => share.cost));
    const rows = shares.map(({ [parameter]: id, requests }, at) => {
      const filter = link({ [parameter]: id, cursor: null }, shortId(id));
      set(filter, "title", id);
      set(filter, "aria-label", `${shortId(id)}: show the requests of this ${one.toLowerCase()}`);
      return row(filter, count(requests), amounts[at]);
    });
    return part(title, [one, "Requests", "Cost"], rows);
  };
  const byCode = Object.entries(errors).sort(([, one], [, other]) => other - one);
  return [
    costs("Costs by organization", "Organization", byOrganization, "organizationId"),
    costs("Costs by user", "User", byUser, "userId"),
    part("Errors by code", ["Code", "Requests"], byCode.map(([code, times]) => row(words(code), count(times)))),
  ];
}

function part(title, columns, rows) {
  if (rows.length === 0) return h("div", {}, h("h3", {}, title), h("p", {}, "None."));
  return scrolling(title, table(title, columns, rows));
}
