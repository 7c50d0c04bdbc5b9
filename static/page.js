// The page around the form: what is left of the limits, which request its address names, and where else one may go.
import { AiImageForm } from "./ai-image-form.js";
import { fill } from "./ai-image-form/texts.js";
import { refresh, showRunning } from "./library.js";
import { moneyFormat } from "./money.js";
import { element, texts } from "./page-elements.js";
import { showProgress } from "./progress-icon.js";
import "./theme.js";

/** @import { Body, Usage } from "./gateway.js" */

/** What the demo offers to somebody who has made nothing yet; the stand-in knows “slow” and “fail”. */
const EXAMPLES = [
  { product: "Trail Running Shoes", brand: "Northwind" },
  { product: "Slow Cooker", brand: "Hearth" },
  { product: "Umbrellas that fail", brand: "Drizzle" },
];

const IN_DEMO = /(^|; )gateway-demo=1(;|$)/;

const COUNT = new Intl.NumberFormat(texts.language);

const form = element("form", AiImageForm);

form.texts = texts.form ?? {};
if (IN_DEMO.test(document.cookie)) form.examples = EXAMPLES;

form.addEventListener("ai-image-usage", ({ detail }) => showUsage(detail));
form.addEventListener("ai-image-update", ({ detail }) => {
  showProgress(detail);
  showRunning(detail);
  offerNotifications(detail);
  if (detail.status === "completed") refresh(); // here, in another tab, on another device
});
refresh();

// -- a request's own address ------------------------------------------------------------------------------------------

form.addEventListener("ai-image-shown", ({ detail: { requestId, isRestored } }) => keepAddress(requestId, isRestored));
addEventListener("popstate", () => (form.requestId = requestOfAddress()));
if (requestOfAddress()) form.requestId = requestOfAddress();

/**
 * @param {string|null} requestId
 * @param {boolean} isSameStep whether it is no step that “back” should return from
 */
function keepAddress(requestId, isSameStep) {
  const url = new URL(location.href);
  if (requestId === null) url.searchParams.delete("request");
  else url.searchParams.set("request", requestId);
  if (url.href === location.href) return;
  if (isSameStep) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
}

/** @param {string} requestId */
function showRequest(requestId) {
  keepAddress(requestId, false);
  form.requestId = requestId;
}

function requestOfAddress() {
  return new URLSearchParams(location.search).get("request");
}

// -- notifications ----------------------------------------------------------------------------------------------------

/** @type {Promise<typeof import("./notifications.js")>|null} loaded when something runs: before, nothing can end */
let notifications = null;

/** @param {Body} body */
function offerNotifications({ status }) {
  const isRunning = status === "pending" || status === "processing";
  if (!isRunning || notifications !== null || !("Notification" in globalThis)) return;
  notifications = import("./notifications.js");
  notifications.then(({ offer }) => offer(form, showRequest)).catch(() => (notifications = null)); // the next update tries again
}

// -- limits and costs -------------------------------------------------------------------------------------------------

/** @param {Usage} usage */
function showUsage({ limit, month, currency, isAdmin }) {
  const { remaining, quota } = limit;
  const parts = [fill(texts.remaining, { remaining: COUNT.format(remaining), quota: COUNT.format(quota) })];
  // A number without a currency says nothing.
  if (currency && Number(month.spent) > 0) {
    const format = moneyFormat(currency, { language: texts.language });
    const spent = /** @type {import("./money.js").Decimal} */ (month.spent);
    parts.push(fill(texts.spent, { amount: format.format(spent) }));
  }
  element("usage").textContent = parts.join(" · ");
  element("to-dashboard").hidden = !isAdmin;
}
