// The tab's title and icon tell of what runs, and of its end while somebody looks elsewhere.
import { descendant } from "./page-elements.js";

/** @import { Body } from "./gateway.js" */

const icon = descendant(document, "link[rel=icon]", HTMLLinkElement);
const [usualTitle, usualIcon] = [document.title, icon.href];

/** @type {Map<string, number>} progress in percent, by the id of each request that runs */
const running = new Map();

/** @type {{ product: string, isCompleted: boolean }|null} what ended while nobody looked */
let ended = null;

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  ended = null;
  show();
});

/** @param {Body} body a request that has changed */
export function showProgress({ requestId, status, progress, product }) {
  const isRunning = status === "pending" || status === "processing";
  const hasRun = running.delete(requestId);
  if (isRunning) running.set(requestId, progress ?? 0);
  else if (hasRun && document.hidden) ended = { product, isCompleted: status === "completed" };
  show();
}

function show() {
  const percents = [...running.values()];
  const percent = percents.length ? Math.min(...percents) : null;
  const end = ended && `${ended.isCompleted ? "✓" : "✕"} ${ended.product}`;
  const told = end ?? (percent === null ? null : `${percent} %`);
  document.title = told === null ? usualTitle : `${told} · ${usualTitle}`;
  icon.href = ended ? markOf(ended.isCompleted) : percent === null ? usualIcon : ringOf(percent);
}

/** @param {boolean} isCompleted */
function markOf(isCompleted) {
  const [color, path] = isCompleted ? ["#0f7a4d", "M9 17l5 5 9-11"] : ["#b3163b", "M11 11l10 10m0-10L11 21"];
  const mark = `<path d="${path}" fill="none" stroke="#fff" stroke-width="4" stroke-linecap="round"/>`;
  return imageOf(`<circle cx="16" cy="16" r="15" fill="${color}"/>${mark}`);
}

/**
 * A ring that is closed as far as the work has come.
 * @param {number} percent
 */
function ringOf(percent) {
  const circle = `<circle cx="16" cy="16" r="12" fill="none" stroke-width="6"`;
  const reached = `pathLength="100" stroke-dasharray="${percent} 100" transform="rotate(-90 16 16)"`;
  return imageOf(`${circle} stroke="#c9c8e6"/>${circle} stroke="#4338ca" ${reached}/>`);
}

/** @param {string} shapes */
function imageOf(shapes) {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${shapes}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
