// The gateway's client for browsers: one ES module, nothing to install, nothing to build.
//
//   const gateway = new GatewayClient({ getToken: async () => session.access_token });
//   const { requestId } = await gateway.generate("Running Shoes", "Nike");
//   const stop = gateway.subscribe(requestId, (body) => console.log(body.status, body.progress));
//
// `onUpdate` sees versions that only rise, and the newest one, whatever breaks: updates come over one WebSocket; while
// that cannot be had, each watched request is long-polled, and the WebSocket is tried again.

/** Close codes after which connecting again cannot help (the server's table of close codes). */
const PERMANENT = new Set([1009, 4400, 4403]);

/** Statuses that a proxy or a busy gateway answers with, whatever became of a submission. */
const PASSING = new Set([502, 503, 504]);

/** Statuses below 500 that speak of the transport, not of the submission. */
const UNHEARD = new Set([408, 425]);

const LONGEST_PAUSE = 30_000;
const CONNECT_TIMEOUT = 10_000;
const POLL_WAIT = 25;

/** How long a submission may take: a gateway in sync mode answers only when the picture is there. */
const SUBMIT_TIMEOUT = 120_000;

/** How long a token may still be good when the gateway warns of its end. */
const TOKEN_WARNING = 60_000;

/** How long before its end a token that has not been renewed is asked for once more. */
const LAST_CALL = 10_000;

/** Warnings that follow each other faster are answered together. */
const TOKEN_PACE = 5_000;

/** A refusal: `code` is the gateway's word for it, `status` the HTTP status, `retryAfter` seconds or null. */
export class GatewayError extends Error {
  constructor(status, code, message, retryAfter = null, request = null) {
    super(message);
    this.name = "GatewayError";
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
    this.request = request; // the Body of the request that failed, from a gateway in sync mode
  }

  /** Whether surely nothing was begun. After any other error only the same Idempotency-Key makes a repeat safe. */
  get isRefusal() {
    return this.status >= 400 && this.status < 500 && !UNHEARD.has(this.status);
  }
}

export class GatewayClient {
  #url;
  #getToken;
  #onState;
  #watches = new Map(); // request id → { listeners, version, body, polling }
  #socket = null;
  #live = false;
  #failures = 0;
  #timers = new Map();
  #sentToken = null; // the last one that this connection was told
  #lastHeard = 0;
  #closed = false;

