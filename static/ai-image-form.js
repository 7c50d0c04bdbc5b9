// <ai-image-form>: product and brand in, a picture out. A custom element for any page, with or without a framework.
//
//   <script type="module" src="ai-image-form.js"></script>
//   <ai-image-form gateway-url="https://gateway.example.com"></ai-image-form>
//
// This file holds who is here and what they do; what runs is in ai-image-form/requests.js, and what is seen in view.js.
import { Refusals } from "./ai-image-form/refusals.js";
import { isCanceled, isFinal, Requests } from "./ai-image-form/requests.js";
import { styleSheet } from "./ai-image-form/stylesheet.js";
import { fill, TEXTS } from "./ai-image-form/texts.js";
import { User } from "./ai-image-form/user.js";
import { View } from "./ai-image-form/view.js";
import { GatewayClient, GatewayError } from "./gateway.js";

/** @import { AiImageError, AiImageExample, AiImageForm as Declared, AiImageFormTexts, AiImageShown } from "./ai-image-form.d.ts" */
/** @import { Values } from "./ai-image-form/form-view.js" */
/** @import { Body, GatewayOptions, Usage } from "./gateway.js" */

const RECENT_COUNT = 8;

/** Milliseconds until the past is read again when it could not be read. */
const READ_RETRY_DELAY = 5000;

/** Milliseconds that a page's own scripts are waited for. */
const SCRIPTS_DELAY = 200;

/** Milliseconds for which changes are gathered before the usage is read again. */
const USAGE_DELAY = 300;

/** Refusals that name an organization problem: the choice must be offered anew. */
const ORGANIZATION_CODES = new Set(["organization_required", "not_a_member"]);

/**
 * Whether a request cannot be had, now or later: other refusals pass.
 * @param {number} status
 */
const isGone = (status) => status >= 400 && status < 500 && ![401, 408, 429].includes(status);

// Where pages are rendered without a browser, importing this must not fail.
const Base = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? Object);

/** @implements {Pick<Declared, "getToken"|"texts"|"examples"|"requestId">} */
class AiImageForm extends Base {
  static observedAttributes = ["gateway-url", "organization-id"];

  /** @type {GatewayClient|null} null while the element is in no page */
  #gateway = null;
  /** @type {NonNullable<GatewayOptions["getToken"]>|null} */
  #getToken = null;
  #texts = TEXTS;
  /** @type {AiImageExample[]} */
  #examples = [];
  /** @type {string|null} the request that is to be shown as soon as it could be read */
  #wanted = null;
  #connection = "idle";
  #isSignedOut = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #usageTimer;

  // What is one user's, and forgotten with them.
  /** @type {User|null} null: not known yet */
  #user = null;
  #view = this.#newView();
  #requests = this.#newRequests();
  #refusals = new Refusals();
  /** @type {Usage|null} */
  #usage = null;
  #usageReadAt = 0;
  /** @type {string|null} the id of the request that is shown; null: the form */
  #shown = null;
  /** @type {object|null} stands for the submission that waits for its answer */
  #submission = null;
  /** @type {{ requestId: string, problem: string|null }|null} the last request that was to be canceled */
  #cancellation = null;
  #hasRead = false; // whether the past could be read
  #isMissing = false; // whether a request was wanted that is none of theirs

  // -- the public side ------------------------------------------------------------------------------------------------

  /** Fetches a fresh access token; without it, the session cookie says who is asking. */
  get getToken() {
    return this.#getToken;
  }

