// One request in a dialog: what it is, what happened to it, and what can be done about it.
import { GatewayError } from "../gateway.js";
import { get, post, postTo } from "./api.js";
import { badge, descendant, element, foreign, h, setAttribute, setChildren, setText, time } from "./dom.js";
import { ago, counted, dateTime, duration, money, secondsSince, secondsTaken } from "./format.js";
import { currentView, link, navigate } from "./navigation.js";
import { focusRow, shownRequest } from "./request-table.js";
import { throttled } from "./throttle.js";
import { timelineRows } from "./timeline.js";

/** @import { Body } from "../gateway.js" */
/** @import { AdminRequest, Neighbour, RequestDetails, TimelineEvent, View } from "./types.d.ts" */

/** @typedef {[name: string, value: Node|string]} Fact */

const dialog = element("detail", HTMLDialogElement);
const picture = element("picture");
const image = descendant(picture, "img", HTMLImageElement);
const reason = element("reason", HTMLInputElement);
const failForm = element("fail-form");

/** @type {string|null} */
let shownId = null;

/** @type {RequestDetails|null} as they were read, with the newer Body where one has come */
let details = null;

/** When an update has last told of the request, on the clock of the page. */
let toldAt = 0;

/** Read the request again, after what was asked for before is there. */
const reloadSoon = throttled(1000, () => load().catch(() => {})); // the next change tries again

dialog.addEventListener("close", () => {
  if (currentView().request) navigate({ request: null });
});
image.addEventListener("error", () => (picture.hidden = true));
element("close").addEventListener("click", () => dialog.close());
element("retry").addEventListener("click", retry);
element("cancel").addEventListener("click", cancel);
element("fail").addEventListener("click", () => showFailForm(Boolean(failForm.hidden)));
element("keep").addEventListener("click", () => showFailForm(false));
failForm.addEventListener("submit", (event) => {
  event.preventDefault();
  void fail(reason.value.trim());
});

/**
 * Open the request that the URL names, or close the dialog.
 * @param {View} view
 */
export async function showDialog(view) {
  const id = view.request ?? null;
  if (id === shownId) return;
  const before = shownId;
  shownId = id;
  details = null;
  if (id === null) {
    dialog.close();
    focusRow(before);
    return;
  }
  showPreview(shownRequest(id));
  setText(element("detail-problem"), null);
  element("result").replaceChildren();
  reason.value = "";
  showFailForm(false);
  if (!dialog.open) dialog.showModal();
  element("detail-title").focus();
  dialog.scrollTop = 0;
  try {
    await load();
  } catch (error) {
    if (id === shownId) showProblem(id, error);
  }
}

/**
 * The open request has changed: show its Body at once, and its timeline soon.
 * @param {Body} body
 */
export function applyUpdate(body) {
  if (!details || body.requestId !== details.request.requestId) return;
  if (body.version === details.request.version) return; // a lower one is news, of a database that was set back
  toldAt = performance.now();
  details.request = { ...details.request, ...body };
  showDetails(details);
  reloadSoon();
}

async function load() {
  const [id, askedAt] = [shownId, performance.now()];
  if (id === null) return;
  /** @type {RequestDetails} */
  const found = await get(`requests/${encodeURIComponent(id)}`);
  if (id !== shownId) return;
  const isNewer = details && toldAt > askedAt && details.request.version > found.request.version;
  const newer = details && isNewer ? details.request : {};
  details = { ...found, request: { ...found.request, ...newer } };
  showDetails(details);
  showTimeline(found.events);
  showNeighbour(element("previous"), "Before it", found.previous);
  showNeighbour(element("next"), "After it", found.next);
  showExchange(found);
}

/**
 * Show what the request's row knows already, and nothing of the request before.
 * @param {AdminRequest|undefined} request
 */
function showPreview(request) {
  element("detail-body").hidden = !request;
  setText(element("detail-title"), "Request");
  if (!request) return;
  showTitle(request);
  showPicture(request);
  showFacts([statusFact(request), submittedFact(request)]);
  for (const id of ["retry", "cancel", "fail"]) offer(element(id), false);
  showTimeline([]);
  for (const id of ["previous", "next"]) element(id).replaceChildren();
  for (const id of ["sent", "reported"]) element(id).hidden = true;
}

