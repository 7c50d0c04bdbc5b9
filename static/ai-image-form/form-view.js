// The form: product, brand, for members of several organizations which one, and what is wrong with them.
import { h, say, set } from "./dom.js";
import { fill } from "./texts.js";

/** Longest product or brand in characters, after trimming: the gateway's rule. */
const MOST = 200;

export class FormView {
  #fields;
  #onInput;
  #texts;
  #options = "";
  #tried = false; // nobody is told of mistakes while they type for the first time

  /** @param {{ onSubmit: (values: object) => void, onInput: () => void }} listeners */
  constructor({ onSubmit, onInput }) {
    this.heading = h("h2", { part: "heading", tabindex: "-1" });
    this.intro = h("p", { class: "muted" });
    this.#fields = {
      product: new Field("product", h("input", { part: "input", dir: "auto", autocomplete: "off", enterkeyhint: "next" })),
      brand: new Field("brand", h("input", { part: "input", dir: "auto", autocomplete: "organization", enterkeyhint: "send" })),
      organization: new Field("organization", h("select", { part: "input" })),
    };
    this.problem = h("p", { part: "error", class: "error", role: "alert", hidden: true });
    this.later = h("span", { "aria-live": "off" }); // heard with the problem, not again each minute
    this.notice = h("p", { part: "notice", class: "notice", role: "status", hidden: true });
    this.button = h("button", { part: "button", type: "submit" });
    this.element = h("form", { part: "form", novalidate: true });
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.button.getAttribute("aria-disabled") !== "true" && this.#check()) onSubmit(this.values());
    });
    this.element.addEventListener("input", onInput);
    this.#onInput = onInput;
    const fields = Object.values(this.#fields).map((field) => field.element);
    this.element.append(this.heading, this.intro, ...fields, this.problem, this.notice, this.button);
  }

  values() {
    const { product, brand, organization } = this.#fields;
    return { product: product.value, brand: brand.value, organizationId: organization.value || undefined };
  }

  /** Put values into the fields, and forget what was wrong; shown by the next update. */
  reset({ product = "", brand = "" } = {}) {
    this.#fields.product.input.value = product;
    this.#fields.brand.input.value = brand;
    this.#tried = false;
  }

  focus(name = "product") {
    this.#fields[name].input.focus();
  }

  /**
   * @param {object} state
   * @param {object} state.texts
   * @param {boolean} state.submitting
   * @param {boolean} state.blocked whether submitting makes no sense yet
   * @param {string|null} state.problem why the last submission was refused
   * @param {string|null} state.later when it makes sense again
   * @param {string|null} state.notice
   * @param {{ organizationId: string, name?: string }[]} state.organizations to choose from; none: nothing to choose
   */
  update({ texts, submitting, blocked, problem, later, notice, organizations }) {
    this.#texts = texts;
    say(this.heading, texts.title);
    say(this.intro, texts.intro);
    for (const field of Object.values(this.#fields)) field.update(texts);
    this.#fields.organization.element.hidden = organizations.length === 0;
    this.#offer(organizations, texts);
    if (!problem && this.#tried && this.#isEmpty()) problem = texts.required;
    if (this.problem.firstChild?.data !== problem) {
      this.problem.replaceChildren(...(problem ? [problem, " ", this.later] : []));
    }
    this.problem.hidden = !problem;
    say(this.later, later);
    say(this.notice, notice);
    say(this.button, submitting ? texts.submitting : texts.generate);
    // Not `disabled`: that would throw the keyboard's focus away.
    set(this.button, "aria-disabled", submitting || blocked ? "true" : null);
    set(this.button, "aria-busy", submitting ? "true" : null);
    this.#showMistakes();
  }

  #offer(organizations, texts) {
    const wanted = JSON.stringify([organizations, texts.organizationPlaceholder]);
    if (wanted === this.#options) return;
    this.#options = wanted;
    const options = organizations.map(({ organizationId, name }) => {
      return h("option", { value: organizationId }, name ?? organizationId);
    });
    const { input } = this.#fields.organization;
    const chosen = input.value;
    input.replaceChildren(h("option", { value: "" }, texts.organizationPlaceholder), ...options);
    if (organizations.some((one) => one.organizationId === chosen)) input.value = chosen;
  }

  #isEmpty() {
    return !this.#fields.product.value && !this.#fields.brand.value;
  }

  #mistakes() {
    const { product, brand, organization } = this.#fields;
    return [product, brand, organization].filter((field) => !field.element.hidden && field.mistake(this.#texts));
  }

  /** Whether everything is right; otherwise the first mistake gets the focus. */
  #check() {
    this.#tried = true;
    const [first] = this.#mistakes();
    first?.input.focus();
    this.#onInput();
    return !first;
  }

  #showMistakes() {
    for (const field of Object.values(this.#fields)) field.tell(this.#tried ? field.mistake(this.#texts) : null);
  }
}

/** A label, an input or a select, a hint, and a place for what is wrong. */
class Field {
  #name;

  constructor(name, input) {
    this.#name = name;
    this.input = input;
    set(input, "id", name);
    set(input, "name", name);
    set(input, "aria-required", "true");
    set(input, "aria-describedby", `${name}-mistake ${name}-hint`);
    this.label = h("label", { part: "label", for: name });
    this.hint = h("p", { part: "hint", class: "hint", id: `${name}-hint` });
    this.error = h("p", { part: "field-error", class: "mistake", id: `${name}-mistake`, hidden: true });
    this.element = h("div", { part: "field", class: "field" }, this.label, input, this.error, this.hint);
  }

  get value() {
    return this.input.value.trim();
  }

  update(texts) {
    say(this.label, texts[this.#name]);
    say(this.hint, texts[`${this.#name}Hint`]);
    if (this.input.localName === "input") set(this.input, "placeholder", texts[`${this.#name}Placeholder`]);
  }

  mistake(texts) {
    const { length } = [...this.value]; // characters as people count them, not UTF-16
    if (length === 0) return texts[`${this.#name}Missing`];
    return this.input.localName === "input" && length > MOST ? fill(texts.tooLong, { most: MOST, length }) : null;
  }

  tell(mistake) {
    say(this.error, mistake);
    set(this.input, "aria-invalid", mistake ? "true" : null);
  }
}
