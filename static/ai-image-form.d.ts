/** Types of `<ai-image-form>`: product and brand in, a picture out. */

import type { Body, Usage } from "./gateway.js";

/** What the form says; `{names}` in braces are filled in. */
export interface AiImageFormTexts {
  title: string;
  intro: string;
  product: string;
  productPlaceholder: string;
  productHint: string;
  productMissing: string;
  brand: string;
  brandPlaceholder: string;
  brandHint: string;
  brandMissing: string;
  organization: string;
  organizationHint: string;
  organizationPlaceholder: string;
  organizationMissing: string;
  required: string;
  /** `{most}`, `{length}` */
  tooLong: string;
  generate: string;
  /** Above what is offered to click on. */
  examples: string;
  submitting: string;
  pending: string;
  /** `{product}`, `{brand}`, as in the other intros */
  pendingIntro: string;
  processing: string;
  processingIntro: string;
  leave: string;
  waiting: string;
  /** `{percent}` */
  progress: string;
  /** `{seconds}` */
  seconds: string;
  /** `{minutes}`, `{seconds}` */
  minutes: string;
  /** `{duration}` */
  usually: string;
  usuallyUnknown: string;
  /** `{duration}` */
  left: string;
  longer: string;
  completed: string;
  completedIntro: string;
  /** `{product}`, `{brand}`: the picture's alternative text, and a request's name */
  alt: string;
  pictureMissing: string;
  download: string;
  open: string;
  another: string;
  again: string;
  cancel: string;
  canceling: string;
  canceled: string;
  canceledIntro: string;
  cancelProblem: string;
  failed: string;
  failedIntro: string;
  retry: string;
  edit: string;
  offline: string;
  offlineSubmitting: string;
  offlineRunning: string;
  reconnecting: string;
  /** `{quota}` */
  limitReached: string;
  budgetSpent: string;
  unreachable: string;
  signedOut: string;
  /** `{time}`, `{countdown}` */
  againAt: string;
  /** `{day}` */
  againOn: string;
  /** When `requestId` names none of the user's requests. */
  requestMissing: string;
  recent: string;
  /** `{name}`, `{percent}` */
  recentRunning: string;
  /** `{name}`, as in those below */
  recentPending: string;
  recentFailed: string;
  recentCanceled: string;
  announceCanceled: string;
  announceDone: string;
  announceFailed: string;
}

/** Why there is no picture: a refused submission, or a `request` that failed. */
export interface AiImageError {
  error: string;
  code: string;
  request?: Body;
}

/** What is shown now: a request, or the form (null). */
export interface AiImageShown {
  requestId: string | null;
  /** Whether it was restored after a reload, or belongs to somebody who is no longer here; nobody has asked for it. */
  isRestored: boolean;
}

/** What is offered to somebody who has made nothing yet. */
export interface AiImageExample {
  product: string;
  brand: string;
}

export interface AiImageFormEventMap {
  /** A submission was accepted. */
  "ai-image-submitted": CustomEvent<Body>;
  /** A request was completed. Once for each request. */
  "ai-image-success": CustomEvent<Body>;
  /** A request failed or was canceled (`canceled`), once for each; or a submission was refused. */
  "ai-image-error": CustomEvent<AiImageError>;
  /** One of the user's requests has changed or has come, wherever it was submitted; or runs when the page is opened. */
  "ai-image-update": CustomEvent<Body>;
  /** What was spent and is left of the limits, whenever it was read. */
  "ai-image-usage": CustomEvent<Usage>;
  /** Another request is shown, or the form; not told of what `requestId` was set to. */
  "ai-image-shown": CustomEvent<AiImageShown>;
}

/**
 * The element. Attributes: `gateway-url` (the page's own origin when left out) and `organization-id`.
 *
 * Custom properties: `--ai-form-accent`, `-on-accent`, `-surface`, `-field`, `-text`, `-muted`, `-line`, `-danger`,
 * `-radius`, `-font`. Light and dark follow the `color-scheme` of the page around.
 *
 * Parts: `card`, `form`, `request`, `heading`, `field`, `label`, `input`, `hint`, `field-error`, `error`, `notice`,
 * `button`, `button-secondary`, `examples`, `example`, `progress`, `figure`, `image`, `caption`, `strip-heading`,
 * `strip`, `strip-item`.
 *
 * Slots: `running`, below a request that runs.
 */
export class AiImageForm extends HTMLElement {
  /**
   * Fetches a fresh access token; the session cookie is used when left out. When its tokens are another user's, or it
   * is set or removed, the element forgets all that it has shown.
   */
  getToken: (() => Promise<string | null | undefined>) | null;
  /** The texts; what is set replaces defaults, in part or altogether. */
  get texts(): AiImageFormTexts;
  set texts(value: Partial<AiImageFormTexts>);
  /** Offered to click on while nothing has been made yet: they fill the form. */
  get examples(): AiImageExample[];
  set examples(value: AiImageExample[]);
  /**
   * The request that is shown; null while the form is. Set it to show one, for instance the one that a link names: one
   * that is not the user's is told kindly.
   */
  get requestId(): string | null;
  set requestId(value: string | null | undefined);
  addEventListener<K extends keyof AiImageFormEventMap>(
    type: K,
    listener: (this: AiImageForm, event: AiImageFormEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof AiImageFormEventMap>(
    type: K,
    listener: (this: AiImageForm, event: AiImageFormEventMap[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | EventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "ai-image-form": AiImageForm;
  }
}
