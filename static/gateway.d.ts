/** Types of `gateway.js`, the gateway's client for browsers. */

export type Status = "pending" | "processing" | "completed" | "failed";

/** A request, the same on every transport. Times are RFC 3339 in UTC; `cost` is a decimal as text. */
export interface Body {
  requestId: string;
  status: Status;
  product: string;
  brand: string;
  storageKey: string | null;
  storageId: string | null;
  publicUrl: string | null;
  errorMessage: string | null;
  createdAt: string;
  completedAt: string | null;
  version: number;
  progress: number | null;
  errorCode: string | null;
  updatedAt: string;
  cost: string | null;
}

/** The answer to a submission: a request that has begun. */
export interface Submitted {
  requestId: string;
  status: "pending";
  message: string;
}

/** A picture in the user's library. */
export interface Asset {
  id: string;
  name: string;
  type: string;
  format: string;
  status: string;
  fileUrl: string;
  requestId: string;
  product: string;
  brand: string;
  createdAt: string;
}

/** What the user has spent and may still do. Amounts are decimals as text. */
export interface Usage {
  /** The hourly limit of submissions; `resetSeconds` is the time until one more place is free. */
  limit: { quota: number; remaining: number; windowSeconds: number; resetSeconds: number };
  /** This month's costs: booked, and set aside for what is running. */
  month: { spent: string; reserved: string };
  organizations: {
    organizationId: string;
    /** What it is called; null where the database does not say. */
    name: string | null;
    budget: string | null;
    committed: string;
    remaining: string | null;
  }[];
  /** How long a picture usually takes; null when there is nothing to go by. */
  typicalSeconds: number | null;
  /** What amounts count, as a code of ISO 4217; null where the operator has named none. */
  currency: string | null;
  isAdmin: boolean;
}

/** A refusal. */
export class GatewayError extends Error {
  constructor(status: number, code: string, message: string, retryAfter?: number | null, request?: Body | null);
  /** The HTTP status; 0 for a WebSocket that the gateway refuses. */
  readonly status: number;
  /** The gateway's word for what is wrong, in snake_case. */
  readonly code: string;
  /** Seconds after which trying again makes sense, where the gateway said so. */
  readonly retryAfter: number | null;
  /** The request that failed, from a gateway in sync mode. */
  readonly request: Body | null;
  /**
   * Whether surely nothing was begun. After any other error of a submission, only a repeat with the same
   * `idempotencyKey` is safe.
   */
  readonly isRefusal: boolean;
}

export interface GatewayOptions {
  /** The gateway's address; the page's own origin when left out. */
  url?: string;
  /** Fetches a fresh access token; the session cookie is used when left out. */
  getToken?: (() => Promise<string | null | undefined>) | null;
  /**
   * Told how updates arrive: over the WebSocket, by polling (it is lost, or cannot be had in this browser or page), or
   * not at all because nothing is watched.
   */
  onState?: (state: "live" | "polling" | "idle") => void;
  /**
   * Told when the credential of the WebSocket ends within a minute (RFC 3339, in UTC). `getToken` is asked for a fresh
   * one in any case.
   */
  onExpiring?: (expiresAt: string) => void;
}

/** A scope: all of one's own requests, or everybody's. */
export interface ScopeListeners {
  /**
   * Every change from now on is told; what changed before has to be read, for instance from the at most 100 requests
   * that are given, unfinished ones first. Called again after each disconnection.
   */
  onSubscribed?: (requests: Body[]) => void;
  /** Nothing is told until `onSubscribed`: the WebSocket is lost and tried again. `code` is its close code, or 0. */
  onDisconnected?: (code: number) => void;
  /** Called once if the scope cannot be watched at all: `forbidden`, or `connection_refused` by a close code. */
  onError?: (error: GatewayError) => void;
}

export class GatewayClient {
  constructor(options?: GatewayOptions);
  /**
   * Submit a request. A lost answer, 502, 503, 504 and a 500 that is not the gateway's own are repeated safely; with an
   * `idempotencyKey` of your own, even by a later call.
   * @returns the new request's id; from a gateway in sync mode its whole Body, whatever became of it
   */
  generate(
    product: string,
    brand: string,
    options?: {
      organizationId?: string;
      idempotencyKey?: string;
      /** Seconds after which the gateway cancels the request, if it has not ended. */
      cancelAfter?: number;
    },
  ): Promise<Submitted | Body>;
  /** The request as it is now. */
  status(requestId: string): Promise<Body>;
  /**
   * Cancel an unfinished request, as its owner or an administrator. What was not sent to the workflow never is; a
   * picture that comes all the same still wins. A repeat answers the same; one that has ended otherwise is a 409.
   * @returns the request, `failed` with the code `canceled`
   */
  cancel(requestId: string): Promise<Body>;
  /** A page of one's own requests, newest first; `thumbnails`: whether their pictures may be had as small variants. */
  requests(options?: {
    status?: Status;
    limit?: number;
    cursor?: string | null;
  }): Promise<{ requests: Body[]; nextCursor: string | null; thumbnails: boolean }>;
  /** A page of one's own generated assets, newest first; `thumbnails` as above. */
  assets(options?: {
    limit?: number;
    cursor?: string | null;
  }): Promise<{ assets: Asset[]; nextCursor: string | null; thumbnails: boolean }>;
  /** What was spent, what is left of the limits, and how long a picture usually takes. */
  usage(): Promise<Usage>;
  /**
   * Watch a request until a final status: versions only rise (unless the database is set back, as by a
   * restore), and the newest one comes.
   * @returns stops watching
   */
  subscribe(requestId: string, onUpdate: (body: Body) => void, onError?: (error: GatewayError) => void): () => void;
  /**
   * Watch all of one's own requests, over the WebSocket alone: also those that another tab, device or program submits.
   * A client watches its own or all, not both.
   * @param onUpdate called with each Body that arrives; of one request, the one with the highest version is the newest
   * @returns stops watching
   */
  subscribeMine(onUpdate: (body: Body) => void, listeners?: ScopeListeners): () => void;
  /**
   * Watch everybody's requests, as an administrator, over the WebSocket alone.
   * @param onUpdate called with each Body that arrives; of one request, the one with the highest version is the newest
   * @returns stops watching
   */
  subscribeAll(onUpdate: (body: Body) => void, listeners?: ScopeListeners): () => void;
  /** Stop everything. */
  close(): void;
}

/** The error that an unsuccessful answer of the gateway's API holds. */
export function errorOf(response: Response): Promise<GatewayError>;

/** A fresh `idempotencyKey`. */
export function newKey(): string;
