// Whom a token names. Only the gateway can verify it; this decides what may stay in sight.
import { Draft } from "./draft.js";
import { LastShown } from "./last-shown.js";

export class User {
  #identity; // the user whom a JWT names; another token stands for itself, and none for whom the session cookie names

  /**
   * @param {string|null} token
   * @param {string} gatewayUrl
   */
  constructor(token, gatewayUrl) {
    const id = token === null ? null : subjectOf(token);
    this.#identity = id ?? token;
    this.lastShown = new LastShown(gatewayUrl, id);
    this.draft = new Draft(gatewayUrl, id);
  }

  /** @param {User} other */
  equals(other) {
    return this.#identity === other.#identity;
  }
}

/**
 * A JWT's `sub` claim (RFC 7519); null for a token of another kind.
 * @param {string} token
 */
function subjectOf(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    /** @type {unknown} */
    const claims = JSON.parse(atob(payload));
    const { sub } = /** @type {{ sub?: unknown }} */ (claims);
    return typeof sub === "string" && sub ? sub : null;
  } catch {
    return null;
  }
}
