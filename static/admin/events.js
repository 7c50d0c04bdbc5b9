// The events of a request's timeline in words.
import { foreign, h } from "./dom.js";
import { duration, moment, words } from "./texts.js";
import { link } from "./view.js";

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
  retried: "Submitted again by an administrator",
  delivered: "Seen by a client",
};

const ERRORS = new Set(["failed", "refused", "exhausted", "deadline_passed", "failed_by_admin"]);
const DOUBTS = new Set(["send_again", "in_doubt"]);

const DETAILS = {
  error: (text) => foreign(String(text)),
  reason: (text) => foreign(String(text)),
  progress: (percent) => `${percent} %`,
  executionId: (id) => `execution ${id}`,
  transport: (name) => `over ${name}`,
  attempt: (number) => `attempt ${number}`,
  delaySeconds: (seconds) => `again in ${duration(seconds)}`,
  seconds: (seconds) => `${duration(seconds)} more`,
  retryOf: (id) => link({ request: id }, "of this request"),
  requestId: (id) => link({ request: id }, "as this request"),
};

/** The rows of a timeline. Reports of progress in a row are one row, or they would hide everything else. */
export function eventRows(events) {
  return folded(events).map(({ first, last, times }) => {
    const kind = h("td", {}, KINDS[first.kind] ?? words(first.kind));
    const level = ERRORS.has(first.kind) ? "error" : DOUBTS.has(first.kind) ? "doubt" : null;
    const time = h("time", { datetime: first.at, title: first.at }, moment(first.at));
    const detail = times > 1 ? runOf(first, last, times) : details(first.detail);
    const cells = [h("th", { scope: "row" }, time), kind, h("td", {}, ...detail), h("td", {}, actor(first.actor))];
    return h("tr", level ? { "data-level": level } : {}, ...cells);
  });
}

function folded(events) {
  const runs = [];
  for (const event of events) {
    const run = runs.at(-1);
    if (run && event.kind === "progressed" && run.last.kind === "progressed" && event.actor === run.last.actor) {
      run.last = event;
      run.times += 1;
    } else {
      runs.push({ first: event, last: event, times: 1 });
    }
  }
  return runs;
}

function runOf(first, last, times) {
  return [`${first.detail.progress} % to ${last.detail.progress} % in ${times} reports, until ${moment(last.at)}`];
}

function details(detail) {
  const parts = Object.entries(detail).map(([name, value]) => DETAILS[name]?.(value) ?? plain(name, value));
  return parts.flatMap((part, at) => (at === 0 ? [part] : [" · ", part]));
}

function plain(name, value) {
  return foreign(`${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
}

/** Who it was; without the number of a dispatcher's lease, which says nothing to people. */
function actor(name) {
  return foreign(name.replace(/:[0-9a-f]{32}$/, ""));
}
