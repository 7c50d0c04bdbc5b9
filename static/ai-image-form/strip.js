// The recent requests side by side: running ones with their progress, pictures, failures. Choosing one shows it.
import { h, say, set } from "./dom.js";
import { fill } from "./texts.js";

export class Strip {
  #items = new Map(); // request id → Item; kept, so that the focus stays where it is
  #onChoose;

  /** @param {(requestId: string) => void} onChoose */
  constructor(onChoose) {
    this.#onChoose = onChoose;
    this.heading = h("h3", { part: "strip-heading", id: "strip-title" });
    this.list = h("ul", { part: "strip", role: "list", "aria-labelledby": "strip-title" });
    this.element = h("section", { class: "recent", "aria-labelledby": "strip-title" }, this.heading, this.list);
  }

  /** @param {{ bodies: object[], shown: string|null, texts: object }} state */
  update({ bodies, shown, texts }) {
    this.element.hidden = bodies.length === 0;
    say(this.heading, texts.recent);
    const ids = bodies.map((body) => body.requestId);
    for (const [id, item] of this.#items) {
      if (!ids.includes(id)) {
        item.element.remove();
        this.#items.delete(id);
      }
    }
    bodies.forEach((body, index) => {
      const item = this.#items.get(body.requestId) ?? new Item(() => this.#onChoose(body.requestId));
      this.#items.set(body.requestId, item);
      item.update(body, body.requestId === shown, texts);
      const here = this.list.children[index] ?? null;
      if (here !== item.element) this.list.insertBefore(item.element, here);
    });
  }
}

class Item {
  constructor(onChoose) {
    this.picture = h("img", { alt: "", loading: "lazy", decoding: "async" });
    this.mark = h("span", { class: "mark" });
    this.bar = h("progress", { class: "small", max: "100", "aria-hidden": "true" });
    this.name = h("span", { class: "name", dir: "auto" });
    this.tile = h("span", { class: "tile" }, this.picture, this.mark, this.bar);
    this.button = h("button", { part: "strip-item", class: "item", type: "button", onclick: onChoose });
    this.button.append(this.tile, this.name);
    this.element = h("li", {}, this.button);
  }

  update({ status, product, brand, progress, publicUrl }, shown, texts) {
    const name = fill(texts.alt, { product, brand });
    const running = status === "pending" || status === "processing";
    const words = { pending: texts.recentPending, processing: texts.recentRunning, failed: texts.recentFailed };
    const percent = progress ?? 0;
    set(this.element, "data-status", status);
    set(this.button, "aria-label", fill(words[status] ?? "{name}", { name, percent }));
    set(this.button, "title", name);
    set(this.button, "aria-current", shown ? "true" : null);
    const url = status === "completed" ? publicUrl : null;
    this.picture.hidden = !url;
    set(this.picture, "src", url);
    say(this.mark, status === "failed" ? "!" : running && progress !== null && fill(texts.progress, { percent }));
    this.bar.hidden = !running;
    set(this.bar, "value", progress);
    say(this.name, product);
  }
}
