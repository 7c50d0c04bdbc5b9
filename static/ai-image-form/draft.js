// What was typed and not submitted, kept over a reload: for each gateway and user by themselves.

/** @typedef {{ product: string, brand: string }} Typed */

export class Draft {
  #key;
  #isAnonymous;

  /**
   * @param {string} gatewayUrl
   * @param {string|null} userId null where nobody but the gateway knows
   */
  constructor(gatewayUrl, userId) {
    this.#key = ["ai-image-form draft", gatewayUrl, userId ?? ""].join(" ");
    this.#isAnonymous = userId === null;
  }

  /** @param {Typed} typed nothing in both fields for none */
  set({ product, brand }) {
    try {
      if (product || brand) sessionStorage.setItem(this.#key, JSON.stringify({ product, brand }));
      else sessionStorage.removeItem(this.#key);
    } catch {
      // A browser may forbid it; then a reload shows an empty form.
    }
  }

  /** @returns {Typed} */
  get() {
    try {
      /** @type {unknown} */
      const kept = JSON.parse(sessionStorage.getItem(this.#key) ?? "{}");
      const { product, brand } = /** @type {Partial<Record<keyof Typed, unknown>>} */ (kept);
      return {
        product: typeof product === "string" ? product : "",
        brand: typeof brand === "string" ? brand : "",
      };
    } catch {
      return { product: "", brand: "" };
    }
  }

  /** Another user comes: what has no name on it must not wait for them. */
  clearAnonymous() {
    if (this.#isAnonymous) this.set({ product: "", brand: "" });
  }
}
