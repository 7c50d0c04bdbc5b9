// The user's requests: submitted, restored, watched to their ends. It knows nothing of what they look like.
import { newKey } from "../gateway.js";

/** A gateway that has not answered a submission by then is in sync mode, and the request can be found by itself. */
const SYNC_AFTER = 2000;

/** How far this computer's clock may be ahead, in milliseconds, when nothing is known of the gateway's. */
const UNKNOWN_SKEW = 2000;

export const isFinal = (body) => body.status === "completed" || body.status === "failed";

export class Requests {
  #gateway = null;
  #bodies = new Map();
  #stops = new Map();
  #skew = Infinity; // how far this clock is ahead of the gateway's, in milliseconds, at most
  #doubt = null; // the last submission without a clear answer: { intent, key }
  #onChange;
  #onBegun;
  #onFinal;
  #onSignedOut;

  /**
   * @param {(body: object) => void} onChange told of each newer Body
   * @param {(body: object) => void} onBegun told once of each submission that was accepted
   * @param {(body: object) => void} onFinal told once of each request that came to its end while it was known
   * @param {() => void} onSignedOut the gateway no longer knows who is asking
   */
  constructor({ onChange, onBegun, onFinal, onSignedOut }) {
    this.#onChange = onChange;
    this.#onBegun = onBegun;
    this.#onFinal = onFinal;
    this.#onSignedOut = onSignedOut;
  }

  /** Go on through `gateway` with everything that still runs. */
  start(gateway) {
    this.#gateway = gateway;
    for (const body of this.#bodies.values()) this.#watch(body);
  }

  stop() {
    this.#gateway?.close();
    this.#gateway = null;
    this.#stops.clear();
  }

  get(requestId) {
    return this.#bodies.get(requestId) ?? null;
  }

  /** Seconds since the submission. Many a computer's clock is minutes off, so it is compared with the gateway's. */
  elapsed(body) {
    const skew = body.version > 0 ? this.#skew : 0;
    return Math.max(0, (Date.now() - skew - Date.parse(body.createdAt)) / 1000);
  }

  /** The newest requests, newest first. */
  recent(count = Infinity) {
    const bodies = [...this.#bodies.values()];
    return bodies.sort((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt)).slice(0, count);
  }

  /** Read the user's newest requests. */
  async load(limit) {
    const gateway = this.#gateway;
    const { requests } = await gateway.requests({ limit });
    if (gateway !== this.#gateway) return;
    for (const body of requests) this.#take(body);
  }

  /** Read one request, wherever it is in the list. */
  async find(requestId) {
    const gateway = this.#gateway;
    const body = await gateway.status(requestId);
    if (gateway === this.#gateway) this.#take(body);
  }

  /**
   * Submit; resolves with the new request's id. `onFound` is told of it before, where the answer waits for the picture;
   * it is the answer that counts.
   */
  async submit(product, brand, organizationId, onFound) {
    const gateway = this.#gateway;
    const intent = JSON.stringify([product, brand, organizationId]);
    // The answer to the last try may have been lost: the same key makes a second try the same submission.
    if (this.#doubt?.intent !== intent) this.#doubt = { intent, key: newKey() };
    const doubt = this.#doubt;
    const settle = () => {
      if (this.#doubt === doubt) this.#doubt = null;
    };
    let begunId = null;
    const begin = (requestId) => {
      settle();
      if (requestId !== begunId) this.#onBegun(this.#bodies.get(requestId));
      begunId = requestId;
    };
    const stopLooking = this.#lookFor(product, brand, (requestId) => {
      begin(requestId);
      onFound(requestId);
    });
    try {
      const content = await gateway.generate(product, brand, { organizationId, idempotencyKey: doubt.key });
      const { requestId } = content;
      if (!this.#bodies.has(requestId)) this.#bodies.set(requestId, begun(requestId, product, brand));
      begin(requestId); // before the end, which the same answer may bring
      if (content.version) this.#take(content);
      else this.#watch(this.#bodies.get(requestId));
      return requestId;
    } catch (error) {
      if (error.isRefusal) settle();
      else if (begunId) return begunId; // it goes on, whatever became of the answer
      throw error;
    } finally {
      stopLooking();
    }
  }

  /** Find the request that is being submitted now; returns what ends the search. */
  #lookFor(product, brand, onFound) {
    const began = Date.now();
    const known = new Set(this.#bodies.keys());
    let wanted = true;
    const look = async () => {
      const skew = Number.isFinite(this.#skew) ? this.#skew : UNKNOWN_SKEW;
      await this.load(5);
      // Other tabs submit too. What was just read may tell more of the clock, and can only make the bound tighter.
      const earliest = began - Math.min(skew, this.#skew);
      const body = this.recent().find((body) => {
        const same = body.product === product && body.brand === brand;
        return same && !known.has(body.requestId) && Date.parse(body.createdAt) >= earliest;
      });
      if (body && wanted) onFound(body.requestId);
    };
    const timer = setTimeout(() => look().catch(() => {}), SYNC_AFTER);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }

  #take(body) {
    const known = this.#bodies.get(body.requestId);
    if (known && known.version >= body.version) return;
    this.#bodies.set(body.requestId, body);
    this.#skew = Math.min(this.#skew, Date.now() - Date.parse(body.updatedAt));
    this.#watch(body);
    this.#onChange(body);
    if (known && !isFinal(known) && isFinal(body)) this.#onFinal(body);
  }

  #watch(body) {
    const { requestId } = body;
    if (isFinal(body)) {
      this.#stops.get(requestId)?.();
      this.#stops.delete(requestId);
    } else if (this.#gateway && !this.#stops.has(requestId)) {
      const onUpdate = (newer) => this.#take(newer);
      this.#stops.set(requestId, this.#gateway.subscribe(requestId, onUpdate, (error) => this.#lost(requestId, error)));
    }
  }

  /** A request cannot be watched: it is gone, or we are signed out and it goes on without us. */
  #lost(requestId, error) {
    this.#stops.delete(requestId);
    if (error.status === 401) return this.#onSignedOut();
    const { message: errorMessage, code: errorCode } = error;
    const body = this.#bodies.get(requestId);
    this.#take({ ...body, version: body.version + 1, status: "failed", errorMessage, errorCode });
  }
}

/** The Body of a request of which no more is known than that it was accepted. */
function begun(requestId, product, brand) {
  const now = new Date().toISOString();
  return {
    requestId,
    status: "pending",
    product,
    brand,
    storageKey: null,
    storageId: null,
    publicUrl: null,
    errorMessage: null,
    createdAt: now,
    completedAt: null,
    version: 0,
    progress: null,
    errorCode: null,
    updatedAt: now,
    cost: null,
  };
}
