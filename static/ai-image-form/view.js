// All that is seen and heard, in one piece: made anew for each user, so that nothing of the one before is left in it.
import { h } from "./dom.js";
import { FormView } from "./form-view.js";
import { RecentView } from "./recent-view.js";
import { RequestView } from "./request-view.js";
import { fill } from "./texts.js";

/** @import { AiImageFormTexts } from "../ai-image-form.d.ts" */
/** @import { Body } from "../gateway.js" */

/**
 * @typedef {object} Listeners
 * @property {(values: import("./form-view.js").Values) => void} onSubmit
 * @property {() => void} onInput something was typed or chosen
 * @property {() => void} onAnother
 * @property {() => void} onRetry
 * @property {() => void} onEdit
 * @property {(requestId: string) => void} onChoose
 */

/** Progress is announced at each of these steps in percent: every percent would be noise. */
const ANNOUNCED_STEP = 25;

export class View {
  #announcement = h("p", { class: "visually-hidden", role: "status" });
  #progress = "";

  /** @param {Listeners} listeners */
  constructor({ onSubmit, onInput, onAnother, onRetry, onEdit, onChoose }) {
    this.form = new FormView({ onSubmit, onInput });
    this.request = new RequestView({ onAnother, onRetry, onEdit });
    this.recent = new RecentView(onChoose);
    this.element = h("div", { class: "card", part: "card" });
    this.element.append(this.form.element, this.request.element, this.recent.element, this.#announcement);
  }

  /**
   * Let a screen reader say something.
   * @param {string} text
   */
  announce(text) {
    this.#announcement.textContent = text;
  }

  /**
   * Announce what is new of a running request; what was announced in between is not spoken over.
   * @param {Body} body
   * @param {AiImageFormTexts} texts
   */
  announceProgress({ status, progress }, texts) {
    const percent = Math.floor((progress ?? 0) / ANNOUNCED_STEP) * ANNOUNCED_STEP;
    const text = percent > 0 ? `${texts[status]}, ${fill(texts.progress, { percent })}` : texts[status];
    if (text !== this.#progress) this.announce(text);
    this.#progress = text;
  }
}
