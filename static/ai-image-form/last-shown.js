// Which request was shown last, kept over a reload: for each gateway and user by themselves.

export class LastShown {
  #key;
  #isAnonymous;

  /**
   * @param {string} gatewayUrl
   * @param {string|null} userId null where nobody but the gateway knows
   */
  constructor(gatewayUrl, userId) {
    this.#key = ["ai-image-form", gatewayUrl, userId ?? ""].join(" ");
    this.#isAnonymous = userId === null;
  }

  /** @param {string|null} requestId null for none */
  set(requestId) {
    try {
      if (requestId) sessionStorage.setItem(this.#key, requestId);
      else sessionStorage.removeItem(this.#key);
    } catch {
      // A browser may forbid it; then a reload shows the form, and the request below it.
    }
  }

  get() {
    try {
      return sessionStorage.getItem(this.#key);
    } catch {
      return null;
    }
  }

  /** Another user comes: what has no name on it must not wait for them. */
  clearAnonymous() {
    if (this.#isAnonymous) this.set(null);
  }
}
