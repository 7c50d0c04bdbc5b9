// All that is seen and heard, in one piece: made anew for each user, so that nothing of the one before is left in it.
import { h } from "./dom.js";
import { FormView } from "./form-view.js";
import { RecentView } from "./recent-view.js";
import { RequestView } from "./request-view.js";
import { isFinal } from "./requests.js";
import { retryAfterText } from "./retry-after.js";
import { fill } from "./texts.js";

/** @import { AiImageFormTexts } from "../ai-image-form.d.ts" */
/** @import { Body, Usage } from "../gateway.js" */
/** @import { Refusal } from "./refusals.js" */

/**
 * @typedef {object} Listeners
 * @property {(values: import("./form-view.js").Values) => void} onSubmit
 * @property {() => void} onInput something was typed or chosen
 * @property {(example: import("../ai-image-form.d.ts").AiImageExample) => void} onExample
 * @property {() => void} onAnother
 * @property {() => void} onRetry
 * @property {() => void} onEdit
 * @property {() => void} onCancel
 * @property {(requestId: string) => void} onChoose
 */

/**
 * @typedef {object} State
 * @property {AiImageFormTexts} texts
 * @property {string|undefined} language a BCP 47 tag; undefined for the browser's
 * @property {boolean} isSignedOut
 * @property {boolean} isSubmitting
 * @property {boolean} isReconnecting
 * @property {Refusal|null} refusal what stands against a submission
 * @property {Usage["organizations"]} organizations to choose from; none: nothing to choose
 * @property {Body|null} shown the request in the form's place; null for the form
 * @property {number|null} elapsed seconds since the submission of `shown`
 * @property {number|null} typical seconds that a picture usually takes
 * @property {boolean} isCanceling whether `shown` is being canceled
 * @property {string|null} cancelProblem why it could not be
 * @property {Body[]} recent newest first
 * @property {boolean} areThumbnailsMade whether the pictures may be had as small variants
 * @property {import("../ai-image-form.d.ts").AiImageExample[]} examples
 * @property {boolean} isMissing whether a link led to a request that is none of the user's
 */

/** Progress is announced at each of these steps in percent: every percent would be noise. */
const ANNOUNCED_STEP = 25;

export class View {
  #announcement = h("p", { class: "visually-hidden", role: "status" });
  #progress = "";

  /** @param {Listeners} listeners */
  constructor({ onSubmit, onInput, onExample, onAnother, onRetry, onEdit, onCancel, onChoose }) {
    this.form = new FormView({ onSubmit, onInput, onExample });
    this.request = new RequestView({ onAnother, onRetry, onEdit, onCancel });
    this.recent = new RecentView(onChoose);
    this.element = h("div", { class: "card", part: "card" });
    this.element.append(this.form.element, this.request.element, this.recent.element, this.#announcement);
  }

  /** @param {State} state */
  update(state) {
    const { texts, shown } = state;
    const root = this.element.getRootNode();
    const focused = root instanceof ShadowRoot ? root.activeElement : null;
    this.form.element.hidden = shown !== null;
    this.request.element.hidden = shown === null;
    this.#updateForm(state);
    if (shown) {
      const { elapsed, typical, isReconnecting } = state;
      const reconnecting = isReconnecting ? texts.reconnecting : null;
      const notice = navigator.onLine ? reconnecting : texts.offlineRunning;
      const { isCanceling, cancelProblem: problem } = state;
      this.request.update({ body: shown, texts, elapsed: elapsed ?? 0, typical, notice, isCanceling, problem });
      if (!isFinal(shown)) this.#announceProgress(shown, texts);
    }
    const { recent: bodies, areThumbnailsMade } = state;
    this.recent.update({ bodies, shown: shown?.requestId ?? null, texts, areThumbnailsMade });
    // A button that vanished under the keyboard leaves its user at the top of the page.
    const isFocusLost = focused instanceof HTMLElement && focused.offsetParent === null;
    if (isFocusLost && shown) this.request.heading.focus();
  }

  /** @param {State} state */
  #updateForm({ texts, language, isSignedOut, isSubmitting, refusal, organizations, examples, isMissing }) {
    const offline = isSubmitting ? texts.offlineSubmitting : texts.offline;
    const isToChoose = refusal?.code === "organization_required" && organizations.length > 0;
    const refused = isToChoose ? texts.organizationMissing : (refusal?.message ?? null);
    const missing = isMissing ? texts.requestMissing : null;
    this.form.update({
      texts,
      isSubmitting,
      error: isSignedOut ? texts.signedOut : refused,
      retryAfter: refusal?.until ? retryAfterText(refusal.until, texts, language) : null,
      notice: navigator.onLine ? missing : offline,
      organizations,
      examples,
    });
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
  #announceProgress({ status, progress }, texts) {
    const percent = Math.floor((progress ?? 0) / ANNOUNCED_STEP) * ANNOUNCED_STEP;
    const text = percent > 0 ? `${texts[status]}, ${fill(texts.progress, { percent })}` : texts[status];
    if (text !== this.#progress) this.announce(text);
    this.#progress = text;
  }
}
