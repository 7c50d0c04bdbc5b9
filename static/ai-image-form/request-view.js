// One request: how far it is, the picture, or why there is none.
import { h, say, set } from "./dom.js";
import { fileName, savable, savingUrl } from "./pictures.js";
import { fill } from "./texts.js";

export class RequestView {
  #picture = h("img", { part: "image", decoding: "async" });
  #broken = false;

  /** @param {{ onAnother: () => void, onRetry: () => void, onEdit: () => void }} listeners */
  constructor({ onAnother, onRetry, onEdit }) {
    this.heading = h("h2", { part: "heading", id: "request-title", tabindex: "-1" });
    this.intro = h("p", { class: "muted intro" });
    this.bar = h("progress", { part: "progress", max: "100", "aria-labelledby": "request-title" });
    this.percent = h("span");
    this.time = h("span");
    this.measure = h("div", { class: "measure" }, this.bar);
    this.measure.append(h("p", { part: "hint", class: "hint times" }, this.percent, this.time));
    this.notice = h("p", { part: "notice", class: "hint", role: "status", hidden: true });
    this.failure = h("p", { part: "error", class: "error", role: "alert", hidden: true });
    this.caption = h("figcaption", { part: "caption" });
    this.figure = h("figure", { part: "figure" }, this.#picture, this.caption);
    this.save = h("a", { part: "button", class: "button", target: "_blank", rel: "noopener" });
    this.retry = h("button", { part: "button", type: "button", onclick: onRetry });
    this.edit = h("button", { part: "button-secondary", class: "secondary", type: "button", onclick: onEdit });
    this.another = h("button", { part: "button-secondary", class: "secondary", type: "button", onclick: onAnother });
    this.actions = h("div", { class: "actions" }, this.save, this.retry, this.edit, this.another);
    this.element = h("section", { part: "request", "aria-labelledby": "request-title", hidden: true });
    const { heading, intro, figure, measure, notice, failure, actions } = this;
    this.element.append(heading, intro, figure, measure, notice, failure, actions);
    this.#picture.addEventListener("error", () => {
      this.#broken = true;
      say(this.failure, this.texts.pictureMissing);
    });
  }

  /**
   * @param {object} state
   * @param {object} state.body
   * @param {object} state.texts
   * @param {number} state.elapsed seconds since the submission
   * @param {number|null} state.typical seconds that it usually takes
   * @param {string|null} state.notice what is to be said of the connection
   */
  update({ body, texts, elapsed, typical, notice }) {
    this.texts = texts;
    const { status, product, brand } = body;
    set(this.element, "data-status", status);
    const running = status === "pending" || status === "processing";
    const completed = status === "completed";
    say(this.heading, texts[status]);
    say(this.intro, fill(texts[`${status}Intro`], { product, brand }));
    set(this.intro, "title", this.intro.textContent); // long names are cut off
    this.measure.hidden = !running;
    set(this.bar, "value", body.progress);
    say(this.percent, body.progress === null ? texts.waiting : fill(texts.progress, { percent: body.progress }));
    say(this.time, timing(texts, elapsed, typical));
    say(this.notice, running && (notice ?? texts.leave));
    this.#show(completed ? body : null, fill(texts.alt, { product, brand }));
    const reason = body.errorMessage && body.errorMessage !== texts.failed ? body.errorMessage : null;
    say(this.failure, status === "failed" ? reason ?? texts.failed : this.#broken && texts.pictureMissing);
    say(this.caption, fill(texts.alt, { product, brand }));
    this.figure.hidden = !completed && !running;
    this.caption.hidden = running;
    set(this.figure, "data-waiting", running);
    this.retry.hidden = this.edit.hidden = status !== "failed";
    say(this.retry, this.retry.hidden ? null : texts.retry);
    say(this.edit, this.edit.hidden ? null : texts.edit);
    say(this.another, status === "failed" ? null : texts.another);
  }

  #show(body, alt) {
    const url = body?.publicUrl ?? null;
    this.#picture.hidden = this.save.hidden = !url;
    if (url) {
      this.#picture.alt = alt;
      say(this.save, savable(url) ? this.texts.download : this.texts.open);
      set(this.save, "href", savingUrl(url, fileName(body)));
      set(this.save, "download", savable(url) ? fileName(body) : null);
    }
    if (this.#picture.getAttribute("src") === url) return;
    this.#broken = false;
    set(this.#picture, "src", url);
  }
}

/** How long it took, and how long it usually takes. */
function timing(texts, elapsed, typical) {
  const late = typical !== null && elapsed > 2 * Math.max(typical, 5);
  const usual = typical === null ? texts.usuallyUnknown : fill(texts.usually, { duration: duration(typical, texts) });
  return `${duration(elapsed, texts)} · ${late ? texts.longer : usual}`;
}

function duration(seconds, texts) {
  const whole = Math.max(seconds > 0 ? 1 : 0, Math.round(seconds));
  if (whole < 100) return fill(texts.seconds, { seconds: whole });
  return fill(texts.minutes, { minutes: Math.floor(whole / 60), seconds: whole % 60 });
}
