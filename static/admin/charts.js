// The charts, each with its numbers as a table. The server draws them; a fetched picture carries the credential.
import { readPicture } from "./api.js";
import { element, h, row, scrolling, set, table } from "./dom.js";
import { count, counted, money } from "./texts.js";

const COUNTED = ["Requests", "Completed", "Failed", "Processing", "Pending"];

const CHARTS = [
  {
    name: "hours",
    title: ({ days }) => `Requests by hour, last ${Math.min(48, 24 * days)} hours (UTC)`,
    spans: (stats) => stats.byHour.map(({ hour, ...span }) => ({ ...span, label: `${hour.replace("T", " ")}:00` })),
    columns: ["Hour", ...COUNTED],
    place: "charts",
  },
  {
    name: "days",
    title: ({ days }) => `Requests by day, ${lastDays(days)} (UTC)`,
    spans: (stats) => stats.byDay.map(({ day, ...span }) => ({ ...span, label: day })),
    columns: ["Day", ...COUNTED],
    place: "charts",
  },
  {
    name: "costs",
    title: ({ days }) => `Costs by day, ${lastDays(days)} (UTC)`,
    spans: (stats) => stats.byDay.map(({ day, ...span }) => ({ ...span, label: day })),
    columns: ["Day", "Cost"],
    place: "cost-chart",
  },
];

const drawn = new Map(); // a chart's name → what its picture was drawn from

/** Show the charts anew where their numbers have changed. */
export async function showCharts(stats) {
  await Promise.all(CHARTS.map((chart) => showChart(chart, stats)));
}

async function showChart(chart, stats) {
  const spans = chart.spans(stats);
  const content = JSON.stringify([stats.days, spans]);
  if (drawn.get(chart.name) === content) return;
  const picture = await readPicture(`charts/${chart.name}.svg`, { days: stats.days });
  drawn.set(chart.name, content);
  const figure = element(`chart-${chart.name}`) ?? element(chart.place).appendChild(empty(chart.name));
  const title = chart.title(stats);
  figure.querySelector("figcaption").textContent = title;
  set(figure.querySelector(".scroll"), "aria-label", title);
  set(figure.querySelector("summary"), "aria-label", `${title}: the numbers`);
  const image = figure.querySelector("img");
  const before = image.src;
  image.src = URL.createObjectURL(picture);
  image.alt = gist(chart, title, spans);
  if (before) URL.revokeObjectURL(before);
  figure.querySelector("details > div").replaceChildren(numbers(chart, title, spans));
}

function empty(name) {
  const image = h("img", { alt: "", width: 760, height: 260 });
  const details = h("details", {}, h("summary", {}, "The numbers"), h("div"));
  return h("figure", { id: `chart-${name}` }, h("figcaption"), scrolling("", image), details);
}

function gist({ name }, title, spans) {
  const sum = (key) => spans.reduce((sum, span) => sum + Number(span[key]), 0);
  if (name === "costs") {
    const most = highest(spans, "cost");
    return `${title}: ${money(sum("cost"))} in all${most ? `, most on ${most.label} with ${money(most.cost)}` : ""}.`;
  }
  const most = highest(spans, "requests");
  if (!most) return `${title}: none.`;
  const ends = `${count(sum("completed"))} completed, ${count(sum("failed"))} failed`;
  return `${title}: ${counted(sum("requests"), "request")}, ${ends}; most at ${most.label} with ${count(most.requests)}.`;
}

/** The span with most of `key`; undefined when there is nothing in any. */
function highest(spans, key) {
  const most = Math.max(...spans.map((span) => Number(span[key])));
  return most > 0 ? spans.find((span) => Number(span[key]) === most) : undefined;
}

function numbers({ name, columns }, title, spans) {
  const told = spans.filter((span) => span.requests > 0 || Number(span.cost) > 0).reverse();
  if (told.length === 0) return h("p", {}, "Nothing yet.");
  const rows = told.map((span) =>
    name === "costs"
      ? row(span.label, money(span.cost))
      : row(span.label, ...COUNTED.map((column) => count(span[column.toLowerCase()]))),
  );
  return scrolling(`${title}: the numbers`, table("Newest first; what is empty is left out.", columns, rows));
}

function lastDays(days) {
  return days === 1 ? "last day" : `last ${days} days`;
}
