// The charts, each with its numbers as a table. The server draws them; a fetched picture carries the credential.
import { getFile } from "./api.js";
import { descendant, element, h, row, scrollRegion, setAttribute, setText, table } from "./dom.js";
import { alignedMoney, count, counted, lastDays, money } from "./format.js";

/** @import { Statistics, Totals } from "./types.d.ts" */

/** @typedef {Totals & { label: string }} Span an hour or a day */

/**
 * @typedef {object} Chart
 * @property {string} name as the API has it
 * @property {(statistics: Statistics) => string} title
 * @property {(statistics: Statistics) => Span[]} spans oldest first
 * @property {string} firstColumn
 * @property {"requests"|"cost"} measure
 * @property {string} container the id of the element that the chart stands in
 */

const STATUSES = /** @type {const} */ (["completed", "failed", "processing", "pending"]);

/** @type {Chart[]} */
const CHARTS = [
  {
    name: "hours",
    title: ({ days }) => `Requests by hour, last ${Math.min(48, 24 * days)} hours (UTC)`,
    spans: ({ byHour }) => byHour.map(({ hour, ...span }) => ({ ...span, label: `${hour.replace("T", " ")}:00` })),
    firstColumn: "Hour",
    measure: "requests",
    container: "charts",
  },
  {
    name: "days",
    title: ({ days }) => `Requests by day, ${lastDays(days)} (UTC)`,
    spans: ({ byDay }) => byDay.map(({ day, ...span }) => ({ ...span, label: day })),
    firstColumn: "Day",
    measure: "requests",
    container: "charts",
  },
  {
    name: "costs",
    title: ({ days }) => `Costs by day, ${lastDays(days)} (UTC)`,
    spans: ({ byDay }) => byDay.map(({ day, ...span }) => ({ ...span, label: day })),
    firstColumn: "Day",
    measure: "cost",
    container: "cost-chart",
  },
];

/** Where the page changes its layout, and with it a chart's width. */
const phone = matchMedia("(max-width: 40rem)");
const sideBySide = matchMedia("(min-width: 60rem)");

/** Pixels. */
const HEIGHT = 200;

/** A chart's padding and border, and the gap between two. */
const FRAME = 30;
const GAP = 16;

/** The gateway draws in such steps, and none narrower. */
const STEP = 40;
const MIN_WIDTH = 280;

/** @type {Map<string, string>} a chart's name → what its picture was drawn from */
const drawn = new Map();

/** @type {Statistics|null} */
let shown = null;

for (const layout of [phone, sideBySide]) {
  layout.addEventListener("change", () => {
    if (shown) showCharts(shown).catch(() => {}); // the next poll tries again
  });
}

/**
 * Show the charts anew where their numbers or their width have changed.
 * @param {Statistics} statistics
 */
export async function showCharts(statistics) {
  shown = statistics;
  await Promise.all(CHARTS.map((chart) => showChart(chart, statistics)));
}

/** Pixels that a chart has, also while the dashboard is hidden and nothing in it has a width. */
function availableWidth() {
  const page = descendant(document, "main", HTMLElement).clientWidth;
  const column = sideBySide.matches ? (page - GAP) / 2 : page;
  return Math.max(MIN_WIDTH, Math.floor((column - FRAME) / STEP) * STEP);
}

/**
 * @param {Chart} chart
 * @param {Statistics} statistics
 */
async function showChart(chart, statistics) {
  const shownFigure = document.getElementById(`chart-${chart.name}`);
  const figure = shownFigure ?? element(chart.container).appendChild(emptyFigure(chart));
  const spans = chart.spans(statistics);
  const width = availableWidth();
  const content = JSON.stringify([statistics.days, width, spans]);
  if (drawn.get(chart.name) === content) return;
  const filled = spans.filter((span) => Number(span[chart.measure]) > 0);
  const parameters = { days: statistics.days, width };
  const picture = filled.length ? await getFile(`charts/${chart.name}.svg`, parameters) : null;
  drawn.set(chart.name, content);
  const title = chart.title(statistics);
  setText(descendant(figure, "figcaption", HTMLElement), title);
  showPicture(descendant(figure, ".picture", HTMLElement), picture, { width, alt: summaryOf(chart, title, spans) });
  for (const part of figure.querySelectorAll(".legend, details")) setAttribute(part, "hidden", !picture);
  setAttribute(descendant(figure, "summary", HTMLElement), "aria-label", `Show as table: ${title}`);
  descendant(figure, "details > div", HTMLElement).replaceChildren(tableOf(chart, title, filled.reverse()));
}

/** @param {Chart} chart */
function emptyFigure({ name, measure }) {
  const picture = h("div", { class: "picture" });
  const swatches = STATUSES.map((status) => h("li", { class: status }, columnName(status)));
  const legend = measure === "requests" ? [h("ul", { class: "legend", role: "list" }, ...swatches)] : [];
  const details = h("details", {}, h("summary", {}, "Show as table"), h("div"));
  return h("figure", { id: `chart-${name}` }, h("figcaption"), picture, ...legend, details);
}

/** @param {string} name */
function columnName(name) {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/**
 * Put a picture into its place, or its text where there is nothing to draw.
 * @param {HTMLElement} container
 * @param {Blob|null} picture
 * @param {{ width: number, alt: string }} attributes
 */
function showPicture(container, picture, { width, alt }) {
  const image = container.querySelector("img") ?? h("img");
  if (image.src) URL.revokeObjectURL(image.src);
  if (!picture) {
    container.replaceChildren(h("p", {}, alt));
    return;
  }
  Object.assign(image, { src: URL.createObjectURL(picture), alt, width, height: HEIGHT });
  if (!image.isConnected) container.replaceChildren(image);
}

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
  const counts = /** @type {const} */ (["requests", ...STATUSES]);
  const columns = measure === "cost" ? ["Cost"] : counts.map(columnName);
  const costs = alignedMoney(spans.map(({ cost }) => cost));
  const rows = spans.map((span, at) =>
    measure === "cost" ? row(span.label, costs[at]) : row(span.label, ...counts.map((key) => count(span[key]))),
  );
  const caption = "Newest first; what is empty is left out.";
  return scrollRegion(`${title}: as a table`, table(caption, [firstColumn, ...columns], rows));
}
