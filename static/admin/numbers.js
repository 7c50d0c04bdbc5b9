// What is going on: the alerts, the numbers, and the tables of costs and errors.
import { arrange, element, h, row, say, scrolling, set, table } from "./dom.js";
import { count, counted, duration, moment, money, percent, shortId, words } from "./texts.js";
import { link } from "./view.js";

/** Seconds after which a request that was not sent yet is worth a look. */
const WAITS_LONG = 60;

const shownAlerts = new Map(); // an active alert's name and beginning → its list item

export function showNumbers(stats) {
  showAlerts(stats.alerts);
  arrangeTiles(stats);
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

function tiles({ days, totals, successRate, seconds, queue, connections, processes, ...stats }) {
  const ended = totals.completed + totals.failed;
  const span = days === 1 ? "the last day" : `the last ${days} days`;
  const { callbackFailures, dispatchFailures } = stats;
  const mean = seconds.mean == null ? "no picture yet" : `${duration(seconds.mean)} on average`;
  const waiting = queue.waiting ? `the oldest for ${duration(queue.oldestSeconds)}` : "to be sent to n8n";
  return [
    ["Success rate", percent(successRate), `${count(totals.completed)} of ${count(ended)} that ended`],
    ["Requests", count(totals.requests), `in ${span}, ${count(totals.failed)} failed`],
    ["Cost", money(totals.cost), `in ${span}`],
    ["Half take up to", duration(seconds.p50), mean],
    ["95 % take up to", duration(seconds.p95), "from submission to picture"],
    ["Connections", count(connections), `open, in ${counted(processes, "process", "processes")}`],
    ["Waiting", count(queue.waiting), waiting, queue.oldestSeconds > WAITS_LONG],
    ["Sending", count(queue.sending), "to n8n, or in doubt"],
    ["Processing", count(queue.processing), "at n8n"],
    ["Stuck", count(queue.stuck), "in processing for too long", queue.stuck > 0],
    ["Callback failures", count(callbackFailures), "in the last 24 hours", callbackFailures > 0],
    ["Dispatch failures", count(dispatchFailures), "in the last 24 hours", dispatchFailures > 0],
  ];
}

function arrangeTiles(stats) {
  const list = element("numbers");
  tiles(stats).forEach(([name, value, note, worrying], at) => {
    const tile = list.children[at] ?? list.appendChild(h("div", {}, h("dt", {}, name), h("dd"), h("dd")));
    say(tile.children[1], value);
    say(tile.children[2], note);
    set(tile, "data-worrying", worrying);
  });
}

function shares({ byOrganization, byUser, errors }) {
  const costs = (title, one, shares, parameter) =>
    part(
      title,
      [one, "Requests", "Cost"],
      shares.map((share) => {
        const id = share[parameter];
        const filter = link({ [parameter]: id, cursor: null }, shortId(id));
        set(filter, "title", id);
        set(filter, "aria-label", `${shortId(id)}: show the requests of this ${one.toLowerCase()}`);
        return row(filter, count(share.requests), money(share.cost));
      }),
    );
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
