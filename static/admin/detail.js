// One request in a dialog: what it is, what happened to it, and what can be done about it.
import { post, read } from "./api.js";
import { arrange, badge, element, foreign, h, say, set } from "./dom.js";
import { eventRows } from "./events.js";
import { focusRow, requestOf } from "./list.js";
import { paced } from "./pace.js";
import { counted, duration, moment, money, took } from "./texts.js";
import { current, link, show } from "./view.js";

const dialog = element("detail");

let shownId = null;
let shown = null; // the request as it was read, with the newer Body where one has come

/** Read the request again, after what was asked for before is there. */
const readSoon = paced(1000, () => load().catch(() => {})); // the next change tries again

dialog.addEventListener("close", () => current().request && show({ request: null }));
element("close").addEventListener("click", () => dialog.close());
element("retry").addEventListener("click", retry);
element("fail").addEventListener("click", () => askForReason(element("fail-form").hidden));
element("keep").addEventListener("click", () => askForReason(false));
element("fail-form").addEventListener("submit", (event) => {
  event.preventDefault();
  fail(element("reason").value.trim());
});

/** Open the request that the URL names, or close the dialog. */
export async function showDetail({ request: id = null }) {
  if (id === shownId) return;
  const before = shownId;
  shownId = id;
  shown = null;
  if (id === null) {
    dialog.close();
    focusRow(before);
    return;
  }
  preview(requestOf(id));
  say(element("detail-problem"), null);
  element("result").replaceChildren();
  element("reason").value = "";
  askForReason(false);
  if (!dialog.open) dialog.showModal();
  element("detail-title").focus();
  dialog.scrollTop = 0;
  try {
    await load();
  } catch (error) {
    if (id === shownId) say(element("detail-problem"), error.message);
  }
}

/** The open request has changed: show its Body at once, and its timeline soon. */
export function takeUpdate(body) {
  if (body.requestId !== shown?.request.requestId || body.version <= shown.request.version) return;
  shown.request = { ...shown.request, ...body };
  fill();
  readSoon();
}

async function load() {
  const id = shownId;
  if (id === null) return;
  const found = await read(`requests/${encodeURIComponent(id)}`);
  if (id !== shownId) return;
  const newer = shown && shown.request.version > found.request.version ? shown.request : {};
  shown = { ...found, request: { ...found.request, ...newer } };
  fill();
  arrangeEvents(found.events);
}

/** Show what the request's row knows already, and nothing of the request before. */
function preview(request) {
  element("detail-body").hidden = !request;
  say(element("detail-title"), "Request");
  if (!request) return;
  showTitle(request);
  showPicture(request);
  showFacts([status(request), submitted(request)]);
  for (const id of ["retry", "fail"]) offer(element(id), false);
  arrangeEvents([]);
}

function fill() {
  const { request } = shown;
  element("detail-body").hidden = false;
  showTitle(request);
  showPicture(request);
  showFacts(facts(shown));
  offer(element("retry"), request.status === "failed");
  const canFail = request.status === "pending" || request.status === "processing";
  if (!canFail) askForReason(false);
  offer(element("fail"), canFail);
}

function showTitle({ product, brand }) {
  element("detail-title").replaceChildren(foreign(product), " – ", foreign(brand));
}

function showFacts(told) {
  element("facts").replaceChildren(...told.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function showPicture({ publicUrl, product, brand }) {
  const frame = element("picture");
  const image = frame.firstElementChild;
  frame.hidden = !publicUrl;
  set(frame, "href", publicUrl);
  set(image, "src", publicUrl);
  image.alt = publicUrl ? `${product} – ${brand}` : "";
}

function facts({ request, costEstimate, sentAt, deadlineAt }) {
  const { errorMessage, errorCode, retryOf, executionId, organizationId, userId } = request;
  const told = [status(request)];
  if (request.status === "failed") told.push(["Error", h("span", {}, foreign(errorMessage ?? ""), ` (${errorCode})`)]);
  told.push(
    submitted(request),
    ["Sent", sentAt ? `${moment(sentAt)}, ${counted(request.attempts, "attempt")}` : counted(request.attempts, "attempt")],
  );
  if (request.status === "completed") told.push(["Completed", moment(request.completedAt)]);
  else if (request.status !== "failed") told.push(["Deadline", moment(deadlineAt)]);
  told.push(
    ["Took", duration(took(request))],
    ["Cost", costEstimate === null ? money(request.cost) : `${money(request.cost)}, estimated ${money(costEstimate)}`],
    ["Organization", only("organizationId", organizationId)],
    ["User", only("userId", userId)],
    ["Request", h("code", {}, request.requestId)],
    ["n8n execution", executionId ? foreign(executionId) : "–"],
  );
  if (retryOf) told.push(["Retry of", link({ request: retryOf }, h("code", {}, retryOf))]);
  return told;
}

function status({ status, progress }) {
  const how = [badge(status)];
  if (progress != null && status !== "completed") how.push(` ${status === "failed" ? "after" : "at"} ${progress} %`);
  return ["Status", h("span", {}, ...how)];
}

function submitted({ createdAt }) {
  return ["Submitted", h("time", { datetime: createdAt, title: "Your time zone" }, moment(createdAt))];
}

/** An id that leads to its requests. */
function only(parameter, id) {
  return link({ [parameter]: id, cursor: null, request: null }, h("code", {}, id));
}

function arrangeEvents(events) {
  arrange(element("timeline").tBodies[0], eventRows(events));
}

// -- what can be done ---------------------------------------------------------------------------------------------------

/** Show or hide a button; focus on one that goes is kept in the dialog. */
function offer(button, isPossible) {
  if (!isPossible && document.activeElement === button) element("detail-title").focus();
  button.hidden = !isPossible;
}

function askForReason(wanted) {
  const form = element("fail-form");
  if (form.hidden === !wanted) return;
  const hadFocus = form.contains(document.activeElement);
  form.hidden = !wanted;
  set(element("fail"), "aria-expanded", String(wanted));
  if (wanted) element("reason").focus();
  else if (hadFocus) (element("fail").hidden ? element("detail-title") : element("fail")).focus();
}

async function retry() {
  await doing(element("retry"), "retry", {}, ({ requestId }) => [
    "Submitted again ",
    link({ request: requestId }, "as a new request"),
    ".",
  ]);
}

async function fail(reason) {
  await doing(element("fail-form").querySelector("[type=submit]"), "fail", reason ? { reason } : {}, () => [
    "Marked as failed.",
  ]);
}

async function doing(button, verb, content, told) {
  if (button.getAttribute("aria-disabled")) return;
  const id = shownId;
  set(button, "aria-disabled", "true"); // a disabled button would lose the focus
  let result;
  try {
    result = told(await post(`requests/${encodeURIComponent(id)}/${verb}`, content));
  } catch (error) {
    result = [error.status ? error.message : "The gateway could not be reached. Please try again."];
  }
  set(button, "aria-disabled", null);
  if (id !== shownId) return;
  element("result").replaceChildren(...result);
  readSoon();
}
