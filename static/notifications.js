// Tells of a picture that has ended while nobody looks: for who has asked for it, and once however many tabs are open.
import { fill } from "./ai-image-form/texts.js";
import { element, texts } from "./page-elements.js";

/** @import { AiImageForm } from "./ai-image-form.js" */
/** @import { Body } from "./gateway.js" */

const WANTED_KEY = "gateway-notify";
const TOLD_KEY = "gateway-notified";

/** Held by each tab that is looked at; and by whoever decides whether to tell. */
const LOOKED_AT = "gateway looked at";
const TELLING = "gateway telling";

/** Held for a while by the tab that tells of a request, before its id: what one tab stores, others may read late. */
const TOLD = "gateway told ";
const TOLD_MILLISECONDS = 60_000;

/** How many requests are remembered as told: more than can end at about the same time. */
const TOLD_COUNT = 100;

const button = element("notify-me", HTMLButtonElement);

/**
 * Offer to tell, and tell from now on if it is wanted.
 * @param {AiImageForm} form
 * @param {(requestId: string) => void} onChoose told of the request whose notification was clicked on
 */
export function offer(form, onChoose) {
  element("notify").hidden = false;
  show();
  button.addEventListener("click", toggle);
  addEventListener("storage", show); // another tab has decided
  document.addEventListener("visibilitychange", holdWhileVisible);
  void holdWhileVisible();
  form.addEventListener("ai-image-success", ({ detail }) => void tell(detail, texts.notifyDone, onChoose));
  form.addEventListener("ai-image-error", ({ detail: { request, code } }) => {
    if (request && code !== "canceled") void tell(request, texts.notifyFailed, onChoose);
  });
}

function isWanted() {
  return Notification.permission === "granted" && kept(WANTED_KEY) === "yes";
}

function show() {
  button.setAttribute("aria-pressed", String(isWanted()));
}

async function toggle() {
  if (isWanted()) {
    keep(WANTED_KEY, "");
    say("");
  } else if ((await Notification.requestPermission()) !== "granted") {
    say(texts.notifyDenied);
  } else {
    try {
      // It proves that the system lets it through, and that there is a way to show any: Android has none for pages.
      new Notification(texts.title, { body: texts.notifyTrial, tag: "trial" });
      keep(WANTED_KEY, "yes");
      say(texts.notifyOn);
    } catch {
      say(texts.notifyUnable);
    }
  }
  show();
}

/** @param {string} text */
function say(text) {
  element("notify-state").textContent = text;
}

/**
 * @param {Body} body
 * @param {string} title
 * @param {(requestId: string) => void} onChoose
 */
async function tell({ requestId, product, brand }, title, onChoose) {
  if (!isWanted()) return;
  // One tab after the other; the first one tells.
  const isOurs = await navigator.locks.request(TELLING, async () => {
    const { held = [] } = await navigator.locks.query();
    const told = (kept(TOLD_KEY) ?? "").split(" ");
    if (told.includes(requestId) || held.some(({ name }) => name === LOOKED_AT || name === TOLD + requestId)) {
      return false;
    }
    keep(TOLD_KEY, [...told, requestId].slice(-TOLD_COUNT).join(" "));
    await holdForAWhile(TOLD + requestId);
    return true;
  });
  if (!isOurs) return;
  const notification = new Notification(title, { body: fill(texts.alt, { product, brand }), tag: requestId });
  notification.addEventListener("click", () => {
    window.focus();
    notification.close();
    onChoose(requestId);
  });
}

/**
 * Take a lock; it is let go by itself.
 * @param {string} name
 */
function holdForAWhile(name) {
  return new Promise((taken) => {
    void navigator.locks.request(name, () => {
      taken(undefined);
      return new Promise((resolve) => setTimeout(resolve, TOLD_MILLISECONDS));
    });
  });
}

/** @type {(() => void)|null} what lets the lock go */
let release = null;

async function holdWhileVisible() {
  release?.();
  release = null;
  if (document.hidden) return;
  /** @type {Promise<void>} */
  const hidden = new Promise((resolve) => (release = resolve));
  await navigator.locks.request(LOOKED_AT, { mode: "shared" }, () => hidden);
}

/** @param {string} key */
function kept(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {string} value
 */
function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Then nothing is told: nobody would know what another tab has told already.
  }
}
