// All that is seen and heard, in one piece: made anew for each subject, so that nothing of the one before is left in it.
import { h } from "./dom.js";
import { FormView } from "./form-view.js";
import { RequestView } from "./request-view.js";
import { Strip } from "./strip.js";
import { fill } from "./texts.js";

/** Progress is spoken at each of these steps in percent: every percent would be noise. */
const SPOKEN_STEP = 25;

export class Card {
  #heard = h("p", { class: "heard", role: "status" });
  #progress = "";

  /** @param {object} listeners those of the form, the request and the strip */
  constructor({ onSubmit, onInput, onAnother, onRetry, onEdit, onChoose }) {
    this.form = new FormView({ onSubmit, onInput });
    this.request = new RequestView({ onAnother, onRetry, onEdit });
    this.strip = new Strip(onChoose);
    this.element = h("div", { class: "card", part: "card" });
    this.element.append(this.form.element, this.request.element, this.strip.element, this.#heard);
  }

  say(text) {
    this.#heard.textContent = text;
  }

  /** Say what is new of a running request; what was said in between is not spoken over. */
  sayProgress({ status, progress }, texts) {
    const percent = Math.floor((progress ?? 0) / SPOKEN_STEP) * SPOKEN_STEP;
    const text = percent > 0 ? `${texts[status]}, ${fill(texts.progress, { percent })}` : texts[status];
    if (text !== this.#progress) this.say(text);
    this.#progress = text;
  }
}
