// The administrators' dashboard: who may see it, what is read when, and what changes by itself.
import { clearToken, get, storeToken, token } from "./admin/api.js";
import { showCharts } from "./admin/charts.js";
import { descendant, element, setAttribute, setText } from "./admin/dom.js";
import { dateTime } from "./admin/format.js";
import { currentView, isFiltered, navigate, onNavigate } from "./admin/navigation.js";
import "./admin/keys.js";
import * as dialog from "./admin/request-dialog.js";
import * as table from "./admin/request-table.js";
import { showNow, showStatistics } from "./admin/statistics.js";
import "./admin/selection.js";
import "./theme.js";
import { throttled } from "./admin/throttle.js";
import { GatewayClient, GatewayError } from "./gateway.js";

/** @import { Statistics, View } from "./admin/types.d.ts" */

const DEFAULT_DAYS = "7";

/** Milliseconds for which the gateway's statistics are cached. */
const CACHE_TIME = 5000;

/** How often what changes without a request is read: alerts, connections, and everything while not live. */
const POLL_INTERVAL = 15_000;

/** The close code of a WebSocket whose credential is no good. */
const UNAUTHORIZED = 4401;

const CONNECTION_STATES = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting… Updated every 15 s.",
  off: "Not live. Updated every 15 s.",
};

/** The elements whose content belongs to the days that are asked for. */
const OF_DAYS = ["numbers", "charts", "cost-chart", "shares"];

/** @type {keyof typeof CONNECTION_STATES} */
let connectionState = "connecting";

/** @type {string|null} */
let shownDays = null;

/** When something was last changed, on the clock of `performance`. */
let changedAt = -Infinity;

/** @type {ReturnType<typeof setInterval>|null} null while the dashboard is hidden */
let pollTimer = null;

/** Whether all was read when the dashboard opened, and not again since. */
let hasJustRead = false;

let unsubscribe = () => {};

const gateway = new GatewayClient({
  getToken: () => Promise.resolve(token()),
  onExpiring: (expiresAt) => setText(element("live"), `Live. The sign-in ends at ${dateTime(expiresAt)}.`),
});

const readStatisticsSoon = throttled(CACHE_TIME, async () => {
  const began = performance.now();
  await attempt(readStatistics);
  // What was cached when it was read may have been older than the last change.
  if (changedAt > began - CACHE_TIME && pollTimer !== null) readStatisticsSoon();
});

element("days").addEventListener("change", () => {
  const chosen = descendant(element("days"), ":checked", HTMLInputElement).value;
  navigate({ days: chosen === DEFAULT_DAYS ? null : chosen });
});
element("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = element("token", HTMLInputElement);
  storeToken(field.value.trim());
  field.value = "";
  void start();
});
element("sign-out").addEventListener("click", () => {
  clearToken();
  stop();
  void start();
});
document.addEventListener("visibilitychange", poll);
onNavigate((view) => void show(view));
void start();

/** Show the dashboard to whoever may see it. */
async function start() {
  element("sign-out").hidden = token() === null;
  // Both before anything is seen: what came later would push the rest away.
  if (!(await attempt(() => Promise.all([readStatistics(), table.showTable(currentView())])))) {
    if (element("sign-in").hidden) setTimeout(start, POLL_INTERVAL);
    return;
  }
  element("sign-in").hidden = true;
  element("dashboard").hidden = false;
  if (pollTimer !== null) clearInterval(pollTimer);
  pollTimer = setInterval(poll, POLL_INTERVAL);
  hasJustRead = true;
  subscribe();
  // A link with a filter is a link to the list.
  if (isFiltered(currentView())) element("requests-title").scrollIntoView({ block: "start" });
  await dialog.showDialog(currentView());
}

function stop() {
  if (pollTimer !== null) clearInterval(pollTimer);
  pollTimer = null;
  unsubscribe();
  setText(element("live"), null);
  element("dashboard").hidden = true;
}

/** @param {View} view */
async function show(view) {
  if (pollTimer === null) return;
  if (showDays(view) !== shownDays) void attempt(readStatistics);
  await attempt(() => table.showTable(view));
  await dialog.showDialog(view);
}