/** @param {RequestDetails} shown */
function showDetails(shown) {
  const { request } = shown;
  element("detail-body").hidden = false;
  showTitle(request);
  showPicture(request);
  showFacts(factsOf(shown));
  offer(element("retry"), request.status === "failed");
  const canFail = request.status === "pending" || request.status === "processing";
  if (!canFail) showFailForm(false);
  offer(element("cancel"), canFail);
  offer(element("fail"), canFail);
}

/** @param {AdminRequest} request */
function showTitle({ product, brand }) {
  element("detail-title").replaceChildren(foreign(product), " – ", foreign(brand));
}

/** @param {Fact[]} facts */
function showFacts(facts) {
  element("facts").replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** @param {AdminRequest} request */
function showPicture({ publicUrl, product, brand }) {
  setAttribute(picture, "href", publicUrl);
  if (image.getAttribute("src") !== publicUrl) {
    picture.hidden = !publicUrl;
    setAttribute(image, "src", publicUrl);
  }
  image.alt = publicUrl ? `${product} – ${brand}` : "";
}

/**
 * @param {RequestDetails} shown
 * @returns {Fact[]}
 */
function factsOf({ request, costEstimate, sentAt, deadlineAt }) {
  const { errorMessage, errorCode, retryOf, executionId, executionUrl, organizationId, userId } = request;
  const attempts = counted(request.attempts, "attempt");
  const cost = money(request.cost);
  const isOpen = request.status === "pending" || request.status === "processing";
  const facts = [statusFact(request)];
  if (request.status === "failed") facts.push(["Error", h("span", {}, foreign(errorMessage ?? ""), ` (${errorCode})`)]);
  facts.push(submittedFact(request), ["Sent", sentAt ? `${dateTime(sentAt)}, ${attempts}` : attempts]);
  if (request.status === "completed") facts.push(["Completed", dateTime(request.completedAt)]);
  else if (request.status !== "failed") facts.push(["Deadline", dateTime(deadlineAt)]);
  facts.push(
    isOpen ? ["Running", `for ${duration(secondsSince(request.createdAt))}`] : ["Took", duration(secondsTaken(request))],
    ["Cost", costEstimate === null ? cost : `${cost}, estimated ${money(costEstimate)}`],
    ["Organization", filterLink("organizationId", organizationId, request.organizationName)],
    ["User", filterLink("userId", userId, request.userEmail)],
    ["Request", h("span", {}, h("code", {}, request.requestId), " ", ...copyButtons(request.requestId))],
    ["n8n execution", executionUrl ? outside(executionUrl, executionId ?? "") : executionId ? foreign(executionId) : "–"],
  );
  if (retryOf) facts.push(["Retry of", link({ request: retryOf }, h("code", {}, retryOf))]);
  return facts;
}

/**
 * @param {AdminRequest} request
 * @returns {Fact}
 */
function statusFact({ status, progress }) {
  const hasProgress = progress !== null && status !== "completed";
  const reached = hasProgress ? ` ${status === "failed" ? "after" : "at"} ${progress} %` : "";
  return ["Status", h("span", {}, badge(status), reached)];
}

/**
 * @param {AdminRequest} request
 * @returns {Fact}
 */
function submittedFact({ createdAt }) {
  return ["Submitted", time(createdAt, dateTime(createdAt))];
}

/**
 * An id that leads to its requests.
 * @param {"organizationId"|"userId"} parameter
 * @param {string} id
 * @param {string|null} name
 */
function filterLink(parameter, id, name) {
  const anchor = link({ [parameter]: id, cursor: null, newer: null, request: null }, h("code", {}, id));
  return name === null ? anchor : h("span", {}, foreign(name), " ", anchor);
}

/**
 * A link to another application.
 * @param {string} url
 * @param {string} text
 */
function outside(url, text) {
  const anchor = h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, foreign(text));
  setAttribute(anchor, "aria-label", `${text}: open in n8n, in a new tab`);
  return h("span", {}, anchor, " ↗");
}

/** @param {string} id */
function curlOf(id) {
  return `curl -H "Authorization: Bearer $TOKEN" "${location.origin}/api/admin/requests/${id}"`;
}

/** @param {string} id */
function copyButtons(id) {
  return [copyButton("Copy id", id), copyButton("Copy as curl", curlOf(id))];
}

/**
 * @param {string} label
 * @param {string} text
 */
function copyButton(label, text) {
  const button = h("button", { type: "button", class: "quiet copy" }, label);
  button.addEventListener("click", () => {
    const copied = () => setText(element("result"), "Copied.");
    navigator.clipboard.writeText(text).then(copied, () => setText(element("result"), text));
  });
  return button;
}