  set getToken(value) {
    const getToken = value ?? null;
    const isOther = (getToken === null) !== (this.#getToken === null); // not for each new closure
    this.#getToken = getToken;
    if (!isOther) return;
    this.#forget();
    this.#read();
  }

  /**
   * Texts that replace the defaults, in part or altogether.
   * @returns {AiImageFormTexts}
   */
  get texts() {
    return this.#texts;
  }

  /** @param {Partial<AiImageFormTexts>} value */
  set texts(value) {
    this.#texts = { ...TEXTS, ...value };
    if (this.#gateway) this.#render();
  }

  /**
   * What is offered to click on while nothing has been made yet.
   * @returns {AiImageExample[]}
   */
  get examples() {
    return this.#examples;
  }

  /** @param {AiImageExample[]} value */
  set examples(value) {
    this.#examples = [...value];
    this.#render();
  }

  /** The request that is shown; null while the form is. */
  get requestId() {
    return this.#shown;
  }

  set requestId(value) {
    this.#isMissing = false;
    this.#wanted = null;
    if (!value || this.#requests.get(value)) {
      this.#reveal(value || null);
      return;
    }
    this.#wanted = value;
    if (this.#hasRead) this.#showWanted().catch((/** @type {unknown} */ error) => this.#unreadable(error));
  }

  connectedCallback() {
    for (const name of /** @type {const} */ (["getToken", "texts", "examples", "requestId"])) this.#upgrade(name);
    if (this.#gateway) return;
    this.#attach();
    this.#start();
    this.#readFirst();
  }

  /** Whoever only moves the element puts it back at once; then nothing is interrupted. */
  disconnectedCallback() {
    queueMicrotask(() => {
      if (!this.isConnected && this.#gateway) this.#stop();
    });
  }

  /**
   * @param {string} name
   * @param {string|null} before
   * @param {string|null} after
   */
  attributeChangedCallback(name, before, after) {
    if (before === after || !this.#gateway) return;
    if (name === "gateway-url") {
      this.#forget();
      this.#read();
    } else {
      this.#render();
    }
  }

  // -- beginning and end ----------------------------------------------------------------------------------------------

  /**
   * A property that was set before the class was known hides the accessor.
   * @param {"getToken"|"texts"|"examples"|"requestId"} name
   */
  #upgrade(name) {
    if (!Object.hasOwn(this, name)) return;
    /** @type {unknown} */
    const value = this[name];
    Reflect.deleteProperty(this, name);
    Reflect.set(this, name, value);
  }

  /** Begin with nothing: whatever was seen, typed or known belongs to a user who is no longer here. */
  #forget() {
    const wasStarted = this.#gateway !== null;
    const hadFocus = Boolean(this.shadowRoot?.activeElement);
    const hasShown = this.#shown !== null;
    if (wasStarted) this.#stop();
    this.#user?.lastShown.clearAnonymous();
    this.#user?.draft.clearAnonymous();
    this.#view = this.#newView();
    this.#requests = this.#newRequests();
    this.#refusals = new Refusals();
    this.#user = this.#usage = this.#shown = this.#submission = this.#cancellation = null;
    this.#isSignedOut = this.#hasRead = this.#isMissing = false;
    if (hasShown) this.#dispatch("ai-image-shown", { requestId: null, isRestored: true });
    if (this.shadowRoot) this.#attach();
    if (!wasStarted) return;
    this.#start();
    if (hadFocus) this.#view.form.focus();
  }

  #newView() {
    return new View({
      onSubmit: (values) => this.#submit(values),
      onInput: () => this.#keepDraft(),
      onExample: (example) => this.#takeExample(example),
      onAnother: () => this.#another(),
      onRetry: () => this.#retry(),
      onEdit: () => this.#editShown(),
      onCancel: () => this.#cancel(),
      onChoose: (requestId) => this.#choose(requestId),
    });
  }

  #newRequests() {
    /** @type {Requests} */
    const requests = new Requests({
      onChange: (body, isNew) => requests === this.#requests && this.#change(body, isNew),
      onAccepted: (body) => requests === this.#requests && this.#dispatch("ai-image-submitted", body),
      onFinal: (body) => requests === this.#requests && this.#finish(body),
      onSignedOut: () => requests === this.#requests && this.#signOut(),
    });
    return requests;
  }

  #attach() {
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styleSheet()];
    if (root.firstChild !== this.#view.element) root.replaceChildren(this.#view.element);
  }

  #start() {
    /** @type {GatewayClient} */
    const gateway = new GatewayClient({
      url: this.getAttribute("gateway-url") || location.origin,
      getToken: () => this.#tokenFor(gateway),
      onState: (state) => {
        this.#connection = state;
        this.#render();
      },
    });
    this.#gateway = gateway;
    for (const event of ["online", "offline"]) addEventListener(event, this.#render);
    addEventListener("online", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
    this.#requests.start(gateway);
    this.#render();
  }

  #stop() {
    for (const event of ["online", "offline"]) removeEventListener(event, this.#render);
    removeEventListener("online", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
    clearTimeout(this.#timer);
    clearTimeout(this.#usageTimer);
    this.#usageTimer = undefined;
    this.#gateway = null; // first: whatever the client still says is not for us
    this.#requests.stop();
    this.#connection = "idle";
  }

  // -- whose it is ----------------------------------------------------------------------------------------------------

  async #askToken() {
    return (await this.#getToken?.()) ?? null;
  }

  /**
   * A token for `gateway`, which asks in the name of one user and of no other.
   * @param {GatewayClient} gateway
   */
  async #tokenFor(gateway) {
    const token = await this.#askToken();
    if (gateway === this.#gateway) this.#identify(token);
    if (gateway !== this.#gateway) throw new Error("Somebody else is here now.");
    return token;
  }

  /**
   * Begin anew where a token names another user than the one before.
   * @param {string|null} token
   */
  #identify(token) {
    const user = new User(token, this.getAttribute("gateway-url") ?? "");
    if (this.#user?.equals(user)) return;
    const isFirst = this.#user === null;
    const delay = this.#hasRead ? 0 : READ_RETRY_DELAY; // a `getToken` that names another each time must not spin
    if (!isFirst) this.#forget();
    this.#user = user;
    if (!isFirst) this.#readIn(delay);
  }

  #signOut() {
    if (this.#isSignedOut) return;
    this.#forget();
    this.#isSignedOut = true;
    this.#render();
  }

  /** The network is back, or the user: perhaps somebody signed in or out meanwhile, in another tab. */
  #wake = () => {
    if (document.hidden) return;
    if (this.#isSignedOut) this.#read();
    else if (this.#gateway) this.#tokenFor(this.#gateway).catch(() => {});
  };

  // -- what the gateway knows -----------------------------------------------------------------------------------------

  /** Read once the page's own scripts have had their turn: `getToken` is set by one of them, a moment later. */
  #readFirst() {
    const gateway = this.#gateway;
    let isDue = true;
    const read = () => {
      if (isDue && gateway === this.#gateway) this.#read();
      isDue = false;
    };
    if (this.#getToken !== null) read();
    else if (document.readyState === "complete") setTimeout(read);
    else {
      document.addEventListener("DOMContentLoaded", read, { once: true });
      setTimeout(read, SCRIPTS_DELAY); // that event may be past
    }
  }

  #read() {
    if (!this.#gateway) return;
    void this.#restore();
    void this.#readUsage();
  }

  /** @param {number} delay */
  #readIn(delay) {
    const gateway = this.#gateway;
    setTimeout(() => gateway === this.#gateway && this.#read(), delay);
  }

  /** Show what was shown before a reload, and what is recent. */
  async #restore() {
    const gateway = this.#gateway;
    try {
      await this.#requests.load(RECENT_COUNT);
      if (gateway !== this.#gateway) return;
      const isFirst = !this.#hasRead;
      this.#hasRead = true;
      this.#isSignedOut = false;
      if (isFirst) this.#tellOfRunning();
      this.#requests.follow();
      this.#render();
      await this.#restoreShown().finally(() => gateway === this.#gateway && this.#restoreDraft());
    } catch (error) {
      if (gateway === this.#gateway) this.#unreadable(error); // and the form works without its past
    }
  }

  /** The past is no news, but what still runs is: it can be shown, and waited for. */
  #tellOfRunning() {
    for (const body of this.#requests.recent()) if (!isFinal(body)) this.#dispatch("ai-image-update", body);
  }

  /** @param {unknown} error */
  #unreadable(error) {
    const status = error instanceof GatewayError ? error.status : null;
    if (status === 401) this.#signOut();
    else if (status === 404) this.#user?.lastShown.set(null);
    else this.#readIn(READ_RETRY_DELAY);
  }

  /** Bring back what was typed before a reload; who types already is not interrupted. */
  #restoreDraft() {
    const typed = this.#user?.draft.get();
    const { product, brand } = this.#view.form.values();
    if (!typed || product || brand || !(typed.product || typed.brand)) return;
    this.#view.form.reset(typed);
    this.#render();
  }

  #keepDraft() {
    this.#user?.draft.set(this.#view.form.values());
    this.#render();
  }

  /** Show the request that a link leads to, or say that there is none. */
  async #showWanted() {
    const [gateway, requestId] = [this.#gateway, this.#wanted];
    if (requestId === null) return;
    const isWanted = () => gateway === this.#gateway && requestId === this.#wanted;
    try {
      if (!this.#requests.get(requestId)) await this.#requests.find(requestId);
      if (!isWanted()) return;
      this.#wanted = null;
      this.#reveal(requestId);
    } catch (error) {
      if (!isWanted()) return;
      if (!(error instanceof GatewayError && isGone(error.status))) throw error;
      this.#wanted = null;
      this.#reveal(null);
      this.#isMissing = true;
      this.#render();
    }
  }

  async #restoreShown() {
    if (this.#wanted !== null) {
      await this.#showWanted();
      return;
    }
    const gateway = this.#gateway;
    const requestId = this.#shown ?? this.#user?.lastShown.get();
    if (!requestId) return;
    if (!this.#requests.get(requestId)) await this.#requests.find(requestId);
    if (gateway !== this.#gateway || this.#shown) return;
    const { product, brand } = this.#view.form.values();
    if (!product && !brand) this.#show(requestId, { isRestored: true }); // who types already is not interrupted
  }

  async #readUsage() {
    const gateway = this.#gateway;
    try {
      const usage = await gateway?.usage();
      if (!usage || gateway !== this.#gateway) return;
      this.#usage = usage;
      this.#usageReadAt = Date.now();
      this.#dispatch("ai-image-usage", usage);
      this.#render();
    } catch {
      // It only adorns: the usual time, and the choice of organizations, for which a refusal asks again.
    }
  }

  // -- what the user does ---------------------------------------------------------------------------------------------

  /** @param {Values} values */
  async #submit({ product, brand }) {
    if (this.#submission) return;
    const submission = (this.#submission = {});
    this.#refusals.clear(this.#organizationId());
    this.#render();
    const gateway = this.#gateway;
    const token = await this.#askToken().catch(() => undefined);
    if (gateway !== this.#gateway) {
      this.#release(submission); // whoever is here now has not asked for it
      return;
    }
    if (token !== undefined) this.#identify(token); // whoever submits may be somebody else than was here before
    this.#submission = submission;
    this.#render();
    const requests = this.#requests;
    const organizationId = this.#organizationId();
    /** @type {string|null} */
    let acceptedId = null;
    /** @param {string} requestId */
    const accept = (requestId) => {
      // Who has moved on is not brought back when the answer corrects what was found.
      const hasMovedOn = acceptedId !== null && this.#shown !== acceptedId;
      if (requests !== this.#requests || requestId === acceptedId || hasMovedOn) return;
      acceptedId = requestId;
      this.#release(submission);
      this.#view.form.reset();
      this.#user?.draft.set({ product: "", brand: "" });
      this.#show(requestId, { focus: true });
    };
    try {
      accept(await requests.submit(product, brand, organizationId, accept));
      if (requests === this.#requests && this.#isSignedOut) this.#read();
    } catch (error) {
      if (requests !== this.#requests) return;
      if (acceptedId !== null && this.#shown === acceptedId) this.#edit({ product, brand });
      this.#refuse(error, organizationId);
    } finally {
      this.#release(submission);
      this.#render();
    }
  }

  /**
   * Free the form; a later submission keeps it.
   * @param {object} submission
   */
  #release(submission) {
    if (this.#submission === submission) this.#submission = null;
  }

  /**
   * A submission was refused, or its answer was lost.
   * @param {unknown} error
   * @param {string|undefined} organizationId
   */
  #refuse(error, organizationId) {
    const answer = error instanceof GatewayError ? error : null;
    const message = answer?.message ?? this.#texts.unreachable;
    const code = answer?.code ?? "unreachable";
    const until = answer?.isRefusal && answer.retryAfter ? Date.now() + answer.retryAfter * 1000 : null;
    if (answer?.status === 401) this.#signOut();
    else this.#refusals.add({ message, until, code }, organizationId);
    if (ORGANIZATION_CODES.has(code)) void this.#readUsage();
    this.#dispatch("ai-image-error", { error: message, code });
  }

  /** The brand is kept: most people have one. What was typed before they looked at this request is kept too. */
  #another() {
    const { product, brand } = this.#view.form.values();
    const typed = { product, brand: brand || (this.#shownBody()?.brand ?? "") };
    this.#view.form.reset(typed);
    this.#user?.draft.set(typed);
    this.#show(null);
    this.#view.form.focus();
  }

  /** People who press “Try again” or “Same again” want the same once more; who wants something else has the other button. */
  #retry() {
    const body = this.#shownBody();
    if (!body) return;
    this.#edit(body);
    void this.#submit(body);
  }

  #editShown() {
    const body = this.#shownBody();
    if (body) this.#edit(body);
  }

  async #cancel() {
    const requestId = this.#shown;
    if (requestId === null) return;
    /** @type {{ requestId: string, problem: string|null }} */
    const cancellation = (this.#cancellation = { requestId, problem: null });
    this.#render();
    try {
      await this.#requests.cancel(requestId);
    } catch (error) {
      if (cancellation !== this.#cancellation) return;
      if (error instanceof GatewayError && error.status === 401) this.#signOut();
      else cancellation.problem = this.#texts.cancelProblem;
      this.#render();
    }
  }

  /** @param {Values} values */
  #edit({ product, brand }) {
    this.#view.form.reset({ product, brand });
    this.#show(null);
    this.#view.form.focus();
  }

  /** @param {string} requestId */
  #choose(requestId) {
    this.#show(requestId, { focus: true });
    this.#view.request.element.scrollIntoView({ block: "nearest" });
  }

  /** @param {string|null} requestId */
  #show(requestId, { focus = false, isRestored = false } = {}) {
    const isOther = requestId !== this.#shown;
    this.#wanted = null;
    this.#isMissing = false;
    this.#reveal(requestId);
    if (focus) this.#view.request.heading.focus();
    if (isOther) this.#dispatch("ai-image-shown", { requestId, isRestored });
  }

  /** @param {string|null} requestId */
  #reveal(requestId) {
    this.#shown = requestId;
    this.#user?.lastShown.set(requestId);
    this.#render();
  }

  /** @param {Values} example */
  #takeExample({ product, brand }) {
    this.#view.form.reset({ product, brand });
    this.#keepDraft();
    this.#view.form.button.focus();
  }

  // -- what happens ---------------------------------------------------------------------------------------------------

  /**
   * A request is newer than it was known, wherever it was submitted.
   * @param {Body} body
   * @param {boolean} isNew whether it was not known at all
   */
  #change(body, isNew) {
    this.#render();
    if (!this.#hasRead) return; // the past is no news
    if (isNew || isFinal(body)) this.#readUsageSoon();
    this.#dispatch("ai-image-update", body);
  }

  /** What is left of the limits has changed, perhaps by several requests at once. */
  #readUsageSoon() {
    this.#usageTimer ??= setTimeout(() => {
      this.#usageTimer = undefined;
      void this.#readUsage();
    }, USAGE_DELAY);
  }

  /**
   * A request came to its end.
   * @param {Body} body
   */
  #finish(body) {
    const { status, product, brand, errorMessage, errorCode } = body;
    const texts = this.#texts;
    const name = fill(texts.alt, { product, brand });
    const failed = isCanceled(body) ? texts.announceCanceled : texts.announceFailed;
    this.#view.announce(fill(status === "completed" ? texts.announceDone : failed, { name }));
    if (status === "completed") {
      this.#dispatch("ai-image-success", body);
    } else {
      const code = errorCode ?? "generation_failed";
      this.#dispatch("ai-image-error", { error: errorMessage ?? texts.failed, code, request: body });
    }
  }

  /**
   * @param {keyof import("./ai-image-form.d.ts").AiImageFormEventMap} type
   * @param {Body|AiImageError|Usage|AiImageShown} detail
   */
  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }

  // -- what is seen and heard -----------------------------------------------------------------------------------------

  #render = () => {
    if (!this.#gateway) return;
    const shown = this.#shownBody();
    const cancellation = this.#cancellation?.requestId === this.#shown ? this.#cancellation : null;
    const organizations = this.#organizations();
    const refusal = this.#refusals.get(this.#organizationId()) ?? this.#spentLimit() ?? this.#spentBudget();
    this.#view.update({
      texts: this.#texts,
      language: this.#language(),
      isSignedOut: this.#isSignedOut,
      isSubmitting: this.#submission !== null,
      isReconnecting: this.#connection === "polling",
      refusal,
      organizations,
      shown,
      elapsed: shown && this.#requests.elapsed(shown),
      typical: this.#usage?.typicalSeconds ?? null,
      isCanceling: cancellation !== null && cancellation.problem === null,
      cancelProblem: cancellation?.problem ?? null,
      recent: this.#requests.recent(RECENT_COUNT),
      areThumbnailsMade: this.#requests.areThumbnailsMade,
      examples: this.#hasRead && this.#requests.recent(1).length === 0 ? this.#examples : [],
      isMissing: this.#isMissing,
    });
    clearTimeout(this.#timer);
    if (refusal?.until || (shown && !isFinal(shown))) this.#timer = setTimeout(this.#render, 1000);
  };

  /**
   * That the hour's limit is used up, told before anybody submits in vain.
   * @returns {import("./ai-image-form/refusals.js").Refusal|null}
   */
  #spentLimit() {
    const limit = this.#usage?.limit;
    if (!limit || limit.remaining > 0) return null;
    const until = this.#usageReadAt + limit.resetSeconds * 1000;
    if (until <= Date.now()) return null;
    const message = fill(this.#texts.limitReached, { quota: limit.quota });
    return { message, code: "rate_limited", until };
  }

  /**
   * That this month's budget of the organization is used up.
   * @returns {import("./ai-image-form/refusals.js").Refusal|null}
   */
  #spentBudget() {
    const organizations = this.#usage?.organizations ?? [];
    const id = this.#organizationId() ?? (organizations.length === 1 ? organizations[0].organizationId : undefined);
    const left = organizations.find(({ organizationId }) => organizationId === id)?.remaining ?? null;
    if (left === null || Number(left) > 0) return null;
    const readAt = new Date(this.#usageReadAt);
    const until = Date.UTC(readAt.getUTCFullYear(), readAt.getUTCMonth() + 1); // when budgets renew
    return until <= Date.now() ? null : { message: this.#texts.budgetSpent, code: "budget_spent", until };
  }

  /** The Body of the request that is shown; null while the form is. */
  #shownBody() {
    return this.#shown === null ? null : this.#requests.get(this.#shown);
  }

  /** For whom is submitted; undefined leaves it to the gateway. */
  #organizationId() {
    return this.getAttribute("organization-id") || this.#view.form.values().organizationId;
  }

  #organizations() {
    const organizations = this.#usage?.organizations ?? [];
    return this.getAttribute("organization-id") || organizations.length < 2 ? [] : organizations;
  }

  #language() {
    return this.closest("[lang]")?.getAttribute("lang") || undefined;
  }
}

if (globalThis.customElements && !customElements.get("ai-image-form")) {
  customElements.define("ai-image-form", AiImageForm);
}

export { AiImageForm };
