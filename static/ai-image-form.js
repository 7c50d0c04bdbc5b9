// <ai-image-form>: product and brand in, a picture out. A custom element for any page, with or without a framework.
//
//   <script type="module" src="ai-image-form.js"></script>
//   <ai-image-form gateway-url="https://gateway.example.com"></ai-image-form>
//
// This file holds what is shown when; what runs is in ai-image-form/requests.js, and each view in a file of its own.
import { Card } from "./ai-image-form/card.js";
import { Refusals } from "./ai-image-form/refusals.js";
import { isFinal, Requests } from "./ai-image-form/requests.js";
import { styleSheet } from "./ai-image-form/style.js";
import { Subject } from "./ai-image-form/subject.js";
import { fill, TEXTS } from "./ai-image-form/texts.js";
import { whenAgain } from "./ai-image-form/waiting.js";
import { GatewayClient, GatewayError } from "./gateway.js";

const RECENT = 8;

/** Until the past is read again, in milliseconds, when it could not be read. */
const READ_PAUSE = 5000;

/** Refusals that name an organization problem: the choice must be offered anew. */
const ORGANIZATION_CODES = new Set(["organization_required", "not_a_member"]);

// Where pages are rendered without a browser, importing this must not fail.
class AiImageForm extends (globalThis.HTMLElement ?? class {}) {
  static observedAttributes = ["gateway-url", "organization-id"];

  #gateway = null;
  #getToken = null;
  #texts = TEXTS;
  #connection = "idle";
  #signedOut = false;
  #timer = null;

  // What is one subject's, and forgotten with it.
  #subject = null; // null: not known yet
  #card = null;
  #requests = null;
  #refusals = null;
  #usage = null;
  #shown = null; // the id of the request that is shown; null: the form
  #submission = null; // stands for the one that waits for its answer
  #hasRead = false; // whether the past could be read

  // -- the public side ------------------------------------------------------------------------------------------------

  /** Fetches a fresh access token; without it, the session cookie says who is asking. */
  get getToken() {
    return this.#getToken;
  }

  set getToken(value) {
    const other = (value === null || value === undefined) !== (this.#getToken === null); // not for each new closure
    this.#getToken = value ?? null;
    if (!other || !this.#requests) return;
    this.#forget();
    this.#read();
  }

  /** Texts that replace the defaults, in part or altogether. */
  get texts() {
    return this.#texts;
  }

  set texts(value) {
    this.#texts = { ...TEXTS, ...value };
    if (this.#gateway) this.#render();
  }

  connectedCallback() {
    this.#upgrade("getToken");
    this.#upgrade("texts");
    if (!this.#requests) this.#forget();
    if (this.#gateway) return;
    this.#start();
    this.#read();
  }

  /** Whoever only moves the element puts it back at once; then nothing is interrupted. */
  disconnectedCallback() {
    queueMicrotask(() => {
      if (!this.isConnected && this.#gateway) this.#stop();
    });
  }

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

  /** A property that was set before the class was known hides the accessor. */
  #upgrade(name) {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name];
    delete this[name];
    this[name] = value;
  }

  /** Begin with nothing: whatever was seen, typed or known belongs to a subject that is no longer here. */
  #forget() {
    const stood = this.#gateway !== null;
    const hadFocus = Boolean(this.shadowRoot?.activeElement);
    if (stood) this.#stop();
    this.#subject?.memory.leave();
    const requests = new Requests({
      onChange: () => this.#render(),
      onBegun: (body) => requests === this.#requests && this.#dispatch("ai-image-submitted", body),
      onFinal: (body) => requests === this.#requests && this.#end(body),
      onSignedOut: () => requests === this.#requests && this.#signOut(),
    });
    this.#requests = requests;
    this.#refusals = new Refusals();
    this.#subject = this.#usage = this.#shown = this.#submission = null;
    this.#signedOut = this.#hasRead = false;
    this.#build();
    if (!stood) return;
    this.#start();
    if (hadFocus) this.#card.form.focus();
  }

  #build() {
    this.#card = new Card({
      onSubmit: (values) => this.#submit(values),
      onInput: this.#render,
      onAnother: () => this.#another(),
      onRetry: () => this.#retry(),
      onEdit: () => this.#edit(this.#requests.get(this.#shown)),
      onChoose: (requestId) => this.#choose(requestId),
    });
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styleSheet()];
    root.replaceChildren(this.#card.element);
  }

  #start() {
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
    this.#gateway = null; // first: whatever the client still says is not for us
    this.#requests.stop();
    this.#connection = "idle";
  }

