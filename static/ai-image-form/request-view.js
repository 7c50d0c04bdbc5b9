// One request: how far it is, the picture, or why there is none.
import { h, setAttribute, setText } from "./dom.js";
import { downloadUrl, fileName, isDownloadable } from "./download.js";
import { isCanceled, isFinal } from "./requests.js";
import { fill, TEXTS } from "./texts.js";

/** @import { AiImageFormTexts } from "../ai-image-form.d.ts" */
/** @import { Body } from "../gateway.js" */

export class RequestView {
  #texts = TEXTS;
  #picture = h("img", { part: "image", decoding: "async" });
  #isBroken = false;

  /** @param {{ onAnother: () => void, onRetry: () => void, onEdit: () => void, onCancel: () => void }} listeners */
  constructor({ onAnother, onRetry, onEdit, onCancel }) {
    this.heading = h("h2", { part: "heading", id: "request-title", tabindex: "-1" });
    this.intro = h("p", { class: "muted intro" });
    this.bar = h("progress", { part: "progress", max: "100", "aria-labelledby": "request-title" });
    this.percent = h("span");
    this.time = h("span");
    this.progress = h("div", { class: "progress" }, this.bar);
    this.progress.append(h("p", { part: "hint", class: "hint times" }, this.percent, this.time));
    this.notice = h("p", { part: "notice", class: "hint", role: "status", hidden: true });
    this.error = h("p", { part: "error", class: "error", role: "alert", hidden: true });
    this.caption = h("figcaption", { part: "caption" });
    this.figure = h("figure", { part: "figure" }, this.#picture, this.progress, this.caption);
    this.download = h("a", { part: "button", class: "button", target: "_blank", rel: "noopener" });
    this.retry = h("button", { part: "button", type: "button", onclick: onRetry });
    this.edit = h("button", { part: "button-secondary", class: "secondary", type: "button", onclick: onEdit });
    this.another = h("button", { part: "button-secondary", class: "secondary", type: "button", onclick: onAnother });
    this.cancel = h("button", { part: "button-secondary", class: "secondary", type: "button" });
    this.cancel.addEventListener("click", () => this.cancel.getAttribute("aria-disabled") ?? onCancel());
    this.actions = h("div", { class: "actions" }, this.download, this.retry, this.edit, this.another, this.cancel);
    this.element = h("section", { part: "request", "aria-labelledby": "request-title", hidden: true });
    this.slot = h("slot", { name: "running" });
    const { heading, intro, figure, notice, error, actions, slot } = this;
    this.element.append(heading, intro, figure, notice, error, actions, slot);
    this.#picture.addEventListener("load", () => setAttribute(this.#picture, "data-loaded", true));
    this.#picture.addEventListener("error", () => {
      this.#isBroken = true;
      setText(this.error, this.#texts.pictureMissing);
    });
  }

  /**
   * @param {object} state
   * @param {Body} state.body
   * @param {AiImageFormTexts} state.texts
   * @param {number} state.elapsed seconds since the submission
   * @param {number|null} state.typical seconds that it usually takes
   * @param {string|null} state.notice what is to be said of the connection
   * @param {boolean} state.isCanceling
   * @param {string|null} state.problem why it could not be canceled
   */
  update({ body, texts, elapsed, typical, notice, isCanceling, problem }) {
    this.#texts = texts;
    const { status, product, brand } = body;
    const isRunning = !isFinal(body);
    const isFailed = status === "failed";
    const wasCanceled = isCanceled(body);
    const intros = {
      pending: texts.pendingIntro,
      processing: texts.processingIntro,
      completed: texts.completedIntro,
      failed: wasCanceled ? texts.canceledIntro : texts.failedIntro,
    };
    setAttribute(this.element, "data-status", status);
    setText(this.heading, wasCanceled ? texts.canceled : texts[status]);
    setText(this.intro, fill(intros[status], { product, brand }));
    setAttribute(this.intro, "title", this.intro.textContent); // long names are cut off
    this.progress.hidden = !isRunning;
    this.slot.hidden = !isRunning;
    setAttribute(this.bar, "value", body.progress);
    setText(this.percent, body.progress === null ? texts.waiting : fill(texts.progress, { percent: body.progress }));
    setText(this.time, timing(texts, elapsed, typical));
    setText(this.notice, isRunning ? (notice ?? texts.leave) : null);
    this.#showPicture(status === "completed" ? body : null, fill(texts.alt, { product, brand }));
    const failure = isFailed && !wasCanceled && (body.errorMessage || texts.failed);
    setText(this.error, failure || (isRunning && problem) || (this.#isBroken && texts.pictureMissing));
    setText(this.caption, fill(texts.alt, { product, brand }));
    this.figure.hidden = isFailed;
    this.caption.hidden = isRunning;
    setAttribute(this.figure, "data-placeholder", isRunning);
    setText(this.retry, isFailed ? texts.retry : isRunning ? null : texts.again);
    setAttribute(this.retry, "class", isFailed ? null : "secondary");
    setAttribute(this.retry, "part", isFailed ? "button" : "button-secondary");
    setText(this.edit, isFailed ? texts.edit : null);
    setText(this.another, isFailed ? null : texts.another);
    setText(this.cancel, isRunning && body.version > 0 ? (isCanceling ? texts.canceling : texts.cancel) : null);
    setAttribute(this.cancel, "aria-disabled", isCanceling ? "true" : null);
  }

  /**
   * @param {Body|null} body
   * @param {string} alt
   */
  #showPicture(body, alt) {
    const url = body?.publicUrl ?? null;
    this.#picture.hidden = this.download.hidden = !url;
    if (body && url) {
      this.#picture.alt = alt;
      setText(this.download, isDownloadable(url) ? this.#texts.download : this.#texts.open);
      setAttribute(this.download, "href", downloadUrl(url, fileName(body)));
      setAttribute(this.download, "download", isDownloadable(url) ? fileName(body) : null);
    }
    if (this.#picture.getAttribute("src") === url) return;
    this.#isBroken = false;
    setAttribute(this.#picture, "data-loaded", null);
    setAttribute(this.#picture, "src", url);
  }
}

/**
 * How long it took, and how long it usually takes.
 * @param {AiImageFormTexts} texts
 * @param {number} elapsed
 * @param {number|null} typical
 */
function timing(texts, elapsed, typical) {
  const isLate = typical !== null && elapsed > 2 * Math.max(typical, 5);
  const usual = typical === null ? texts.usuallyUnknown : fill(texts.usually, { duration: duration(typical, texts) });
  const left = typical === null ? 0 : Math.round(typical - elapsed);
  const remaining = left > 0 ? ` · ${fill(texts.left, { duration: duration(left, texts) })}` : "";
  return `${duration(elapsed, texts)} · ${isLate ? texts.longer : usual}${remaining}`;
}

/**
 * @param {number} seconds
 * @param {AiImageFormTexts} texts
 */
function duration(seconds, texts) {
  const whole = Math.max(seconds > 0 ? 1 : 0, Math.round(seconds));
  if (whole < 100) return fill(texts.seconds, { seconds: whole });
  return fill(texts.minutes, { minutes: Math.floor(whole / 60), seconds: whole % 60 });
}
