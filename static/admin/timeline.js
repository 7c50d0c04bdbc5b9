// The rows of a request's timeline: its events in words.
import { foreign, h, time } from "./dom.js";
import { clock, duration, sentenceCase } from "./format.js";
import { link } from "./navigation.js";

/** @import { TimelineEvent } from "./types.d.ts" */

/** @typedef {{ first: TimelineEvent, last: TimelineEvent, count: number }} Run */

/** @type {Record<string, string>} */
const KINDS = {
  submitted: "Submitted",
  sending: "Being sent to n8n",
  send_again: "Not taken by n8n, will be sent again",
  in_doubt: "May have reached n8n: waiting, not sent again",
  more_time: "Still running at n8n, given more time",
  accepted: "Taken by n8n",
  progressed: "Progress",
  completed: "Completed",
  failed: "Failed at n8n",
  refused: "Refused by n8n",
  exhausted: "Given up: n8n never took it",
  deadline_passed: "Failed: no result in time",
  failed_by_admin: "Marked as failed by an administrator",
  canceled: "Canceled",
  stopped: "Stopped at n8n",
  not_stopped: "Not stopped at n8n",
  retried: "Submitted again by an administrator",
  delivered: "Seen by a client",
};

const ERRORS = new Set(["failed", "refused", "exhausted", "deadline_passed", "failed_by_admin", "canceled"]);
const DOUBTS = new Set(["send_again", "in_doubt", "not_stopped"]);

/** @type {Record<string, (value: unknown) => Node|string>} */
const DETAILS = {
  error: (text) => foreign(String(text)),
  reason: (text) => foreign(String(text)),
  progress: (percent) => `${String(percent)} %`,
  executionId: (id) => `execution ${String(id)}`,
  transport: (name) => `over ${String(name)}`,
  attempt: (number) => `attempt ${String(number)}`,
  delaySeconds: (seconds) => `again in ${duration(Number(seconds))}`,
  seconds: (seconds) => `${duration(Number(seconds))} more`,
  retryOf: (id) => link({ request: String(id) }, "of this request"),
  requestId: (id) => link({ request: String(id) }, "as this request"),
};

/**
 * The rows of a timeline. Reports of progress in a row are one row, or they would hide everything else.
 * @param {TimelineEvent[]} events
 */
export function timelineRows(events) {
  return runsOf(events).map((run, number, runs) => {
    const { kind, at, actor, detail } = run.first;
    const before = runs[number - 1]?.last.at;
    const since = before === undefined ? "" : `+${duration((Date.parse(at) - Date.parse(before)) / 1000)}`;
    const level = ERRORS.has(kind) ? "error" : DOUBTS.has(kind) ? "doubt" : null;
    return h(
      "tr",
      { "data-level": level },
      h("th", { scope: "row" }, time(at, clock(at)), h("small", {}, since)),
      h("td", {}, KINDS[kind] ?? sentenceCase(kind)),
      h("td", {}, ...(run.count > 1 ? [progressOf(run)] : detailsOf(detail))),
      h("td", {}, actorName(actor)),
    );
  });
}

/** @param {TimelineEvent[]} events */
function runsOf(events) {
  /** @type {Run[]} */
  const runs = [];
  for (const event of events) {
    const run = runs.at(-1);
    if (run && event.kind === "progressed" && run.last.kind === "progressed" && event.actor === run.last.actor) {
      run.last = event;
      run.count += 1;
    } else {
      runs.push({ first: event, last: event, count: 1 });
    }
  }
  return runs;
}

/** @param {Run} run */
function progressOf({ first, last, count }) {
  const [from, to] = [first, last].map(({ detail }) => String(detail.progress));
  return `${from} % to ${to} % in ${count} reports, until ${clock(last.at)}`;
}

/** @param {Record<string, unknown>} detail */
function detailsOf(detail) {
  const parts = Object.entries(detail).map(([name, value]) => DETAILS[name]?.(value) ?? plainDetail(name, value));
  return parts.flatMap((part, at) => (at === 0 ? [part] : [" · ", part]));
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function plainDetail(name, value) {
  return foreign(`${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
}

/**
 * Who it was; without the number of a dispatcher's lease, which says nothing to people.
 * @param {string} actor
 */
function actorName(actor) {
  return foreign(actor.replace(/:[0-9a-f]{32}$/, ""));
}
