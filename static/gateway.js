// The gateway's client for browsers: one ES module, nothing to install, nothing to build.
//
//   const gateway = new GatewayClient({ getToken: async () => session.access_token });
//   const { requestId } = await gateway.generate("Running Shoes", "Nike");
//   const stop = gateway.subscribe(requestId, (body) => console.log(body.status, body.progress));
//
// `onUpdate` sees versions that only rise, and the newest one, whatever breaks: updates come over one WebSocket; while
// that cannot be had, each watched request is long-polled, and the WebSocket is tried again. Only where the gateway's
// database was set back, as by a restore, does it follow to a lower version.
//
// It runs in Chrome and Edge 84, Firefox 90 and Safari 15, and in all that came after them.
//
// What is public is declared and described in gateway.d.ts.

/** @import { Body, GatewayOptions, ScopeListeners, Submitted } from "./gateway.d.ts" */
/** @typedef {import("./gateway.d.ts").GatewayClient} Declared */
/** @typedef {import("./gateway.d.ts").GatewayError} DeclaredError */

/** @typedef {{ onUpdate: (body: Body) => void, onError: (error: GatewayError) => void }} Listener */

/**
 * @typedef {object} Subscription one request's
 * @property {Set<Listener>} listeners
 * @property {number} version the last that was seen; 0 before the first
 * @property {Body|null} body that version's
 * @property {boolean} polling whether a long poll runs for it
 */

/**
 * @typedef {{ type: "welcome", pingIntervalMs: number }
 *   | { type: "subscribed", ref: string|null, requests: Body[], missing: string[] }
 *   | { type: "update", request: Body }
 *   | { type: "error", ref: string|null, code: string, error: string }
 *   | { type: "expiring", expiresAt: string }
 *   | { type: "drain", reconnectInMs: number }
 *   | { type: "authenticated" | "unsubscribed" | "pong" }} Message what the gateway sends
 */

/** Close codes after which connecting again cannot help (the server's table of close codes). */
const PERMANENT = new Set([1009, 4400, 4403]);

/** Statuses that a proxy or a busy gateway answers with, whatever became of a submission. */
const RETRYABLE = new Set([502, 503, 504]);

/**
 * The code of an answer that is not the gateway's own. With 500 it is a proxy's too: Next.js says that of a gateway that
 * it cannot reach.
 */
const FOREIGN = "http_error";

/** Statuses below 500 that speak of the transport, not of the submission. */
const TRANSPORT_FAILURES = new Set([408, 425]);

/** Times are milliseconds, unless a name says something else. */
const MAX_DELAY = 30_000;
const CONNECT_TIMEOUT = 10_000;
const POLL_WAIT_SECONDS = 25;

/** How long a submission may take: a gateway in sync mode answers only when the picture is there. */
const SUBMIT_TIMEOUT = 120_000;

/** How long a token may still be good when the gateway warns of its end. */
const TOKEN_WARNING = 60_000;

/** How long before its end a token that has not been renewed is asked for once more. */
const TOKEN_LAST_ATTEMPT = 10_000;

/** Warnings that follow each other faster are answered together. */
const TOKEN_DEBOUNCE = 5_000;

/** The `ref` by which the answers to a subscription to a scope are told from others. */
const SCOPE = "scope";

/**
 * A refusal: `code` is the gateway's word for it, `status` the HTTP status, `retryAfter` seconds or null.
 * @implements {DeclaredError}
 */
export class GatewayError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {number|null} [retryAfter]
   * @param {Body|null} [request]
   */
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
    return this.status >= 400 && this.status < 500 && !TRANSPORT_FAILURES.has(this.status);
  }
}

