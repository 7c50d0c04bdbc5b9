// The form: product, brand, for members of several organizations which one, and what is wrong with them.
import { h, setAttribute, setText } from "./dom.js";
import { fill, TEXTS } from "./texts.js";

/** @import { AiImageExample, AiImageFormTexts } from "../ai-image-form.d.ts" */
/** @import { Usage } from "../gateway.js" */

/** @typedef {{ product: string, brand: string, organizationId?: string }} Values */

/** Longest product or brand in characters, after trimming: the gateway's rule. */
const MAX_LENGTH = 200;

/** The id of what is wrong with the form as a whole. */
const ERROR_ID = "form-error";

export class FormView {
  #product;
  #brand;
  #organization;
  #fields;
  #onInput;
  #onExample;
  /** @type {AiImageExample[]} */
  #offered = [];
  #texts = TEXTS;
  #options = "";
  #hasSubmitted = false; // nobody is told of mistakes while they type for the first time

  /**
   * @param {object} listeners
   * @param {(values: Values) => void} listeners.onSubmit
   * @param {() => void} listeners.onInput
   * @param {(example: AiImageExample) => void} listeners.onExample
   */
  constructor({ onSubmit, onInput, onExample }) {
    this.heading = h("h2", { part: "heading", tabindex: "-1" });
    this.intro = h("p", { class: "muted" });
    this.#product = new Field("product", textInput({ autocomplete: "off", enterkeyhint: "next" }));
    this.#brand = new Field("brand", textInput({ autocomplete: "organization", enterkeyhint: "send" }));
    this.#organization = new Field("organization", h("select", { part: "input" }));
    this.#fields = [this.#product, this.#brand, this.#organization];
    this.error = h("p", { part: "error", class: "error", id: ERROR_ID, role: "alert", hidden: true });
    this.retryAfter = h("span", { "aria-live": "off" }); // heard with the error, not again each minute
    this.notice = h("p", { part: "notice", class: "notice", role: "status", hidden: true });
    this.button = h("button", { part: "button", type: "submit" });
    this.element = h("form", { part: "form", novalidate: true });
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.button.getAttribute("aria-disabled") !== "true" && this.#validate()) onSubmit(this.values());
    });
    this.element.addEventListener("input", onInput);
    this.#onInput = onInput;
    this.#onExample = onExample;
    this.examplesTitle = h("p", { class: "hint", id: "examples-title" });
    this.chips = h("div", { class: "chips" });
    this.examples = h("div", { part: "examples", role: "group", "aria-labelledby": "examples-title", hidden: true });
    this.examples.append(this.examplesTitle, this.chips);
    const fields = this.#fields.map((field) => field.element);
    const { heading, intro, error, notice, button, examples } = this;
    this.element.append(heading, intro, ...fields, error, notice, button, examples);
  }

  /** @returns {Values} */
  values() {
    return {
      product: this.#product.value,
      brand: this.#brand.value,
      organizationId: this.#organization.value || undefined,
    };
  }

  /** Put values into the fields, and forget what was wrong; shown by the next update. */
  reset({ product = "", brand = "" } = {}) {
    this.#product.input.value = product;
    this.#brand.input.value = brand;
    this.#hasSubmitted = false;
  }

  focus() {
    this.#product.input.focus();
  }

  /**
   * @param {object} state
   * @param {AiImageFormTexts} state.texts
   * @param {boolean} state.isSubmitting
   * @param {string|null} state.error why the last submission was refused
   * @param {string|null} state.retryAfter when submitting makes sense again; null for now
   * @param {string|null} state.notice
   * @param {Usage["organizations"]} state.organizations to choose from; none: nothing to choose
   * @param {AiImageExample[]} state.examples
   */
  update({ texts, isSubmitting, error, retryAfter, notice, organizations, examples }) {
    this.#texts = texts;
    setText(this.heading, texts.title);
    setText(this.intro, texts.intro);
    for (const field of this.#fields) field.update(texts);
    this.#organization.element.hidden = organizations.length === 0;
    this.#showOrganizations(organizations);
    this.#showError(error || (this.#hasSubmitted && this.#isEmpty() ? texts.required : null));
    setText(this.retryAfter, retryAfter);
    setText(this.notice, notice);
    this.#showExamples(examples);
    setText(this.button, isSubmitting ? texts.submitting : texts.generate);
    // Not `disabled`: that would throw the keyboard's focus away.
    setAttribute(this.button, "aria-disabled", isSubmitting || retryAfter ? "true" : null);
    setAttribute(this.button, "aria-busy", isSubmitting ? "true" : null);
    // Both empty is one mistake: the sentence above says it, and the fields only show where.
    const isTold = this.#hasSubmitted && !error && this.#isEmpty();
    for (const field of this.#fields) {
      const mistake = this.#hasSubmitted ? field.errorIn(texts) : null;
      field.showError(mistake, isTold || (mistake !== null && mistake === error));
    }
  }

  /** @param {string|null} error */
  #showError(error) {
    this.error.hidden = !error;
    if ((this.error.firstChild?.textContent ?? null) === error) return;
    this.error.replaceChildren(...(error ? [error, " ", this.retryAfter] : []));
  }

  /** @param {AiImageExample[]} examples */
  #showExamples(examples) {
    this.examples.hidden = examples.length === 0;
    setText(this.examplesTitle, this.#texts.examples);
    const isSame = examples.length === this.#offered.length && examples.every((one, at) => one === this.#offered[at]);
    if (isSame) return;
    this.#offered = examples;
    const chips = examples.map((example) => {
      const { product, brand } = example;
      const onclick = () => this.#onExample(example);
      return h("button", { part: "example", class: "secondary chip", type: "button", onclick }, `${product} – ${brand}`);
    });
    this.chips.replaceChildren(...chips);
  }

  /** @param {Usage["organizations"]} organizations */
  #showOrganizations(organizations) {
    const placeholder = this.#texts.organizationPlaceholder;
    const wanted = JSON.stringify([organizations, placeholder]);
    if (wanted === this.#options) return;
    this.#options = wanted;
    const ids = organizations.map(({ organizationId }) => organizationId);
    const { input } = this.#organization;
    const chosen = input.value;
    const options = organizations.map(({ organizationId: id, name }) => h("option", { value: id }, name || id));
    input.replaceChildren(h("option", { value: "" }, placeholder), ...options);
    if (ids.includes(chosen)) input.value = chosen;
  }

  #isEmpty() {
    return !this.#product.value && !this.#brand.value;
  }

  /** Whether everything is right; otherwise the first field that is not gets the focus. */
  #validate() {
    this.#hasSubmitted = true;
    const invalid = this.#fields.find((field) => !field.element.hidden && field.errorIn(this.#texts));
    invalid?.input.focus();
    this.#onInput();
    return !invalid;
  }
}

