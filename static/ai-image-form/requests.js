// The user's requests: submitted, restored, watched to their ends. It knows nothing of what they look like.
import { GatewayError, newKey } from "../gateway.js";

/** @import { Body, GatewayClient } from "../gateway.js" */

/** A gateway that has not answered in so many milliseconds is in sync mode, and the request can be found by itself. */
const SYNC_AFTER = 2000;

/** How far this computer's clock may be ahead, in milliseconds, when nothing is known of the gateway's. */
const UNKNOWN_SKEW = 2000;

/** Close codes of a WebSocket whose credential is no good, or is missing. */
const UNAUTHORIZED = new Set([4401, 4408]);

/** @param {Body} body */
export const isFinal = (body) => body.status === "completed" || body.status === "failed";

/** @param {Body} body */
export const isCanceled = (body) => body.status === "failed" && body.errorCode === "canceled";

export class Requests {
  /** @type {GatewayClient|null} */
  #gateway = null;
  /** @type {Map<string, Body>} by request id */
  #bodies = new Map();
  /** @type {Map<string, () => void>} what ends a subscription, by request id */
  #unsubscribers = new Map();
  #isFollowing = false;
  /** Whether the pictures may be had as small variants. */
  areThumbnailsMade = false;
  #skew = Infinity; // how far this clock is ahead of the gateway's, in milliseconds, at most
  /** @type {{ values: string, key: string }|null} the last submission without a clear answer, and its key */
  #unsettled = null;
  #onChange;
  #onAccepted;
  #onFinal;
  #onSignedOut;

  /**
   * @param {object} listeners
   * @param {(body: Body, isNew: boolean) => void} listeners.onChange told of each newer Body, and whether its request
   *   was not known before
   * @param {(body: Body) => void} listeners.onAccepted told once of each submission that was accepted
   * @param {(body: Body) => void} listeners.onFinal told once of each request that came to its end while it was known
   * @param {() => void} listeners.onSignedOut the gateway no longer knows who is asking
   */
  constructor({ onChange, onAccepted, onFinal, onSignedOut }) {
    this.#onChange = onChange;
    this.#onAccepted = onAccepted;
    this.#onFinal = onFinal;
    this.#onSignedOut = onSignedOut;
  }

