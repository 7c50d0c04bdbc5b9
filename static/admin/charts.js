// The charts, each with its numbers as a table. The server draws them; a fetched picture carries the credential.
import { readPicture } from "./api.js";
import { element, h, row, say, scrolling, set, table } from "./dom.js";
import { count, counted, lastDays, money, moneys } from "./texts.js";

const STATUSES = ["Completed", "Failed", "Processing", "Pending"];
const COUNTED = ["Requests", ...STATUSES];
const REQUESTS = { measure: "requests", noun: "requests", series: STATUSES, place: "charts" };

const CHARTS = [
  {
    name: "hours",
    title: ({ days }) => `Requests by hour, last ${Math.min(48, 24 * days)} hours (UTC)`,
    spans: (stats) => stats.byHour.map(({ hour, ...span }) => ({ ...span, label: `${hour.replace("T", " ")}:00` })),
    columns: ["Hour", ...COUNTED],
    ...REQUESTS,
  },
  {
    name: "days",
    title: ({ days }) => `Requests by day, ${lastDays(days)} (UTC)`,
    spans: (stats) => stats.byDay.map(({ day, ...span }) => ({ ...span, label: day })),
    columns: ["Day", ...COUNTED],
    ...REQUESTS,
  },
  {
    name: "costs",
    title: ({ days }) => `Costs by day, ${lastDays(days)} (UTC)`,
    spans: (stats) => stats.byDay.map(({ day, ...span }) => ({ ...span, label: day })),
    columns: ["Day", "Cost"],
    measure: "cost",
    noun: "costs",
    series: [],
    place: "cost-chart",
  },
];

/** Where the page changes its layout, and with it a chart's place. */
const phone = matchMedia("(max-width: 40rem)");
const sideBySide = matchMedia("(min-width: 60rem)");

const HEIGHT = 200;

/** A chart's padding and border, and the gap between two. */
const FRAME = 30;
const GAP = 16;

/** The gateway draws in such steps, and none narrower. */
const STEP = 40;
const NARROWEST = 280;

const drawn = new Map(); // a chart's name → what its picture was drawn from

let shown = null; // the statistics

for (const layout of [phone, sideBySide]) {
  layout.addEventListener("change", () => shown && showCharts(shown).catch(() => {})); // the next look tries again
}

/** Show the charts anew where their numbers or their place have changed. */
export async function showCharts(stats) {
  shown = stats;
  await Promise.all(CHARTS.map((chart) => showChart(chart, stats)));
}

/** Pixels that a chart has, also while the dashboard is hidden and nothing in it has a width. */
function room() {
  const all = document.querySelector("main").clientWidth;
  const one = sideBySide.matches ? (all - GAP) / 2 : all;
  return Math.max(NARROWEST, Math.floor((one - FRAME) / STEP) * STEP);
}

async function showChart(chart, stats) {
  const figure = element(`chart-${chart.name}`) ?? element(chart.place).appendChild(empty(chart));
  const spans = chart.spans(stats);
  const width = room();
  const content = JSON.stringify([stats.days, width, spans]);
  if (drawn.get(chart.name) === content) return;
  const told = spans.filter(({ [chart.measure]: amount }) => Number(amount) > 0);
  const picture = told.length ? await readPicture(`charts/${chart.name}.svg`, { days: stats.days, width }) : null;
  drawn.set(chart.name, content);
  const title = chart.title(stats);
  say(figure.querySelector("figcaption"), title);
  showPicture(figure.querySelector(".picture"), picture, { width, alt: gist(chart, title, spans) });
  for (const part of figure.querySelectorAll(".legend, details")) part.hidden = !picture;
  set(figure.querySelector("summary"), "aria-label", `Show as table: ${title}`);
  figure.querySelector("details > div").replaceChildren(numbers(chart, title, told.reverse()));
}

function empty({ name, series }) {
  const swatches = series.map((one) => h("li", { class: one.toLowerCase() }, one));
  const legend = swatches.length ? [h("ul", { class: "legend", role: "list" }, ...swatches)] : [];
  const details = h("details", {}, h("summary", {}, "Show as table"), h("div"));
  return h("figure", { id: `chart-${name}` }, h("figcaption"), h("div", { class: "picture" }), ...legend, details);
}

/** Put a picture into its place, or a word where there is none to draw. */
function showPicture(place, picture, { width, alt }) {
  const image = place.querySelector("img") ?? h("img");
  if (image.src) URL.revokeObjectURL(image.src);
  if (!picture) return place.replaceChildren(h("p", {}, alt));
  Object.assign(image, { src: URL.createObjectURL(picture), alt, width, height: HEIGHT });
  if (!image.isConnected) place.replaceChildren(image);
}

/** What is to be seen, in a sentence. */
function gist({ measure, noun }, title, spans) {
  const sum = (key) => spans.reduce((sum, span) => sum + Number(span[key]), 0);
  const most = highest(spans, measure);
  if (!most) return `No ${noun} in this time.`;
  if (measure === "cost") {
    return `${title}: ${money(sum("cost"))} in all, most on ${most.label} with ${money(most.cost)}.`;
  }
  const ends = `${count(sum("completed"))} completed, ${count(sum("failed"))} failed`;
  return `${title}: ${counted(sum("requests"), "request")}, ${ends}; most at ${most.label} with ${count(most.requests)}.`;
}

/** The span with most of `key`; undefined when there is nothing in any. */
function highest(spans, key) {
  const most = Math.max(...spans.map((span) => Number(span[key])));
  return most > 0 ? spans.find((span) => Number(span[key]) === most) : undefined;
}

function numbers({ measure, columns }, title, spans) {
  const costs = moneys(spans.map(({ cost }) => cost));
  const rows = spans.map((span, at) =>
    measure === "cost"
      ? row(span.label, costs[at])
      : row(span.label, ...COUNTED.map((column) => count(span[column.toLowerCase()]))),
  );
  return scrolling(`${title}: as a table`, table("Newest first; what is empty is left out.", columns, rows));
}
