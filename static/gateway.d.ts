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

/** A refusal. */
export class GatewayError extends Error {
  constructor(status: number, code: string, message: string, retryAfter?: number | null);
  /** The HTTP status. */
  readonly status: number;
  /** The gateway's word for what is wrong, in snake_case. */
  readonly code: string;
  /** Seconds after which trying again makes sense, where the gateway said so. */
  readonly retryAfter: number | null;
}

export interface GatewayOptions {
  /** The gateway's address; the page's own origin when left out. */
  url?: string;
  /** Fetches a fresh access token; the session cookie is used when left out. */
  getToken?: (() => Promise<string | null | undefined>) | null;
  /** Told how updates arrive: over the WebSocket, by polling, or not at all because nothing is watched. */
  onState?: (state: "live" | "polling" | "idle") => void;
}

export class GatewayClient {
  constructor(options?: GatewayOptions);
  /** Submit a request. A lost answer is repeated safely. */
  generate(
    product: string,
    brand: string,
    options?: { organizationId?: string },
  ): Promise<{ requestId: string; status: "pending"; message: string }>;
  /** The request as it is now. */
  status(requestId: string): Promise<Body>;
  /**
   * Watch a request until a final status: versions only rise, and the newest one comes.
   * @returns stops watching
   */
  subscribe(requestId: string, onUpdate: (body: Body) => void, onError?: (error: GatewayError) => void): () => void;
  /** Stop everything. */
  close(): void;
}