/** @param {TimelineEvent[]} events */
function showTimeline(events) {
  const [body] = element("timeline", HTMLTableElement).tBodies;
  setChildren(body, timelineRows(events));
}

/**
 * The request of the same user before or after this one. The link stays, and the focus on it, while it is the same.
 * @param {HTMLElement} place
 * @param {string} label
 * @param {Neighbour|null} neighbour
 */
function showNeighbour(place, label, neighbour) {
  const shown = neighbour && `${neighbour.requestId} ${neighbour.status}`;
  if (neighbour === null) {
    place.replaceChildren(`${label}: none of this user`);
  } else if (place.dataset.shown !== shown || !place.querySelector("a")) {
    const { requestId, product, brand, status, createdAt } = neighbour;
    const name = link({ request: requestId }, foreign(product), " – ", foreign(brand));
    place.replaceChildren(`${label}: `, name, ", ", badge(status), " ", time(createdAt, ago(createdAt)));
  }
  setAttribute(place, "data-shown", shown);
}

/** @param {RequestDetails} shown */
function showExchange({ n8n: { sent, reported } }) {
  element("sent").hidden = sent === null;
  descendant(element("sent"), "pre", HTMLElement).textContent = JSON.stringify(sent, null, 2);
  element("reported").hidden = reported.length === 0;
  setText(descendant(element("reported"), "summary", HTMLElement), `What n8n reported: ${counted(reported.length, "report")}`);
  const items = reported.map(({ at, report }) => h("li", {}, time(at, dateTime(at)), h("pre", {}, JSON.stringify(report, null, 2))));
  descendant(element("reported"), "ol", HTMLElement).replaceChildren(...items);
}

// -- what can be done -------------------------------------------------------------------------------------------------

/**
 * Show or hide a button; focus on one that goes is kept in the dialog.
 * @param {HTMLElement} button
 * @param {boolean} isPossible
 */
function offer(button, isPossible) {
  if (!isPossible && document.activeElement === button) element("detail-title").focus();
  button.hidden = !isPossible;
}

/** @param {boolean} isShown */
function showFailForm(isShown) {
  if (failForm.hidden === !isShown) return;
  const hadFocus = failForm.contains(document.activeElement);
  failForm.hidden = !isShown;
  setAttribute(element("fail"), "aria-expanded", String(isShown));
  if (isShown) reason.focus();
  else if (hadFocus) (element("fail").hidden ? element("detail-title") : element("fail")).focus();
}

async function retry() {
  await act(element("retry"), async (path) => {
    /** @type {{ requestId: string }} */
    const { requestId } = await post(`${path}/retry`);
    return ["Submitted again ", link({ request: requestId }, "as a new request"), "."];
  });
}

async function cancel() {
  await act(element("cancel"), async (path) => {
    await postTo(`/api/ai-${path}/cancel`);
    return ["Canceled."];
  });
}

/** @param {string} text */
async function fail(text) {
  await act(descendant(failForm, "[type=submit]", HTMLButtonElement), async (path) => {
    await post(`${path}/fail`, text ? { reason: text } : {});
    return ["Marked as failed."];
  });
}

/**
 * Do something about the shown request, and tell the result.
 * @param {HTMLElement} button
 * @param {(path: string) => Promise<(Node|string)[]>} action given the request's path; resolves with its result
 */
async function act(button, action) {
  if (shownId === null || button.getAttribute("aria-disabled")) return;
  const id = shownId;
  setAttribute(button, "aria-disabled", "true"); // a disabled button would lose the focus
  /** @type {(Node|string)[]} */
  let result;
  try {
    result = await action(`requests/${encodeURIComponent(id)}`);
  } catch (error) {
    result = [error instanceof GatewayError ? error.message : "The gateway could not be reached. Please try again."];
  }
  setAttribute(button, "aria-disabled", null);
  if (id !== shownId) return;
  element("result").replaceChildren(...result);
  reloadSoon();
}

/**
 * @param {string} id
 * @param {unknown} error
 */
function showProblem(id, error) {
  const isUnknown = error instanceof GatewayError && error.status === 404;
  if (isUnknown) setText(element("detail-title"), "No such request");
  const message = error instanceof GatewayError ? error.message : "The gateway cannot be reached.";
  const unknown = `There is no request “${id}”. The link may be cut off, or of another gateway.`;
  setText(element("detail-problem"), isUnknown ? unknown : message);
}
