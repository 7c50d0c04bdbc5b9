// The recent requests side by side: running ones with their progress, pictures, failures. Choosing one shows it.
import { h, setAttribute, setText } from "./dom.js";
import { isCanceled, isFinal } from "./requests.js";
import { fill } from "./texts.js";
import { showSmall } from "./thumbnail.js";

/** @import { AiImageFormTexts } from "../ai-image-form.d.ts" */
/** @import { Body } from "../gateway.js" */

export class RecentView {
  /** @type {Map<string, Item>} by request id; kept, so that the focus stays where it is */
  #items = new Map();
  #onChoose;

  /** @param {(requestId: string) => void} onChoose */
  constructor(onChoose) {
    this.#onChoose = onChoose;
    this.heading = h("h3", { part: "strip-heading", id: "recent-title" });
    this.list = h("ul", { part: "strip", role: "list", "aria-labelledby": "recent-title" });
    this.element = h("section", { class: "recent", "aria-labelledby": "recent-title" }, this.heading, this.list);
  }

  /** @param {{ bodies: Body[], shown: string|null, texts: AiImageFormTexts, areThumbnailsMade: boolean }} state */
  update({ bodies, shown, texts, areThumbnailsMade }) {
    this.element.hidden = bodies.length === 0;
    setText(this.heading, texts.recent);
    const ids = new Set(bodies.map((body) => body.requestId));
    for (const [id, item] of this.#items) {
      if (!ids.has(id)) {
        item.element.remove();
        this.#items.delete(id);
      }
    }
    bodies.forEach((body, index) => {
      const item = this.#items.get(body.requestId) ?? new Item(() => this.#onChoose(body.requestId));
      this.#items.set(body.requestId, item);
      item.update(body, body.requestId === shown, texts, areThumbnailsMade);
      const here = this.list.children[index] ?? null;
      if (here !== item.element) this.list.insertBefore(item.element, here);
    });
  }
}

class Item {
  /** @type {string|null} the picture's */
  #url = null;

  /** @param {() => void} onChoose */
  constructor(onChoose) {
    this.picture = h("img", { alt: "", loading: "lazy", decoding: "async" });
    this.mark = h("span", { class: "mark" });
    this.bar = h("progress", { max: "100", "aria-hidden": "true" });
    this.name = h("span", { class: "name", dir: "auto" });
    this.thumbnail = h("span", { class: "thumbnail" }, this.picture, this.mark, this.bar);
    this.button = h("button", { part: "strip-item", class: "item", type: "button", onclick: onChoose });
    this.button.append(this.thumbnail, this.name);
    this.element = h("li", {}, this.button);
  }

  /**
   * @param {Body} body
   * @param {boolean} isShown
   * @param {AiImageFormTexts} texts
   * @param {boolean} areMade whether pictures may be had as small variants
   */
  update(body, isShown, texts, areMade) {
    const { status, product, brand, progress, publicUrl } = body;
    const name = fill(texts.alt, { product, brand });
    const labels = {
      pending: texts.recentPending,
      processing: texts.recentRunning,
      completed: "{name}",
      failed: isCanceled(body) ? texts.recentCanceled : texts.recentFailed,
    };
    const percent = progress ?? 0;
    setAttribute(this.element, "data-status", status);
    setAttribute(this.button, "aria-label", fill(labels[status], { name, percent }));
    setAttribute(this.button, "title", name);
    setAttribute(this.button, "aria-current", isShown ? "true" : null);
    const url = status === "completed" ? publicUrl : null;
    if (this.#url !== url) {
      this.#url = url;
      this.picture.hidden = !url;
      // Its empty square stays where it cannot be had.
      if (url) showSmall(this.picture, url, { areMade, onMissing: () => (this.picture.hidden = true) });
      else setAttribute(this.picture, "src", null);
    }
    const isRunning = !isFinal(body);
    const reached = isRunning && progress !== null ? fill(texts.progress, { percent }) : null;
    setText(this.mark, status === "failed" ? (isCanceled(body) ? "–" : "!") : reached);
    setAttribute(this.element, "data-canceled", isCanceled(body));
    this.bar.hidden = !isRunning;
    setAttribute(this.bar, "value", progress);
    setText(this.name, product);
  }
}
