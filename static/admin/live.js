// Every change of every request, over one WebSocket that comes back by itself.
import { token } from "./api.js";

/** Close codes after which connecting again cannot help (the server's table of close codes). */
const PERMANENT = new Set([1009, 4400, 4403]);

const UNAUTHORIZED = 4401;

const LONGEST_PAUSE = 30_000;
const CONNECT_TIMEOUT = 10_000;

export class Live {
  #handlers;
  #socket = null;
  #failures = 0;
  #timers = new Map();
  #lastHeard = 0;

  /**
   * @param {object} handlers
   * @param {(state: "connecting"|"live"|"reconnecting"|"off") => void} handlers.onState
   * @param {() => void} handlers.onSubscribed from now on nothing is missed; what was before has to be read
   * @param {(body: object) => void} handlers.onUpdate a request's newest Body
   * @param {(expiresAt: string) => void} handlers.onExpiring the credential ends soon
   * @param {() => void} handlers.onUnauthorized the credential is no good, here at least
   */
  constructor(handlers) {
    this.#handlers = handlers;
    addEventListener("online", () => this.#timers.has("reconnect") && this.#connect());
    // A socket would notice only after two silent pings.
    addEventListener("offline", () => this.#socket && this.#lost(this.#socket));
  }

  start() {
    this.stop();
    this.#failures = 0;
    this.#handlers.onState("connecting");
    this.#connect();
  }

  stop() {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  #connect() {
    this.#cancel("reconnect");
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws`);
    this.#socket = socket;
    this.#after("connect", CONNECT_TIMEOUT, () => this.#lost(socket));
    socket.onopen = () => token() && this.#send({ type: "auth", token: token() });
    socket.onmessage = (event) => socket === this.#socket && this.#receive(socket, JSON.parse(event.data));
    socket.onclose = (event) => this.#lost(socket, event.code);
  }

  #receive(socket, message) {
    this.#lastHeard = performance.now();
    switch (message.type) {
      case "welcome":
        this.#cancel("connect");
        this.#send({ type: "subscribe", scope: "all" });
        this.#listen(socket, message.pingIntervalMs);
        break;
      case "subscribed":
        this.#failures = 0; // not at the welcome: a gateway without its database still welcomes
        this.#handlers.onState("live");
        this.#handlers.onSubscribed();
        break;
      case "update":
        this.#handlers.onUpdate(message.request);
        break;
      case "expiring":
        this.#handlers.onExpiring(message.expiresAt);
        break;
      case "error":
        this.#lost(socket); // a refused subscription: begin anew
        break;
      case "drain":
        this.#after("drain", Math.max(0, message.reconnectInMs), () => this.#lost(socket, 1012, 0));
        break;
    }
  }

  /** A browser cannot see protocol pings, so it asks by itself; silence for two rounds is a dead connection. */
  #listen(socket, interval) {
    this.#after("ping", interval, () => {
      if (performance.now() - this.#lastHeard > 2 * interval) return this.#lost(socket);
      this.#send({ type: "ping" });
      this.#listen(socket, interval);
    });
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #lost(socket, code = 0, wait = null) {
    if (socket !== this.#socket) return;
    for (const name of ["connect", "ping", "drain"]) this.#cancel(name);
    this.#socket = null;
    socket.close();
    if (PERMANENT.has(code)) return this.#handlers.onState("off");
    this.#handlers.onState("reconnecting");
    // Full jitter: after a restart, dashboards spread over the whole window instead of coming back as one wave.
    this.#failures += 1;
    const longest = Math.min(LONGEST_PAUSE, 500 * 2 ** Math.min(this.#failures, 10));
    this.#after("reconnect", wait ?? Math.random() * longest, () => this.#connect());
    if (code === UNAUTHORIZED) this.#handlers.onUnauthorized();
  }

  #after(name, milliseconds, action) {
    this.#cancel(name);
    this.#timers.set(name, setTimeout(action, milliseconds));
  }

  #cancel(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}
