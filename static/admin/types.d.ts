/** What `/api/admin/…` answers, as far as the dashboard shows it. Times are RFC 3339 in UTC, costs decimals as text. */

import type { Body, Status } from "../gateway.js";

/** A request with what only administrators see. */
export interface AdminRequest extends Body {
  userId: string;
  organizationId: string;
  /** Where the database has them. */
  userEmail: string | null;
  organizationName: string | null;
  executionId: string | null;
  /** Where it is seen in n8n's editor, if the gateway knows. */
  executionUrl: string | null;
  retryOf: string | null;
  attempts: number;
}

/** A request in the list. */
export interface ListedRequest extends AdminRequest {
  /** When it was sent to n8n. */
  sentAt: string | null;
}

export interface RequestPage {
  requests: ListedRequest[];
  previousCursor: string | null;
  nextCursor: string | null;
  /** With these filters; so many are counted at most. */
  total: number;
}

/** Something that happened to a request. */
export interface TimelineEvent {
  at: string;
  version: number;
  kind: string;
  actor: string;
  detail: Record<string, unknown>;
}

export interface RequestDetails {
  request: AdminRequest;
  costEstimate: string | null;
  sentAt: string | null;
  deadlineAt: string | null;
  events: TimelineEvent[];
  n8n: {
    /** Without its secret; null before anything was sent. */
    sent: Record<string, string> | null;
    reported: { at: string; report: Record<string, unknown> }[];
  };
  /** Of the same user. */
  previous: Neighbour | null;
  next: Neighbour | null;
}

export type Neighbour = Pick<Body, "requestId" | "status" | "product" | "brand" | "createdAt">;

/** How many requests there were in some time, and what they cost. */
export interface Totals extends Record<Status, number> {
  requests: number;
  cost: string;
}

export interface Alert {
  name: string;
  summary: string;
  count: number;
  since: string;
  endedAt: string | null;
}

/** A user's or an organization's part in the requests. */
export interface Share {
  userId?: string;
  organizationId?: string;
  name: string | null;
  requests: number;
  cost: string;
}

export interface Statistics {
  days: number;
  queue: { waiting: number; sending: number; processing: number; stuck: number; oldestSeconds: number };
  stuckAfterSeconds: number;
  /** What amounts count, as a code of ISO 4217. */
  currency: string | null;
  connections: number;
  processes: number;
  callbackFailures: number;
  dispatchFailures: number;
  alerts: Alert[];
  totals: Totals;
  /** From 0 to 1; null while nothing has ended. */
  successRate: number | null;
  seconds: { mean: number | null; p50: number | null; p95: number | null };
  /** Failed requests by error code. */
  errors: Record<string, number>;
  byHour: (Totals & { hour: string })[];
  byDay: (Totals & { day: string })[];
  byUser: Share[];
  byOrganization: Share[];
}

export type Filter = "status" | "q" | "organizationId" | "userId" | "errorCode" | "since" | "until";

/** The parameters of the page's URL that say what is looked at. */
export type View = Partial<Record<Filter | "sort" | "order" | "days" | "cursor" | "newer" | "limit" | "request", string>>;

/** Parameters that are to be set; null takes one away. */
export type ViewChanges = { [Name in keyof View]: string | null };
