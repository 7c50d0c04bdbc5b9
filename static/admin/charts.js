// The charts: bars that lead to the requests they count, each chart with its numbers as a table too.
import { element, descendant, h, row, scrollRegion, setAttribute, setChildren, setText, table } from "./dom.js";
import { alignedMoney, count, counted, lastDays, money } from "./format.js";
import { listLink } from "./navigation.js";

/** @import { Status } from "../gateway.js" */
/** @import { Statistics, Totals } from "./types.d.ts" */

/** @typedef {Totals & { label: string, tick: string, since: string, until: string }} Span an hour or a day, in UTC */

/**
 * @typedef {object} Chart
 * @property {string} name
 * @property {(statistics: Statistics) => string} title
 * @property {(statistics: Statistics) => Span[]} spans oldest first
 * @property {string} firstColumn
 * @property {"requests"|"cost"} measure
 * @property {string} container the id of the element that the chart stands in
 */

const HOUR = 3_600_000;

/** From the axis upwards. */
const STATUSES = /** @type {const} */ (["completed", "failed", "processing", "pending"]);

/** Most labels below a chart, at any width. */
const MAX_TICKS = 8;

/** Tops of a scale, in powers of ten. */
const ROUND = [1, 1.2, 1.6, 2, 3, 4, 6, 8, 10];

/** @type {Chart[]} */
const CHARTS = [
  {
    name: "hours",
    title: ({ days }) => `Requests by hour, last ${Math.min(48, 24 * days)} hours (UTC)`,
    spans: hoursOf,
    firstColumn: "Hour",
    measure: "requests",
    container: "charts",
  },
  {
    name: "days",
    title: ({ days }) => `Requests by day, ${lastDays(days)} (UTC)`,
    spans: daysOf,
    firstColumn: "Day",
    measure: "requests",
    container: "charts",
  },
  {
    name: "costs",
    title: ({ days }) => `Costs by day, ${lastDays(days)} (UTC)`,
    spans: daysOf,
    firstColumn: "Day",
    measure: "cost",
    container: "cost-chart",
  },
];

/** @type {Map<string, string>} a chart's name → what it was drawn from */
const drawn = new Map();

/** @type {Map<string, HTMLLIElement>} a chart's name and a span's beginning → its bar */
const bars = new Map();

/** @param {Statistics} statistics */
function hoursOf({ byHour }) {
  return byHour.map(({ hour, ...span }) => ({
    ...span,
    ...spanFrom(Date.parse(`${hour}:00:00Z`), HOUR),
    label: `${hour.replace("T", " ")}:00`,
    tick: `${hour.slice(11)}:00`,
  }));
}

/** @param {Statistics} statistics */
function daysOf({ byDay }) {
  return byDay.map(({ day, ...span }) => ({
    ...span,
    ...spanFrom(Date.parse(`${day}T00:00:00Z`), 24 * HOUR),
    label: day,
    tick: day.slice(5),
  }));
}

/**
 * @param {number} start milliseconds since 1970
 * @param {number} length milliseconds
 */
function spanFrom(start, length) {
  return { since: new Date(start).toISOString(), until: new Date(start + length).toISOString() };
}

/**
 * Show the charts anew where their numbers have changed.
 * @param {Statistics} statistics
 */
export function showCharts(statistics) {
  for (const chart of CHARTS) showChart(chart, statistics);
}

/**
 * @param {Chart} chart
 * @param {Statistics} statistics
 */
