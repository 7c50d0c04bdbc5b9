// What is done with all that the filters select: retried, failed, canceled, or taken away as a file.
import { GatewayError } from "../gateway.js";
import { getFile, post } from "./api.js";
import { element, setAttribute, setText } from "./dom.js";
import { counted } from "./format.js";
import { FILTERS, currentView } from "./navigation.js";

/** @typedef {"retry"|"fail"|"cancel"} Action */
/** @typedef {{ selected: number, done: number, refused: number, more: boolean }} BulkResult */

const dialog = element("bulk", HTMLDialogElement);
const confirm = element("bulk-confirm", HTMLButtonElement);

/** @type {Record<Action, { question: (requests: string) => string, button: string, done: string }>} */
const ACTIONS = {
  retry: {
    question: (requests) => `Submit ${requests} again, as new requests? Each may cost what it cost before.`,
    button: "Retry all",
    done: "submitted again",
  },
  fail: {
    question: (requests) => `Mark ${requests} as failed? Their users are told at once.`,
    button: "Fail all",
    done: "marked as failed",
  },
  cancel: {
    question: (requests) => `Cancel ${requests}? What was not sent to n8n never is; the rest is stopped where it can be.`,
    button: "Cancel all",
    done: "canceled",
  },
};

/** @type {{ action: Action, count: number }|null} what is asked */
let asked = null;

for (const action of /** @type {Action[]} */ (Object.keys(ACTIONS))) {
  element(`bulk-${action}`).addEventListener("click", () => ask(action));
}
for (const kind of ["csv", "json"]) element(`export-${kind}`).addEventListener("click", () => download(kind));
element("bulk-back").addEventListener("click", () => dialog.close());
confirm.addEventListener("click", () => confirm.getAttribute("aria-disabled") ?? doIt());

/** The filters of the page's URL, as the API takes them. */
function filters() {
  const view = currentView();
  return Object.fromEntries(FILTERS.filter((name) => view[name]).map((name) => [name, view[name]]));
}

/**
 * Count what would be done, and ask.
 * @param {Action} action
 */
async function ask(action) {
  asked = null;
  setText(element("bulk-question"), "Counting…");
  setText(element("bulk-problem"), null);
  confirm.hidden = true;
  dialog.showModal();
  try {
    /** @type {BulkResult} */
    const { selected, more } = await post("requests/bulk", { ...filters(), action });
    const none = action === "retry" ? "No failed request is selected." : "No unfinished request is selected.";
    const these = more ? `the oldest ${counted(selected, "request")}` : counted(selected, "request");
    const question = ACTIONS[action].question(`${these} that the filters select`);
    setText(element("bulk-question"), selected ? question : none);
    setText(confirm, selected ? ACTIONS[action].button : null);
    asked = { action, count: selected };
    if (selected) confirm.focus();
  } catch (error) {
    setText(element("bulk-question"), null);
    setText(element("bulk-problem"), messageOf(error));
  }
}

async function doIt() {
  if (asked === null) return;
  const { action, count } = asked;
  setAttribute(confirm, "aria-disabled", "true");
  try {
    /** @type {BulkResult} */
    const { done, refused, more } = await post("requests/bulk", { ...filters(), action, count });
    const left = refused ? `, ${refused} had changed and were left as they are` : "";
    const rest = more ? " The filters select more: do it again for the rest." : "";
    setText(element("selection-result"), `${counted(done, "request")} ${ACTIONS[action].done}${left}.${rest}`);
    dialog.close();
  } catch (error) {
    setText(element("bulk-problem"), messageOf(error));
  }
  setAttribute(confirm, "aria-disabled", null);
}

/** @param {string} kind */
async function download(kind) {
  const { sort, order } = currentView();
  try {
    const file = await getFile(`requests/export.${kind}`, { ...filters(), sort, order });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `requests.${kind}`;
    link.click();
    URL.revokeObjectURL(link.href);
    setText(element("selection-result"), `The requests were saved as requests.${kind}.`);
  } catch (error) {
    setText(element("selection-result"), messageOf(error));
  }
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof GatewayError ? error.message : "The gateway cannot be reached. Please try again.";
}