/** @implements {Declared} */
export class GatewayClient {
  #url;
  #getToken;
  #onState;
  #onExpiring;
  /** @type {Map<string, Subscription>} by request id */
  #subscriptions = new Map();
  /** @type {"mine"|"all"|null} what `#scopeListeners` follow; null while there are none */
  #scope = null;
  /** @type {Set<Required<ScopeListeners> & { onUpdate: (body: Body) => void }>} */
  #scopeListeners = new Set();
  /** @type {WebSocket|null} */
  #socket = null;
  #live = false;
  #failures = 0;
  /** @type {Map<string, ReturnType<typeof setTimeout>>} by what they are for */
  #timers = new Map();
  /** @type {string|null} the last one that this connection was told */
  #sentToken = null;
  /** Whether nothing was heard since the last ping. */
  #awaitsAnswer = false;
  #closed = false;

  /** @param {GatewayOptions} [options] */
  constructor({ url = location.origin, getToken = null, onState = ignore, onExpiring = ignore } = {}) {
    this.#url = url.replace(/\/$/, "");
    this.#getToken = getToken;
    this.#onState = onState;
    this.#onExpiring = onExpiring;
    globalThis.addEventListener?.("online", this.#online);
    globalThis.addEventListener?.("offline", this.#offline);
  }

  /**
   * Submit a request. While the answer is lost, it is repeated with the same Idempotency-Key, so it never makes two.
   *
   * A gateway in sync mode answers with the whole Body, at once final in most cases; one that failed is an answer too.
   * @type {Declared["generate"]}
   */
  async generate(product, brand, { organizationId, idempotencyKey = newKey(), cancelAfter } = {}) {
    const body = { Product: product, "Your Brand": brand, ...(organizationId && { organizationId }) };
    /** @type {Record<string, string>} */
    const headers = { "Content-Type": "application/json", "Idempotency-Key": idempotencyKey };
    if (cancelAfter !== undefined) headers["Cancel-After"] = String(cancelAfter);
    const began = Date.now();
    for (let attempt = 1; ; attempt++) {
      try {
        /** @type {Submitted|Body} */
        const answer = await this.#fetch("/api/ai-generate", {
          method: "POST",
          headers,
          body: JSON.stringify(body),
          timeout: SUBMIT_TIMEOUT,
        });
        return answer;
      } catch (error) {
        if (error instanceof GatewayError) {
          if (error.request) return error.request;
          if (!RETRYABLE.has(error.status) && !(error.status === 500 && error.code === FOREIGN)) throw error;
        }
        if (attempt === 3 || Date.now() - began > SUBMIT_TIMEOUT) throw error;
        await sleep(Math.random() * 1000 * attempt);
      }
    }
  }

  /**
   * The request as it is now.
   * @type {Declared["status"]}
   */
  status(requestId) {
    return this.#fetch(statusPath(requestId));
  }

  /**
   * Cancel an unfinished request; a repeat answers the same.
   * @type {Declared["cancel"]}
   */
  cancel(requestId) {
    return this.#fetch(`/api/ai-requests/${encodeURIComponent(requestId)}/cancel`, { method: "POST" });
  }

  /**
   * A page of one's own requests, newest first.
   * @type {Declared["requests"]}
   */
  requests({ status, limit, cursor } = {}) {
    return this.#fetch(`/api/ai-requests${query({ status, limit, cursor })}`);
  }

  /**
   * A page of one's own generated assets, newest first.
   * @type {Declared["assets"]}
   */
  assets({ limit, cursor } = {}) {
    return this.#fetch(`/api/assets${query({ limit, cursor })}`);
  }

  /**
   * What was spent, what is left of the limits, and how long a picture usually takes.
   * @type {Declared["usage"]}
   */
  usage() {
    return this.#fetch("/api/usage");
  }

