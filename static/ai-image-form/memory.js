// What a reload keeps: which request was shown, for each gateway and user by themselves.

export class Memory {
  #key;
  #user;

  /**
   * @param {string} gatewayUrl
   * @param {string|null} user null where nobody but the gateway knows
   */
  constructor(gatewayUrl, user) {
    this.#key = ["ai-image-form", gatewayUrl, user ?? ""].join(" ");
    this.#user = user;
  }

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

  /** Another subject comes: what has no name on it must not wait for them. */
  leave() {
    if (!this.#user) this.set(null);
  }
}