/** @param {{ autocomplete: string, enterkeyhint: string }} attributes */
function textInput(attributes) {
  return h("input", { part: "input", dir: "auto", ...attributes });
}

/** A label, an input or a select, a hint, and a place for what is wrong. */
class Field {
  #name;

  /**
   * @param {"product"|"brand"|"organization"} name
   * @param {HTMLInputElement|HTMLSelectElement} input
   */
  constructor(name, input) {
    this.#name = name;
    this.input = input;
    setAttribute(input, "id", name);
    setAttribute(input, "name", name);
    setAttribute(input, "aria-required", "true");
    this.label = h("label", { part: "label", for: name });
    this.hint = h("p", { part: "hint", class: "hint", id: `${name}-hint` });
    this.error = h("p", { part: "field-error", class: "field-error", id: `${name}-error`, hidden: true });
    this.element = h("div", { part: "field", class: "field" }, this.label, input, this.error, this.hint);
  }

  get value() {
    return this.input.value.trim();
  }

  /** @param {AiImageFormTexts} texts */
  update(texts) {
    setText(this.label, texts[this.#name]);
    setText(this.hint, texts[`${this.#name}Hint`]);
    if (this.input.localName === "input") setAttribute(this.input, "placeholder", texts[`${this.#name}Placeholder`]);
  }

  /**
   * What is wrong with the value; null for nothing.
   * @param {AiImageFormTexts} texts
   */
  errorIn(texts) {
    const { length } = Array.from(this.value); // characters as people count them, not UTF-16
    if (length === 0) return texts[`${this.#name}Missing`];
    const isTooLong = this.input.localName === "input" && length > MAX_LENGTH;
    return isTooLong ? fill(texts.tooLong, { most: MAX_LENGTH, length }) : null;
  }

  /**
   * @param {string|null} error
   * @param {boolean} isTold whether another sentence says it
   */
  showError(error, isTold) {
    setText(this.error, isTold ? null : error);
    setAttribute(this.input, "aria-describedby", `${isTold ? ERROR_ID : this.error.id} ${this.hint.id}`);
    setAttribute(this.input, "aria-invalid", error ? "true" : null);
  }
}