  /**
   * Watch a request until a final status.
   * @type {Declared["subscribe"]}
   */
  subscribe(requestId, onUpdate, onError = ignore) {
    const id = requestId.toLowerCase(); // as Bodies have it
    const empty = { listeners: new Set(), version: 0, body: null, polling: false };
    const subscription = this.#subscriptions.get(id) ?? empty;
    const listener = { onUpdate, onError };
    subscription.listeners.add(listener);
    this.#subscriptions.set(id, subscription);
    const { body } = subscription;
    if (body) queueMicrotask(() => subscription.listeners.has(listener) && notify(onUpdate, body));
    if (this.#live) this.#send({ type: "subscribe", requestIds: [id] });
    else this.#connectSoon();
    if (this.#failures > 0 && !this.#live) void this.#poll(id); // the next attempt may be half a minute away
    return () => {
      subscription.listeners.delete(listener);
      if (subscription.listeners.size === 0) this.#unsubscribe(id);
    };
  }

  /**
   * Watch all of one's own requests, also those that another tab, device or program submits.
   * @type {Declared["subscribeMine"]}
   */
  subscribeMine(onUpdate, listeners = {}) {
    return this.#subscribeScope("mine", onUpdate, listeners);
  }

  /**
   * Watch everybody's requests, as an administrator.
   * @type {Declared["subscribeAll"]}
   */
  subscribeAll(onUpdate, listeners = {}) {
    return this.#subscribeScope("all", onUpdate, listeners);
  }

  /**
   * @param {"mine"|"all"} scope
   * @param {(body: Body) => void} onUpdate
   * @param {ScopeListeners} listeners
   */
  #subscribeScope(scope, onUpdate, { onSubscribed = ignore, onDisconnected = ignore, onError = ignore }) {
    // An update does not say by which subscription it came.
    if (this.#scope !== null && this.#scope !== scope) throw new Error("One client watches its own requests, or all.");
    const listener = { onUpdate, onSubscribed, onDisconnected, onError };
    this.#scope = scope;
    this.#scopeListeners.add(listener);
    if (this.#live) this.#send({ type: "subscribe", scope, ref: SCOPE });
    else this.#connectSoon();
    return () => {
      if (!this.#scopeListeners.delete(listener) || this.#scopeListeners.size > 0) return;
      this.#scope = null;
      if (this.#isIdle) this.#disconnect();
      else if (this.#live) this.#send({ type: "unsubscribe", scope });
    };
  }

  /** Stop everything. */
  close() {
    this.#closed = true;
    globalThis.removeEventListener?.("online", this.#online);
    globalThis.removeEventListener?.("offline", this.#offline);
    this.#subscriptions.clear();
    this.#scope = null;
    this.#scopeListeners.clear();
    this.#disconnect();
  }

  // -- what arrives ---------------------------------------------------------------------------------------------------

  /** @param {Body} body */
  #apply(body) {
    const subscription = this.#subscriptions.get(body.requestId);
    // A lower version is news too: what a socket brings, and what was asked for after the last Body had come, is as the
    // database has it. It was set back, as by a restore.
    if (!subscription || body.version === subscription.version) return;
    subscription.version = body.version;
    subscription.body = body;
    for (const { onUpdate } of [...subscription.listeners]) notify(onUpdate, body);
    if (body.status === "completed" || body.status === "failed") this.#unsubscribe(body.requestId);
  }

  /**
   * A request cannot be watched.
   * @param {string} requestId
   * @param {GatewayError} error
   */
  #reject(requestId, error) {
    const listeners = this.#subscriptions.get(requestId)?.listeners ?? [];
    this.#subscriptions.delete(requestId);
    for (const { onError } of listeners) notify(onError, error);
    if (this.#isIdle) this.#disconnect();
  }

  /**
   * The scope cannot be watched.
   * @param {GatewayError} error
   */
  #rejectScope(error) {
    const listeners = [...this.#scopeListeners];
    this.#scope = null;
    this.#scopeListeners.clear();
    for (const { onError } of listeners) notify(onError, error);
    if (this.#isIdle) this.#disconnect();
  }

  /** @param {string} requestId */
  #unsubscribe(requestId) {
    if (!this.#subscriptions.delete(requestId)) return;
    if (this.#isIdle) this.#disconnect();
    else if (this.#live) this.#send({ type: "unsubscribe", requestIds: [requestId] });
  }

  get #isIdle() {
    return this.#subscriptions.size === 0 && this.#scopeListeners.size === 0;
  }

  /** Nobody watches anything: keep no connection. */
  #disconnect() {
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    const socket = this.#socket;
    this.#socket = null;
    this.#live = false;
    socket?.close(1000);
    this.#onState("idle");
  }

  // -- the WebSocket --------------------------------------------------------------------------------------------------

  /** Connect when whoever subscribes is done: where there is no WebSocket, that is known and told at once. */
  #connectSoon() {
    queueMicrotask(() => this.#connect());
  }

  #connect() {
    if (this.#socket || this.#closed || this.#timers.has("reconnect") || this.#isIdle) return;
    /** @type {WebSocket} */
    let socket;
    try {
      socket = new WebSocket(`${this.#url.replace(/^http/, "ws")}/ws`);
    } catch {
      // An add-on has removed or forbidden it, or the page's policy has: for Safari below 15.4, 'self' is no wss:.
      this.#fallBack(0);
      return;
    }
    this.#socket = socket;
    this.#sentToken = null;
    this.#after("connect", CONNECT_TIMEOUT, () => this.#lost(socket, 0));
    socket.onopen = () => this.#authenticate(socket);
    socket.onmessage = ({ data }) => {
      /** @type {unknown} */
      const message = JSON.parse(String(data));
      this.#receive(socket, /** @type {Message} */ (message));
    };
    socket.onclose = ({ code }) => this.#lost(socket, code);
  }

  /**
   * @param {WebSocket} socket
   * @param {Message} message
   */
  #receive(socket, message) {
    if (socket !== this.#socket) return;
    this.#awaitsAnswer = false;
    switch (message.type) {
      case "welcome":
        this.#welcomed(socket, message.pingIntervalMs);
        break;
      case "subscribed":
        this.#failures = 0; // not at the welcome: a gateway without its database still welcomes
        for (const body of message.requests) this.#apply(body);
        for (const id of message.missing) {
          this.#reject(id, new GatewayError(404, "not_found", "Request not found"));
        }
        if (message.ref !== SCOPE) break;
        for (const { onSubscribed } of [...this.#scopeListeners]) notify(onSubscribed, message.requests);
        break;
      case "update":
        this.#apply(message.request);
        for (const { onUpdate } of [...this.#scopeListeners]) notify(onUpdate, message.request);
        break;
      case "error":
        if (message.ref === SCOPE && message.code === "forbidden") {
          this.#rejectScope(new GatewayError(403, message.code, message.error));
          break;
        }
        // A refused subscription (the database was away for a moment): begin anew, and poll meanwhile.
        this.#lost(socket, 0);
        break;
      case "expiring":
        notify(this.#onExpiring, message.expiresAt);
        this.#renewToken(socket, Date.parse(message.expiresAt) - Date.now());
        break;
      case "drain":
        this.#after("drain", Math.max(0, message.reconnectInMs), () => this.#lost(socket, 1012, 0));
        break;
    }
  }

  /**
   * Tell the gateway the token, unless it has it already: it would only warn of that again.
   * @param {WebSocket} socket
   */
  async #authenticate(socket) {
    const token = await this.#token().catch(() => null);
    if (!token || token === this.#sentToken || socket !== this.#socket) return;
    this.#sentToken = token;
    this.#send({ type: "auth", token });
  }

  /**
   * Ask for a fresh token now, and once more shortly before the end: `getToken` may not have had one yet.
   * @param {WebSocket} socket
   * @param {number} left until the token's end
   */
  #renewToken(socket, left) {
    const askedJustNow = this.#timers.has("token");
    // This computer's clock may be wrong, but no warning comes earlier than that.
    const delay = Math.max(TOKEN_DEBOUNCE, Math.min(left, TOKEN_WARNING) - TOKEN_LAST_ATTEMPT);
    this.#after("token", delay, () => this.#authenticate(socket));
    if (!askedJustNow) void this.#authenticate(socket);
  }

  /**
   * @param {WebSocket} socket
   * @param {number} pingInterval
   */
  #welcomed(socket, pingInterval) {
    this.#cancel("connect");
    this.#live = true;
    this.#onState("live");
    if (this.#scope !== null) this.#send({ type: "subscribe", scope: this.#scope, ref: SCOPE });
    const ids = [...this.#subscriptions.keys()];
    for (let start = 0; start < ids.length; start += 100) {
      this.#send({ type: "subscribe", requestIds: ids.slice(start, start + 100) });
    }
    // A browser cannot see protocol pings, so it asks by itself; a ping without an answer is a dead connection. Time
    // alone says nothing: a hidden tab's timers are slowed to one a minute.
    let askedAt = Date.now();
    const ping = () => {
      if (this.#awaitsAnswer) return this.#lost(socket, 0);
      const isLate = Date.now() - askedAt > 2 * pingInterval; // the computer may have slept, and the connection died
      askedAt = Date.now();
      this.#awaitsAnswer = true;
      this.#send({ type: "ping" });
      this.#after("ping", isLate ? Math.min(pingInterval, CONNECT_TIMEOUT) : pingInterval, ping);
    };
    this.#after("ping", pingInterval, ping);
  }

  /** @param {{ type: string, [field: string]: unknown }} command */
  #send(command) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(command));
  }

  /**
   * @param {WebSocket} socket
   * @param {number} code the close code; 0 where there was none
   * @param {number|null} delay before connecting anew; null: a random one that grows
   */
  #lost(socket, code, delay = null) {
    if (socket !== this.#socket) return;
    for (const name of ["connect", "ping", "drain", "token"]) this.#cancel(name);
    this.#socket = null;
    this.#live = false;
    socket.onclose = null;
    socket.close();
    this.#fallBack(code, delay);
  }

  /**
   * Poll, and connect again after a while.
   * @param {number} code why there is no WebSocket: its close code; 0 where there was none
   * @param {number|null} [delay] before connecting; null: a random one that grows
   */
  #fallBack(code, delay = null) {
    if (this.#closed || this.#isIdle) return;
    this.#onState("polling");
    for (const id of this.#subscriptions.keys()) void this.#poll(id);
    if (PERMANENT.has(code)) {
      this.#rejectScope(new GatewayError(0, "connection_refused", `The gateway refuses this connection (${code}).`));
      return;
    }
    // Full jitter: after a restart, clients spread over the whole window instead of coming back as one wave.
    this.#failures += 1;
    const longest = Math.min(MAX_DELAY, 500 * 2 ** Math.min(this.#failures, 10));
    this.#after("reconnect", delay ?? Math.random() * longest, () => this.#connect());
    for (const { onDisconnected } of [...this.#scopeListeners]) notify(onDisconnected, code);
  }

  /** The network is back: do not wait for the next attempt. */
  #online = () => {
    if (!this.#timers.has("reconnect")) return;
    this.#cancel("reconnect");
    this.#connect();
  };

  /** The network is gone: the socket would notice only after two silent pings. */
  #offline = () => {
    if (this.#socket) this.#lost(this.#socket, 0);
  };

  // -- the long poll, while there is no WebSocket ---------------------------------------------------------------------

  /** @param {string} requestId */
  async #poll(requestId) {
    const subscription = this.#subscriptions.get(requestId);
    if (!subscription || subscription.polling) return;
    subscription.polling = true;
    let failures = 0;
    while (!this.#live && !this.#closed && this.#subscriptions.get(requestId) === subscription) {
      try {
        const { version } = subscription;
        const began = Date.now();
        const newer = version ? query({ wait: POLL_WAIT_SECONDS, version }) : "";
        /** @type {Body} */
        const body = await this.#fetch(statusPath(requestId) + newer);
        failures = 0;
        const isOvertaken = subscription.version !== version && body.version < subscription.version;
        if (this.#live || isOvertaken) continue; // a socket has brought, or will bring, what was read later
        this.#apply(body);
        if (body.version === version && Date.now() - began < 1000) await sleep(1000); // it did not wait, so we do
      } catch (error) {
        if (error instanceof GatewayError) {
          // A 401 may be a token that is just being refreshed.
          const refused = error.status === 404 || (error.status === 401 && (!this.#getToken || failures >= 3));
          if (refused) {
            this.#reject(requestId, error);
            break;
          }
        }
        failures += 1;
        await sleep(Math.random() * Math.min(MAX_DELAY, 1000 * 2 ** Math.min(failures, 10)));
      }
    }
    subscription.polling = false;
  }

  // -- helpers --------------------------------------------------------------------------------------------------------

  async #token() {
    return this.#getToken ? await this.#getToken() : null;
  }

  /**
   * The content of a successful answer, as the API's documents describe it.
   * @template T
   * @param {string} path
   * @param {{ method?: string, headers?: Record<string, string>, body?: string, timeout?: number }} [options]
   * @returns {Promise<T>}
   */
  async #fetch(path, { headers = {}, timeout = (POLL_WAIT_SECONDS + 10) * 1000, ...options } = {}) {
    const token = await this.#token();
    const response = await fetch(this.#url + path, {
      ...options,
      credentials: "include",
      signal: timeoutSignal(timeout),
      headers: { ...headers, ...(token && { Authorization: `Bearer ${token}` }) },
    });
    if (!response.ok) throw await errorOf(response);
    /** @type {unknown} */
    const content = await response.json(); // one that was cut off on its way is lost, and not empty
    return /** @type {T} */ (content);
  }

  /**
   * @param {string} name what the timer is for; an earlier one of the name is cancelled
   * @param {number} delay
   * @param {() => unknown} action
   */
  #after(name, delay, action) {
    this.#cancel(name);
    const run = () => {
      this.#timers.delete(name);
      action();
    };
    this.#timers.set(name, setTimeout(run, delay));
  }

  /** @param {string} name */
  #cancel(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

/**
 * The error that an unsuccessful answer holds.
 * @param {Response} response
 */
export async function errorOf(response) {
  const { status, headers } = response;
  /** @type {unknown} */
  const content = await response.json().catch(() => ({}));
  const { error, code, request } = /** @type {{ error?: string, code?: string, request?: Body }} */ (content);
  const retryAfter = Number(headers.get("Retry-After")) || null;
  const message = error ?? `The gateway answered ${status}.`;
  return new GatewayError(status, code ?? FOREIGN, message, retryAfter, request ?? null);
}

/** A key that makes repetitions of one submission one. */
export function newKey() {
  return crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
}

/**
 * Call a listener; what it throws is its own affair and stops nothing here.
 * @template T
 * @param {(value: T) => void} listener
 * @param {T} value
 */
function notify(listener, value) {
  try {
    listener(value);
  } catch (error) {
    if ("reportError" in globalThis) reportError(error);
    else console.error(error);
  }
}

function ignore() {
  // A listener that was left out.
}

/** @param {string} requestId */
function statusPath(requestId) {
  return `/api/ai-status/${encodeURIComponent(requestId)}`;
}

/**
 * The parameters that are set, as a query string.
 * @param {Record<string, string|number|null|undefined>} parameters
 */
function query(parameters) {
  const set = Object.entries(parameters).flatMap(([name, value]) => (value == null ? [] : [[name, String(value)]]));
  return set.length ? `?${new URLSearchParams(set)}` : "";
}

/**
 * `AbortSignal.timeout`, which came with Chrome 103, Firefox 100 and Safari 16.
 * @param {number} milliseconds
 */
function timeoutSignal(milliseconds) {
  if (AbortSignal.timeout) return AbortSignal.timeout(milliseconds);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), milliseconds); // of an answer that has come it aborts nothing
  return controller.signal;
}

/** @param {number} milliseconds */
function sleep(milliseconds) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