  // -- whose it is ----------------------------------------------------------------------------------------------------

  async #askToken() {
    return (await this.#getToken?.()) ?? null;
  }

  /** A token for `gateway`, which asks in the name of one subject and of no other. */
  async #tokenFor(gateway) {
    const token = await this.#askToken();
    if (gateway === this.#gateway) this.#recognise(token);
    if (gateway !== this.#gateway) throw new Error("Somebody else is here now.");
    return token;
  }

  #recognise(token) {
    const subject = new Subject(token, this.getAttribute("gateway-url") ?? "");
    if (this.#subject?.equals(subject)) return;
    const isFirst = this.#subject === null;
    const pause = this.#hasRead ? 0 : READ_PAUSE; // a `getToken` that names another each time must not spin
    if (!isFirst) this.#forget();
    this.#subject = subject;
    if (!isFirst) this.#readIn(pause);
  }

  #signOut() {
    if (this.#signedOut) return;
    this.#forget();
    this.#signedOut = true;
    this.#render();
  }

  /** The network is back, or the user: perhaps somebody signed in or out meanwhile, in another tab. */
  #wake = () => {
    if (document.hidden) return;
    if (this.#signedOut) this.#read();
    else this.#tokenFor(this.#gateway).catch(() => {});
  };

  // -- what the gateway knows -----------------------------------------------------------------------------------------

  #read() {
    if (!this.#gateway) return;
    this.#restore();
    this.#readUsage();
  }

  #readIn(milliseconds) {
    const gateway = this.#gateway;
    setTimeout(() => gateway === this.#gateway && this.#read(), milliseconds);
  }

  /** Show what was shown before a reload, and what is recent. */
  async #restore() {
    const gateway = this.#gateway;
    try {
      await this.#requests.load(RECENT);
      if (gateway !== this.#gateway) return;
      this.#hasRead = true;
      this.#signedOut = false;
      this.#render();
      await this.#restoreShown();
    } catch (error) {
      if (gateway !== this.#gateway) return; // and the form works without its past
      if (error.status === 401) this.#signOut();
      else if (error.status === 404) this.#subject.memory.set(null);
      else this.#readIn(READ_PAUSE);
    }
  }

  async #restoreShown() {
    const gateway = this.#gateway;
    const requestId = this.#shown ?? this.#subject.memory.get();
    if (!requestId) return;
    if (!this.#requests.get(requestId)) await this.#requests.find(requestId);
    if (gateway !== this.#gateway || this.#shown) return;
    const { product, brand } = this.#card.form.values();
    if (!product && !brand) this.#show(requestId); // who types already is not interrupted
  }

  async #readUsage() {
    const gateway = this.#gateway;
    try {
      const usage = await gateway.usage();
      if (gateway !== this.#gateway) return;
      this.#usage = usage;
      this.#render();
    } catch {
      // It only adorns: the usual time, and the choice of organizations, for which a refusal asks again.
    }
  }

  // -- what the user does ---------------------------------------------------------------------------------------------

  async #submit({ product, brand }) {
    if (this.#submission) return;
    const submission = (this.#submission = {});
    this.#refusals.drop(this.#organizationId());
    this.#render();
    const gateway = this.#gateway;
    const token = await this.#askToken().catch(() => undefined);
    if (gateway !== this.#gateway) return this.#release(submission); // whoever is here now has not asked for it
    if (token !== undefined) this.#recognise(token); // whoever submits may be somebody else than was here before
    this.#submission = submission;
    this.#render();
    const requests = this.#requests;
    const organizationId = this.#organizationId();
    let begun = null;
    const begin = (requestId) => {
      const movedOn = begun && this.#shown !== begun; // and is not brought back when the answer corrects what was found
      if (requests !== this.#requests || requestId === begun || movedOn) return;
      begun = requestId;
      this.#release(submission);
      this.#card.form.reset();
      this.#show(requestId, { focus: true });
    };
    try {
      begin(await requests.submit(product, brand, organizationId, begin));
      if (requests === this.#requests && this.#signedOut) this.#read();
    } catch (error) {
      if (requests !== this.#requests) return;
      if (begun && this.#shown === begun) this.#edit({ product, brand });
      this.#refuse(error, organizationId);
    } finally {
      this.#release(submission);
      this.#render();
    }
  }

  /** Free the form; a later submission keeps it. */
  #release(submission) {
    if (this.#submission === submission) this.#submission = null;
  }

  #refuse(error, organizationId) {
    const answered = error instanceof GatewayError;
    const message = answered ? error.message : this.#texts.unreachable;
    const code = answered ? error.code : "unreachable";
    const until = error.isRefusal && error.retryAfter ? Date.now() + error.retryAfter * 1000 : null;
    if (error.status === 401) this.#signOut();
    else this.#refusals.add({ message, until, code }, organizationId);
    if (ORGANIZATION_CODES.has(code)) this.#readUsage();
    this.#dispatch("ai-image-error", { error: message, code });
  }

  #another() {
    this.#card.form.reset();
    this.#show(null);
    this.#card.form.focus();
  }

  /** People who press “Try again” want the same once more; who wants something else has the other button. */
  #retry() {
    const body = this.#requests.get(this.#shown);
    this.#edit(body);
    this.#submit(body);
  }

  #edit({ product, brand }) {
    this.#card.form.reset({ product, brand });
    this.#show(null);
    this.#card.form.focus();
  }

  #choose(requestId) {
    this.#show(requestId, { focus: true });
    this.#card.request.element.scrollIntoView({ block: "nearest" });
  }

  #show(requestId, { focus = false } = {}) {
    this.#shown = requestId;
    this.#subject?.memory.set(requestId);
    this.#render();
    if (focus) this.#card.request.heading.focus();
  }

  // -- what happens ---------------------------------------------------------------------------------------------------

  /** A request came to its end. */
  #end(body) {
    const { status, product, brand, errorMessage, errorCode } = body;
    const texts = this.#texts;
    const name = fill(texts.alt, { product, brand });
    this.#card.say(fill(status === "completed" ? texts.announceDone : texts.announceFailed, { name }));
    this.#readUsage();
    if (status === "completed") return this.#dispatch("ai-image-success", body);
    const code = errorCode ?? "generation_failed";
    this.#dispatch("ai-image-error", { error: errorMessage ?? texts.failed, code, request: body });
  }

  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }

  // -- what is seen and heard -----------------------------------------------------------------------------------------

  #render = () => {
    if (!this.#gateway) return;
    const body = this.#shown && this.#requests.get(this.#shown);
    const texts = this.#texts;
    const focused = this.shadowRoot.activeElement;
    const submitting = this.#submission !== null;
    const refusal = this.#refusals.get(this.#organizationId());
    const later = refusal?.until ? whenAgain(refusal.until, texts, this.#language()) : null;
    this.#card.form.element.hidden = Boolean(body);
    this.#card.request.element.hidden = !body;
    this.#card.form.update({
      texts,
      submitting,
      blocked: Boolean(later),
      problem: this.#signedOut ? texts.signedOut : refusal?.message ?? null,
      later,
      notice: navigator.onLine ? null : submitting ? texts.offlineSubmitting : texts.offline,
      organizations: this.#organizations(),
    });
    if (body) {
      this.#card.request.update({
        body,
        texts,
        elapsed: this.#requests.elapsed(body),
        typical: this.#usage?.typicalSeconds ?? null,
        notice: this.#trouble(),
      });
      if (!isFinal(body)) this.#card.sayProgress(body, texts);
    }
    this.#card.strip.update({ bodies: this.#requests.recent(RECENT), shown: this.#shown, texts });
    // A button that vanished under the keyboard leaves its user at the top of the page.
    if (focused && focused.offsetParent === null && body) this.#card.request.heading.focus();
    clearTimeout(this.#timer);
    if (refusal?.until || (body && !isFinal(body))) this.#timer = setTimeout(this.#render, 1000);
  };

  #trouble() {
    if (!navigator.onLine) return this.#texts.offlineRunning;
    return this.#connection === "polling" ? this.#texts.reconnecting : null;
  }

  /** For whom is submitted; undefined leaves it to the gateway. */
  #organizationId() {
    return this.getAttribute("organization-id") || this.#card.form.values().organizationId;
  }

  #organizations() {
    const organizations = this.#usage?.organizations ?? [];
    return this.getAttribute("organization-id") || organizations.length < 2 ? [] : organizations;
  }

  #language() {
    return this.closest("[lang]")?.lang || undefined;
  }
}

if (globalThis.customElements && !customElements.get("ai-image-form")) {
  customElements.define("ai-image-form", AiImageForm);
}

export { AiImageForm };
