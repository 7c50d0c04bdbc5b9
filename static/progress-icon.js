// The tab's title and icon tell of what runs, and of its end while somebody looks elsewhere.
import { descendant } from "./page-elements.js";

/** @import { Body } from "./gateway.js" */

const icon = descendant(document, "link[rel=icon]", HTMLLinkElement);
const [usualTitle, usualIcon] = [document.title, icon.href];

/** @type {Map<string, number>} progress in percent, by the id of each request that runs */
const running = new Map();

/** @type {string|null} what ended while nobody looked */
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
  else if (hasRun && document.hidden) ended = `${status === "completed" ? "✓" : "✕"} ${product}`;
  show();
}

function show() {
  const percents = [...running.values()];
  const percent = percents.length ? Math.min(...percents) : null;
  const told = ended ?? (percent === null ? null : `${percent} %`);
  document.title = told === null ? usualTitle : `${told} · ${usualTitle}`;
  icon.href = percent === null ? usualIcon : ringOf(percent);
}

/**
 * A ring that is closed as far as the work has come.
 * @param {number} percent
 */
function ringOf(percent) {
  const circle = `<circle cx="16" cy="16" r="12" fill="none" stroke-width="6"`;
  const reached = `pathLength="100" stroke-dasharray="${percent} 100" transform="rotate(-90 16 16)"`;
  const rings = `${circle} stroke="#c9c8e6"/>${circle} stroke="#4338ca" ${reached}/>`;
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${rings}</svg>`)}`;
}