function showChart(chart, statistics) {
  const spans = chart.spans(statistics);
  const content = JSON.stringify([statistics.days, spans]);
  if (drawn.get(chart.name) === content) return;
  drawn.set(chart.name, content);
  const figure = document.getElementById(`chart-${chart.name}`) ?? element(chart.container).appendChild(emptyFigure(chart));
  const title = chart.title(statistics);
  const summary = summaryOf(chart, title, spans);
  const filled = spans.filter((span) => Number(span[chart.measure]) > 0);
  setText(descendant(figure, "figcaption", HTMLElement), title);
  setText(descendant(figure, ".nothing", HTMLElement), filled.length ? null : summary);
  for (const part of figure.querySelectorAll(".plot, .legend, details")) setAttribute(part, "hidden", !filled.length);
  showBars(chart, descendant(figure, ".plot", HTMLElement), spans);
  setAttribute(descendant(figure, ".bars", HTMLElement), "aria-label", `${summary} The arrow keys move between bars.`);
  setAttribute(descendant(figure, "summary", HTMLElement), "aria-label", `Show as table: ${title}`);
  descendant(figure, "details > div", HTMLElement).replaceChildren(tableOf(chart, title, filled.reverse()));
}

/** @param {Chart} chart */
function emptyFigure({ name, measure }) {
  const list = h("ol", { class: "bars", role: "list" });
  list.addEventListener("keydown", moveBetweenBars);
  const plot = h("div", { class: "plot" }, h("div", { class: "scale", "aria-hidden": "true" }), list);
  const swatches = STATUSES.map((status) => h("li", {}, h("span", { class: status }), columnName(status)));
  const legend = measure === "requests" ? [h("ul", { class: "legend", role: "list" }, ...swatches)] : [];
  const details = h("details", {}, h("summary", {}, "Show as table"), h("div"));
  const nothing = h("p", { class: "nothing" });
  return h("figure", { id: `chart-${name}` }, h("figcaption"), nothing, plot, ...legend, details);
}

/** @param {string} name */
function columnName(name) {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/**
 * @param {Chart} chart
 * @param {HTMLElement} plot
 * @param {Span[]} spans
 */
function showBars({ name, measure }, plot, spans) {
  const top = topOf(Math.max(...spans.map((span) => Number(span[measure])), 0));
  const labels = measure === "cost" ? alignedMoney([String(top), String(top / 2), "0"]) : [top, top / 2, 0].map(wholeNumber);
  descendant(plot, ".scale", HTMLElement).replaceChildren(...labels.map((label) => h("span", {}, label)));
  const step = Math.ceil(spans.length / MAX_TICKS);
  const items = spans.map((span, at) => {
    const key = `${name} ${span.since}`;
    const item = bars.get(key) ?? h("li");
    bars.set(key, item);
    showBar(item, span, measure, top);
    setAttribute(item, "data-tick", (spans.length - 1 - at) % step === 0 ? span.tick : null);
    return item;
  });
  for (const [key, item] of bars) if (key.startsWith(`${name} `) && !items.includes(item)) bars.delete(key);
  const list = descendant(plot, ".bars", HTMLElement);
  setChildren(list, items);
  makeReachable(linksOf(list).find((link) => link.tabIndex === 0) ?? linksOf(list).at(-1));
}

/** @param {number} number */
function wholeNumber(number) {
  return Number.isInteger(number) ? count(number) : "";
}

/**
 * A bar: a link where there is something to be seen. The same element goes on, or the focus in it would be lost.
 * @param {HTMLLIElement} item
 * @param {Span} span
 * @param {"requests"|"cost"} measure
 * @param {number} top of the scale
 */
function showBar(item, span, measure, top) {
  const { since, until } = span;
  if (!(Number(span[measure]) > 0)) {
    item.replaceChildren();
    return;
  }
  const bar = item.querySelector("a") ?? item.appendChild(listLink({ since, until, ...(measure === "cost" && { sort: "cost" }) }));
  if (!bar.hasAttribute("tabindex")) bar.tabIndex = -1;
  setAttribute(bar, "aria-label", wordsOf(span, measure));
  setAttribute(bar, "title", wordsOf(span, measure));
  const parts = measure === "cost" ? /** @type {const} */ (["cost"]) : STATUSES.filter((status) => span[status] > 0);
  const segments = parts.map((part) => {
    const segment = h("span", { class: part });
    segment.style.height = `${(Number(span[part]) / top) * 100}%`;
    return segment;
  });
  bar.replaceChildren(...segments);
}

/**
 * @param {Span} span
 * @param {"requests"|"cost"} measure
 */
function wordsOf(span, measure) {
  if (measure === "cost") return `${span.label}: ${money(span.cost)}`;
  const parts = STATUSES.filter((status) => span[status] > 0).map((status) => `${count(span[status])} ${status}`);
  return `${span.label}: ${counted(span.requests, "request")}, ${parts.join(", ")}`;
}

/**
 * A round number that is not below `most`.
 * @param {number} most
 */
function topOf(most) {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return (ROUND.find((factor) => factor * power >= most) ?? 10) * power;
}

// -- from the keyboard: one stop of the Tab key a chart ---------------------------------------------------------------

/** @param {ParentNode} list */
function linksOf(list) {
  return [...list.querySelectorAll("a")];
}

/** @param {HTMLAnchorElement|undefined} link */
function makeReachable(link) {
  for (const other of link?.closest("ol")?.querySelectorAll("a") ?? []) other.tabIndex = other === link ? 0 : -1;
}

/** @param {KeyboardEvent} event */
function moveBetweenBars(event) {
  const links = linksOf(/** @type {HTMLElement} */ (event.currentTarget));
  const at = links.findIndex((link) => link === document.activeElement);
  /** @type {Record<string, number | undefined>} */
  const places = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: links.length - 1 };
  const to = places[event.key];
  if (at === -1 || to === undefined) return;
  event.preventDefault();
  const link = links[Math.min(Math.max(to, 0), links.length - 1)];
  makeReachable(link);
  link.focus();
}

