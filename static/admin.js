// The administrators' dashboard: who may see it, what is read when, and what changes by itself.
import { forgetToken, keepToken, read, Refused, token } from "./admin/api.js";
import { showCharts } from "./admin/charts.js";
import * as detail from "./admin/detail.js";
import { element, say, set } from "./admin/dom.js";
import * as list from "./admin/list.js";
import { Live } from "./admin/live.js";
import { showNumbers } from "./admin/numbers.js";
import { paced } from "./admin/pace.js";
import { moment } from "./admin/texts.js";
import { current, onChange, show } from "./admin/view.js";

const DAYS = "7";

/** The gateway remembers its statistics for so long. */
const FRESH = 5000;

/** How often it is looked at what changes without a request: alerts, connections, and everything while not live. */
const LOOK = 15_000;

const STATES = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting… Updated every 15 s.",
  off: "Not live. Updated every 15 s.",
};

/** What belongs to the days that are asked for. */
const OF_DAYS = ["numbers", "charts", "cost-chart", "shares"];

let state = "connecting";
let shownDays = null;
let changedAt = -Infinity;
let looking = null;

const live = new Live({
  onState(name) {
    state = name;
    set(element("live"), "data-state", name);
    say(element("live"), STATES[name]);
  },
  onSubscribed: () => attempt(list.load).then(changed),
  onUpdate(body) {
    list.takeUpdate(body);
    detail.takeUpdate(body);
    changed();
  },
  onExpiring: (expiresAt) => say(element("live"), `Live. The sign-in ends at ${moment(expiresAt)}.`),
  onUnauthorized: () => readStatisticsSoon(), // whether a sign-in is needed, it says
});

const readStatisticsSoon = paced(FRESH, async () => {
  const began = performance.now();
  await attempt(readStatistics);
  // What was remembered when it was read may have been older than the last change.
  if (changedAt > began - FRESH && looking !== null) readStatisticsSoon();
});

element("days").addEventListener("change", ({ target }) => show({ days: target.value === DAYS ? null : target.value }));
element("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(element("token").value.trim());
  element("token").value = "";
  enter();
});
element("sign-out").addEventListener("click", () => {
  forgetToken();
  leave();
  enter();
});
document.addEventListener("visibilitychange", look);
onChange((view) => {
  if (looking === null) return;
  if (tellDays(view) !== shownDays) attempt(readStatistics);
  attempt(() => list.showList(view)).then(() => detail.showDetail(view));
});
enter();

async function enter() {
  element("sign-out").hidden = token() === null;
  // Both before anything is seen: what came later would push the rest away.
  if (!(await attempt(() => Promise.all([readStatistics(), list.showList(current())])))) {
    if (element("sign-in").hidden) setTimeout(enter, LOOK);
    return;
  }
  element("sign-in").hidden = true;
  element("dashboard").hidden = false;
  looking = setInterval(look, LOOK);
  live.start();
  await detail.showDetail(current());
}

function leave() {
  clearInterval(looking);
  looking = null;
  live.stop();
  say(element("live"), null);
  element("dashboard").hidden = true;
}

/** Do what reads from the gateway; whether that worked. What went wrong is told. */
async function attempt(work) {
  try {
    await work();
    say(element("stale"), null);
    return true;
  } catch (error) {
    if (error instanceof Refused && error.isAboutSignIn) {
      askToSignIn(error);
    } else {
      const reason = error instanceof Refused ? error.message : "The gateway cannot be reached.";
      say(element("stale"), `${reason} What you see may be old; it is tried again.`);
    }
    return false;
  }
}

function askToSignIn(error) {
  const dialog = element("detail");
  if (dialog.open) dialog.close();
  leave();
  const tried = token() !== null;
  if (error.status === 401) forgetToken();
  element("sign-out").hidden = token() === null;
  element("sign-in").hidden = false;
  const problem = error.status === 403 ? error.message : tried ? "That token is not valid, or it has expired." : null;
  say(element("sign-in-problem"), problem);
  element("token").focus();
}

// -- the statistics -----------------------------------------------------------------------------------------------------

async function readStatistics() {
  const asked = tellDays(current());
  const stats = await read("stats", { days: asked });
  if (asked !== days(current())) return;
  showNumbers(stats);
  await showCharts(stats);
  if (asked !== days(current())) return;
  shownDays = asked;
  tellDays(current());
}

/** Show which days are asked for, and dim what is of others still. */
function tellDays(view) {
  const asked = days(view);
  element("days").querySelector(`[value="${asked}"]`).checked = true;
  for (const id of OF_DAYS) set(element(id), "aria-busy", asked === shownDays ? null : "true");
  return asked;
}

function days({ days: asked }) {
  return element("days").querySelector(`[value="${CSS.escape(asked ?? "")}"]`) ? asked : DAYS;
}

/** Something has changed: the statistics are not what they were. */
function changed() {
  changedAt = performance.now();
  readStatisticsSoon();
}

function look() {
  if (document.hidden || looking === null) return;
  readStatisticsSoon();
  const isStuckAsked = current().status === "stuck"; // what gets stuck does so without a change
  if (state !== "live" || list.isBehind || isStuckAsked) attempt(list.load);
}
