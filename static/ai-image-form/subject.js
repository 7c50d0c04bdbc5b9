// Who is here. Only the gateway can verify a token; this decides what may stay in sight.
import { Memory } from "./memory.js";

export class Subject {
  #id; // the user whom a JWT names; another token stands for itself, and none for whom the session cookie names

  constructor(token, gatewayUrl) {
    const user = userOf(token);
    this.#id = user ?? token;
    this.memory = new Memory(gatewayUrl, user);
  }

  equals(other) {
    return this.#id === other.#id;
  }
}

/** A JWT's subject; null for no token, and for one of another kind. */
function userOf(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { sub } = JSON.parse(atob(payload));
    return typeof sub === "string" && sub ? sub : null;
  } catch {
    return null;
  }
}