  /**
   * @param {object} [options]
   * @param {string} [options.url] the gateway; the page's own origin when left out
   * @param {() => Promise<string|null>} [options.getToken] a fresh access token; the session cookie when left out
   * @param {(state: "live"|"polling"|"idle") => void} [options.onState] how updates arrive at the moment
   */
  constructor({ url = location.origin, getToken = null, onState = () => {} } = {}) {
    this.#url = url.replace(/\/$/, "");
    this.#getToken = getToken;
    this.#onState = onState;
    globalThis.addEventListener?.("online", this.#online);
  }

  /**
   * Submit a request. While the answer is lost, it is repeated with the same Idempotency-Key, so it never makes two.
   *
   * A gateway in sync mode answers with the whole Body, at once final in most cases; one that failed is an answer too.
   */
  async generate(product, brand, { organizationId, idempotencyKey = newKey() } = {}) {
    const body = { Product: product, "Your Brand": brand, ...(organizationId && { organizationId }) };
    const began = Date.now();
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#fetch("/api/ai-generate", {
          method: "POST",
          headers: { "Content-Type": "application/json", "Idempotency-Key": idempotencyKey },
          body: JSON.stringify(body),
          timeout: SUBMIT_TIMEOUT,
        });
      } catch (error) {
        if (error.request) return error.request;
        if (error instanceof GatewayError && !PASSING.has(error.status)) throw error;
        if (attempt === 3 || Date.now() - began > SUBMIT_TIMEOUT) throw error;
        await pause(Math.random() * 1000 * attempt);
      }
    }
  }

  /** The request as it is now. */
  status(requestId) {
    return this.#fetch(`/api/ai-status/${encodeURIComponent(requestId)}`);
  }

  /** A page of one's own requests, newest first: `{ requests, nextCursor }`. */
  requests({ status, limit, cursor } = {}) {
    return this.#fetch(`/api/ai-requests${query({ status, limit, cursor })}`);
  }

  /** A page of one's own generated assets, newest first: `{ assets, nextCursor }`. */
  assets({ limit, cursor } = {}) {
    return this.#fetch(`/api/assets${query({ limit, cursor })}`);
  }

  /** What was spent, what is left of the limits, and how long a picture usually takes. */
  usage() {
    return this.#fetch("/api/usage");
  }

  /**
   * Watch a request until a final status.
   * @param {(body: object) => void} onUpdate called with each newer Body
   * @param {(error: GatewayError) => void} [onError] called once if the request cannot be watched at all
   * @returns {() => void} stops watching
   */
  subscribe(requestId, onUpdate, onError = () => {}) {
    requestId = requestId.toLowerCase(); // as Bodies have it
    const watch = this.#watches.get(requestId) ?? { listeners: new Set(), version: 0, body: null, polling: false };
    const listener = { onUpdate, onError };
    watch.listeners.add(listener);
    this.#watches.set(requestId, watch);
    if (watch.body) queueMicrotask(() => watch.listeners.has(listener) && call(onUpdate, watch.body));
    if (this.#live) this.#send({ type: "subscribe", requestIds: [requestId] });
    else this.#connect();
    if (this.#failures > 0 && !this.#live) this.#poll(requestId); // the next attempt may be half a minute away
    return () => {
      watch.listeners.delete(listener);
      if (watch.listeners.size === 0) this.#forget(requestId);
    };
  }

  /** Stop everything. */
  close() {
    this.#closed = true;
    globalThis.removeEventListener?.("online", this.#online);
    this.#watches.clear();
    this.#rest();
  }

  // -- what arrives ---------------------------------------------------------------------------------------------------

  #take(body) {
    const watch = this.#watches.get(body.requestId);
    if (!watch || body.version <= watch.version) return;
    watch.version = body.version;
    watch.body = body;
    for (const { onUpdate } of [...watch.listeners]) call(onUpdate, body);
    if (body.status === "completed" || body.status === "failed") this.#forget(body.requestId);
  }

  #refuse(requestId, error) {
    const watch = this.#watches.get(requestId);
    this.#watches.delete(requestId);
    for (const { onError } of watch?.listeners ?? []) call(onError, error);
    if (this.#watches.size === 0) this.#rest();
  }

  #forget(requestId) {
    if (!this.#watches.delete(requestId)) return;
    if (this.#watches.size === 0) this.#rest();
    else if (this.#live) this.#send({ type: "unsubscribe", requestIds: [requestId] });
  }

  /** Nobody watches anything: keep no connection. */
  #rest() {
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    const socket = this.#socket;
    this.#socket = null;
    this.#live = false;
    socket?.close(1000);
    this.#onState("idle");
  }

  // -- the WebSocket --------------------------------------------------------------------------------------------------

  async #connect() {
    if (this.#socket || this.#closed || this.#timers.has("reconnect") || this.#watches.size === 0) return;
    const socket = new WebSocket(`${this.#url.replace(/^http/, "ws")}/ws`);
    this.#socket = socket;
    this.#sentToken = null;
    this.#after("connect", CONNECT_TIMEOUT, () => this.#lost(socket, 0));
    socket.onopen = async () => {
      this.#authenticate(socket, await this.#token().catch(() => null));
    };
    socket.onmessage = (event) => this.#receive(socket, JSON.parse(event.data));
    socket.onclose = (event) => this.#lost(socket, event.code);
  }

  #receive(socket, message) {
    if (socket !== this.#socket) return;
    this.#lastHeard = Date.now();
    switch (message.type) {
      case "welcome":
        this.#welcomed(socket, message);
        break;
      case "subscribed":
        this.#failures = 0; // not at the welcome: a gateway without its database still welcomes
        for (const body of message.requests) this.#take(body);
        for (const id of message.missing) {
          this.#refuse(id, new GatewayError(404, "not_found", "Request not found"));
        }
        break;
      case "update":
        this.#take(message.request);
        break;
      case "error":
        // A refused subscription (the database was away for a moment): begin anew, and poll meanwhile.
        this.#lost(socket, 0);
        break;
      case "expiring":
        this.#renewToken(socket, Date.parse(message.expiresAt) - Date.now());
        break;
      case "drain":
        this.#after("drain", Math.max(0, message.reconnectInMs), () => this.#lost(socket, 1012, 0));
        break;
    }
  }

  /** A token that the gateway has already would only be warned of again. */
  #authenticate(socket, token) {
    if (!token || token === this.#sentToken || socket !== this.#socket) return;
    this.#sentToken = token;
    this.#send({ type: "auth", token });
  }

  /** Ask for a fresh token now, and once more shortly before the end: `getToken` may not have had one yet. */
  async #renewToken(socket, left) {
    const askedJustNow = this.#timers.has("token");
    const ask = async () => this.#authenticate(socket, await this.#token().catch(() => null));
    // This computer's clock may be wrong, but no warning comes earlier than that.
    this.#after("token", Math.max(TOKEN_PACE, Math.min(left, TOKEN_WARNING) - LAST_CALL), ask);
    if (!askedJustNow) await ask();
  }

  #welcomed(socket, { pingIntervalMs }) {
    this.#cancel("connect");
    this.#live = true;
    this.#onState("live");
    const ids = [...this.#watches.keys()];
    for (let start = 0; start < ids.length; start += 100) {
      this.#send({ type: "subscribe", requestIds: ids.slice(start, start + 100) });
    }
    // A browser cannot see protocol pings, so it asks by itself; silence for two rounds is a dead connection.
    const listen = () => {
      if (Date.now() - this.#lastHeard > 2 * pingIntervalMs) return this.#lost(socket, 0);
      this.#send({ type: "ping" });
      this.#after("ping", pingIntervalMs, listen);
    };
    this.#after("ping", pingIntervalMs, listen);
  }

  #send(message) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  #lost(socket, code, wait = null) {
    if (socket !== this.#socket) return;
    for (const name of ["connect", "ping", "drain", "token"]) this.#cancel(name);
    this.#socket = null;
    this.#live = false;
    socket.onclose = null;
    socket.close();
    if (this.#closed || this.#watches.size === 0) return;
    this.#onState("polling");
    for (const id of this.#watches.keys()) this.#poll(id);
    if (PERMANENT.has(code)) return;
    // Full jitter: after a restart, clients spread over the whole window instead of coming back as one wave.
    this.#failures += 1;
    const longest = Math.min(LONGEST_PAUSE, 500 * 2 ** Math.min(this.#failures, 10));
    this.#after("reconnect", wait ?? Math.random() * longest, () => this.#connect());
  }

  /** The network is back: do not wait for the next attempt. */
  #online = () => {
    if (!this.#timers.has("reconnect")) return;
    this.#cancel("reconnect");
    this.#connect();
  };

  // -- the long poll, while there is no WebSocket ---------------------------------------------------------------------

  async #poll(requestId) {
    const watch = this.#watches.get(requestId);
    if (!watch || watch.polling) return;
    watch.polling = true;
    let failures = 0;
    while (!this.#live && !this.#closed && this.#watches.get(requestId) === watch) {
      try {
        const newer = watch.version ? query({ wait: POLL_WAIT, version: watch.version }) : "";
        const began = Date.now();
        const body = await this.#fetch(`/api/ai-status/${encodeURIComponent(requestId)}${newer}`);
        failures = 0;
        const risen = body.version > watch.version;
        this.#take(body);
        if (!risen && Date.now() - began < 1000) await pause(1000); // it did not wait, so we do
      } catch (error) {
        // A 401 may be a token that is just being refreshed.
        const refused = error.status === 404 || (error.status === 401 && (!this.#getToken || failures >= 3));
        if (error instanceof GatewayError && refused) {
          this.#refuse(requestId, error);
          break;
        }
        failures += 1;
        await pause(Math.random() * Math.min(LONGEST_PAUSE, 1000 * 2 ** Math.min(failures, 10)));
      }
    }
    watch.polling = false;
  }

  // -- helpers --------------------------------------------------------------------------------------------------------

  async #token() {
    return this.#getToken ? await this.#getToken() : null;
  }

  async #fetch(path, { headers = {}, timeout = (POLL_WAIT + 10) * 1000, ...options } = {}) {
    const token = await this.#token();
    const response = await fetch(this.#url + path, {
      ...options,
      credentials: "include",
      signal: AbortSignal.timeout(timeout),
      headers: { ...headers, ...(token && { Authorization: `Bearer ${token}` }) },
    });
    if (response.ok) return response.json(); // one that was cut off on its way is lost, and not empty
    const content = await response.json().catch(() => ({}));
    const retryAfter = Number(response.headers.get("Retry-After")) || null;
    const error = content.error ?? `The gateway answered ${response.status}.`;
    throw new GatewayError(response.status, content.code ?? "http_error", error, retryAfter, content.request ?? null);
  }

  #after(name, milliseconds, action) {
    this.#cancel(name);
    const run = () => {
      this.#timers.delete(name);
      action();
    };
    this.#timers.set(name, setTimeout(run, milliseconds));
  }

  #cancel(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

/** Call a listener; what it throws is its own affair and stops nothing here. */
function call(listener, value) {
  try {
    listener(value);
  } catch (error) {
    globalThis.reportError?.(error) ?? console.error(error);
  }
}

/** The parameters that are set, as a query string. */
function query(parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value != null);
  return set.length ? `?${new URLSearchParams(set)}` : "";
}

/** A key that makes repetitions of one submission one. */
export function newKey() {
  return crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