// -- in words, and as a table -----------------------------------------------------------------------------------------

/**
 * What is to be seen, in a sentence.
 * @param {Chart} chart
 * @param {string} title
 * @param {Span[]} spans
 */
function summaryOf({ measure }, title, spans) {
  /** @param {"requests"|"cost"|"completed"|"failed"} key */
  const total = (key) => spans.reduce((sum, span) => sum + Number(span[key]), 0);
  const most = highest(spans, measure);
  if (!most) return `No ${measure === "cost" ? "costs" : "requests"} in this time.`;
  if (measure === "cost") {
    return `${title}: ${money(total("cost"))} in all, most on ${most.label} with ${money(most.cost)}.`;
  }
  const ended = `${count(total("completed"))} completed, ${count(total("failed"))} failed`;
  const requests = counted(total("requests"), "request");
  return `${title}: ${requests}, ${ended}; most at ${most.label} with ${count(most.requests)}.`;
}

/**
 * The span with most of `measure`; undefined when there is nothing in any.
 * @param {Span[]} spans
 * @param {"requests"|"cost"} measure
 */
function highest(spans, measure) {
  const most = Math.max(...spans.map((span) => Number(span[measure])));
  return most > 0 ? spans.find((span) => Number(span[measure]) === most) : undefined;
}

/**
 * @param {Chart} chart
 * @param {string} title
 * @param {Span[]} spans
 */
function tableOf({ measure, firstColumn }, title, spans) {
  const columns = measure === "cost" ? ["Cost"] : ["Requests", ...STATUSES.map(columnName)];
  const costs = alignedMoney(spans.map(({ cost }) => cost));
  const rows = spans.map((span, at) => {
    const { since, until, label, requests } = span;
    if (measure === "cost") return row(listLink({ since, until, sort: "cost" }, label), costs[at]);
    return row(listLink({ since, until }, label), count(requests), ...STATUSES.map((status) => countOf(span, status)));
  });
  const caption = "Newest first; what is empty is left out.";
  return scrollRegion(`${title}: as a table`, table(caption, [firstColumn, ...columns], rows));
}

/**
 * @param {Span} span
 * @param {Status} status
 */
function countOf(span, status) {
  const { since, until, label, [status]: number } = span;
  if (number === 0) return count(0);
  const link = listLink({ since, until, status }, count(number));
  setAttribute(link, "aria-label", `${label}: ${count(number)} ${status}`);
  return link;
}