/**
 * Do what reads from the gateway, and show what went wrong.
 * @param {() => Promise<unknown>} work
 * @returns {Promise<boolean>} whether it worked
 */
async function attempt(work) {
  try {
    await work();
    setText(element("read-problem"), null);
    return true;
  } catch (error) {
    const isAnswer = error instanceof GatewayError;
    if (isAnswer && (error.status === 401 || error.status === 403)) {
      askToSignIn(error);
    } else {
      const reason = isAnswer ? error.message : "The gateway cannot be reached.";
      setText(element("read-problem"), `${reason} What you see may be old; it is tried again.`);
    }
    return false;
  }
}

/** @param {GatewayError} error */
function askToSignIn(error) {
  const [hadToken, wasOpen] = [token() !== null, pollTimer !== null];
  if (error.status === 401) clearToken();
  element("sign-out").hidden = token() === null;
  element("sign-in").hidden = false;
  const invalid = hadToken ? "That token is not valid, or it has expired." : null;
  const open = element("detail", HTMLDialogElement);
  if (open.open) open.close();
  stop();
  const ended = wasOpen ? "Your session has ended. Please sign in again." : invalid;
  const other = "You are signed in, but not as an administrator. Ask whoever runs this gateway for a sign-in link.";
  setText(element("sign-in-problem"), error.status === 403 ? other : ended);
  element("token").focus();
}

// -- what is live -----------------------------------------------------------------------------------------------------

function subscribe() {
  unsubscribe();
  showConnectionState("connecting");
  unsubscribe = gateway.subscribeAll(applyUpdate, {
    async onSubscribed(bodies) {
      showConnectionState("live");
      if (hasJustRead) {
        hasJustRead = false;
        for (const body of bodies) table.applyUpdate(body); // what has changed between that and now
        return;
      }
      await attempt(table.load);
      changed();
    },
    onDisconnected(code) {
      hasJustRead = false;
      showConnectionState("reconnecting");
      if (code === UNAUTHORIZED) readStatisticsSoon(); // whether a sign-in is needed, it says
    },
    onError: () => showConnectionState("off"),
  });
}

/** @param {import("./gateway.js").Body} body */
function applyUpdate(body) {
  table.applyUpdate(body);
  dialog.applyUpdate(body);
  changed();
}

/** @param {keyof typeof CONNECTION_STATES} state */
function showConnectionState(state) {
  connectionState = state;
  setAttribute(element("live"), "data-state", state);
  setText(element("live"), CONNECTION_STATES[state]);
  showNow();
}

/** Something has changed: the statistics are not what they were. */
function changed() {
  changedAt = performance.now();
  readStatisticsSoon();
}

function poll() {
  if (document.hidden || pollTimer === null) return;
  readStatisticsSoon();
  const canGetStuck = currentView().status === "stuck"; // what gets stuck does so without a change
  if (connectionState !== "live" || table.isBehind || canGetStuck) void attempt(table.load);
}

// -- the statistics ---------------------------------------------------------------------------------------------------

async function readStatistics() {
  const asked = showDays(currentView());
  /** @type {Statistics} */
  const statistics = await get("stats", { days: asked });
  if (asked !== daysOf(currentView())) return;
  showStatistics(statistics);
  showCharts(statistics);
  shownDays = asked;
  showDays(currentView());
}

/**
 * Show which days are asked for, and dim what is of others still.
 * @param {View} view
 */
function showDays(view) {
  const asked = daysOf(view);
  descendant(element("days"), `[value="${asked}"]`, HTMLInputElement).checked = true;
  for (const id of OF_DAYS) setAttribute(element(id), "aria-busy", asked === shownDays ? null : "true");
  return asked;
}

/**
 * The days that a view asks for, if they are offered.
 * @param {View} view
 */
function daysOf({ days = DEFAULT_DAYS }) {
  return element("days").querySelector(`[value="${CSS.escape(days)}"]`) ? days : DEFAULT_DAYS;
}