  /**
   * Go on through `gateway` with everything that still runs.
   * @param {GatewayClient} gateway
   */
  start(gateway) {
    this.#gateway = gateway;
    for (const body of this.#bodies.values()) this.#watch(body);
  }

  /** Follow whatever the user submits from now on, here or anywhere else. */
  follow() {
    const gateway = this.#running();
    if (this.#isFollowing) return;
    this.#isFollowing = true;
    gateway.subscribeMine((body) => this.#apply(body), {
      onSubscribed: (bodies) => this.#catchUp(bodies),
      onDisconnected: (code) => {
        // Whether somebody has to sign in again, only an answer says: the credential may be a fresh one by now.
        if (UNAUTHORIZED.has(code)) this.load(1).catch((/** @type {unknown} */ error) => this.#unreadable(error));
      },
    });
  }

  stop() {
    this.#isFollowing = false;
    this.#gateway?.close();
    this.#gateway = null;
    this.#unsubscribers.clear();
  }

  /** @param {string} requestId */
  get(requestId) {
    return this.#bodies.get(requestId) ?? null;
  }

  /**
   * Seconds since the submission. Many a computer's clock is minutes off, so it is compared with the gateway's.
   * @param {Body} body
   */
  elapsed(body) {
    const skew = body.version > 0 ? this.#skew : 0;
    return Math.max(0, (Date.now() - skew - Date.parse(body.createdAt)) / 1000);
  }

  /** The newest requests, newest first. */
  recent(count = Infinity) {
    const bodies = [...this.#bodies.values()];
    return bodies.sort((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt)).slice(0, count);
  }

  /**
   * Read the user's newest requests.
   * @param {number} limit
   */
  async load(limit) {
    const gateway = this.#running();
    const { requests, thumbnails } = await gateway.requests({ limit });
    if (gateway !== this.#gateway) return;
    this.areThumbnailsMade = thumbnails;
    for (const body of requests) this.#apply(body);
  }

  /**
   * Read one request, wherever it is in the list.
   * @param {string} requestId
   */
  async find(requestId) {
    const gateway = this.#running();
    const body = await gateway.status(requestId);
    if (gateway === this.#gateway) this.#apply(body);
  }

  /**
   * Cancel one that runs. What has ended meanwhile is shown as it is.
   * @param {string} requestId
   */
  async cancel(requestId) {
    const gateway = this.#running();
    try {
      const body = await gateway.cancel(requestId);
      if (gateway === this.#gateway) this.#apply(body);
    } catch (error) {
      if (!(error instanceof GatewayError && error.status === 409)) throw error;
      if (gateway === this.#gateway) await this.find(requestId);
    }
  }

  /**
   * Submit; resolves with the new request's id. `onFound` is told of it before, where the answer waits for the picture;
   * it is the answer that counts.
   * @param {string} product
   * @param {string} brand
   * @param {string|undefined} organizationId
   * @param {(requestId: string) => void} onFound
   */
  async submit(product, brand, organizationId, onFound) {
    const gateway = this.#running();
    const values = JSON.stringify([product, brand, organizationId]);
    // The answer to the last try may have been lost: the same key makes a second try the same submission.
    if (this.#unsettled?.values !== values) this.#unsettled = { values, key: newKey() };
    const submission = this.#unsettled;
    const settle = () => {
      if (this.#unsettled === submission) this.#unsettled = null;
    };
    /** @type {string|null} */
    let acceptedId = null;
    /** @param {Body} body */
    const accept = (body) => {
      settle();
      if (body.requestId !== acceptedId) this.#onAccepted(body);
      acceptedId = body.requestId;
    };
    const stopSearch = this.#search(product, brand, (body) => {
      accept(body);
      onFound(body.requestId);
    });
    try {
      const answer = await gateway.generate(product, brand, { organizationId, idempotencyKey: submission.key });
      const { requestId } = answer;
      const body = this.#bodies.get(requestId) ?? acceptedBody(requestId, product, brand);
      this.#bodies.set(requestId, body);
      accept(body); // before the end, which the same answer may bring
      if ("version" in answer) this.#apply(answer);
      else this.#watch(body);
      return requestId;
    } catch (error) {
      if (error instanceof GatewayError && error.isRefusal) settle();
      else if (acceptedId !== null) return acceptedId; // it goes on, whatever became of the answer
      throw error;
    } finally {
      stopSearch();
    }
  }

  /**
   * Find the request that is being submitted now.
   * @param {string} product
   * @param {string} brand
   * @param {(body: Body) => void} onFound
   * @returns {() => void} what ends the search
   */
  #search(product, brand, onFound) {
    const began = Date.now();
    const known = new Set(this.#bodies.keys());
    let isWanted = true;
    const search = async () => {
      const skew = Number.isFinite(this.#skew) ? this.#skew : UNKNOWN_SKEW;
      await this.load(5);
      // Other tabs submit too. What was just read may tell more of the clock, and can only make the bound tighter.
      const earliest = began - Math.min(skew, this.#skew);
      const found = this.recent().find((body) => {
        const isSame = body.product === product && body.brand === brand;
        return isSame && !known.has(body.requestId) && Date.parse(body.createdAt) >= earliest;
      });
      if (found && isWanted) onFound(found);
    };
    const timer = setTimeout(() => search().catch(() => {}), SYNC_AFTER);
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }

  /**
   * Take what a snapshot has of the newest requests; its past goes further back than anybody has asked for.
   * @param {Body[]} bodies
   */
  #catchUp(bodies) {
    const oldest = this.recent().at(-1)?.createdAt ?? "";
    for (const body of bodies) {
      if (!isFinal(body) || this.#bodies.has(body.requestId) || body.createdAt > oldest) this.#apply(body);
    }
  }

  /** @param {unknown} error */
  #unreadable(error) {
    if (error instanceof GatewayError && error.status === 401 && this.#gateway) this.#onSignedOut();
  }

  /**
   * @param {Body} body
   * @param {boolean} [isWatched] whether a subscription brought it, whose last word counts: a lower version means that the
   *   database was set back; what else is read may have been overtaken
   */
  #apply(body, isWatched = false) {
    const known = this.#bodies.get(body.requestId);
    if (known && (isWatched ? known.version === body.version : known.version >= body.version)) return;
    this.#bodies.set(body.requestId, body);
    this.#skew = Math.min(this.#skew, Date.now() - Date.parse(body.updatedAt));
    this.#watch(body);
    this.#onChange(body, known === undefined);
    if (known && !isFinal(known) && isFinal(body)) this.#onFinal(body);
  }

  /** @param {Body} body */
  #watch(body) {
    const { requestId } = body;
    if (isFinal(body)) {
      this.#unsubscribers.get(requestId)?.();
      this.#unsubscribers.delete(requestId);
    } else if (this.#gateway && !this.#unsubscribers.has(requestId)) {
      const unsubscribe = this.#gateway.subscribe(
        requestId,
        (watched) => this.#apply(watched, true),
        (error) => this.#unwatchable(requestId, error),
      );
      this.#unsubscribers.set(requestId, unsubscribe);
    }
  }

  /**
   * A request cannot be watched: it is gone, or we are signed out and it goes on without us.
   * @param {string} requestId
   * @param {GatewayError} error
   */
  #unwatchable(requestId, error) {
    this.#unsubscribers.delete(requestId);
    if (error.status === 401) {
      this.#onSignedOut();
      return;
    }
    const { message: errorMessage, code: errorCode } = error;
    const body = this.#bodies.get(requestId);
    if (body) this.#apply({ ...body, version: body.version + 1, status: "failed", errorMessage, errorCode });
  }

  #running() {
    if (this.#gateway === null) throw new Error("The form is not in a page.");
    return this.#gateway;
  }
}

/**
 * The Body of a request of which no more is known than that it was accepted.
 * @param {string} requestId
 * @param {string} product
 * @param {string} brand
 * @returns {Body}
 */
function acceptedBody(requestId, product, brand) {
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
