// <ai-image-form>: product and brand in, a picture out. A custom element for any page, with or without a framework.
//
//   <script type="module" src="ai-image-form.js"></script>
//   <ai-image-form gateway-url="https://gateway.example.com"></ai-image-form>
//
// This file holds what is shown when; what runs is in ai-image-form/requests.js, and each view in a file of its own.
import { FormView } from "./ai-image-form/form-view.js";
import { h } from "./ai-image-form/dom.js";
import { RequestView } from "./ai-image-form/request-view.js";
import { isFinal, Requests } from "./ai-image-form/requests.js";
import { Strip } from "./ai-image-form/strip.js";
import { styleSheet } from "./ai-image-form/style.js";
import { fill, TEXTS } from "./ai-image-form/texts.js";
import { whenAgain } from "./ai-image-form/waiting.js";
import { GatewayClient, GatewayError } from "./gateway.js";

const RECENT = 8;

/** Until the past is read again, in milliseconds, when it could not be read. */
const RESTORE_PAUSE = 5000;

/** Progress is spoken at each of these steps in percent. */
const SPOKEN_STEP = 25;

/** Refusals that name an organization problem: the choice must be offered anew. */
const ORGANIZATION_CODES = new Set(["organization_required", "not_a_member"]);

// Where pages are rendered without a browser, importing this must not fail.
class AiImageForm extends (globalThis.HTMLElement ?? class {}) {
  static observedAttributes = ["gateway-url", "organization-id"];

  #requests = null;
  #gateway = null;
  #getToken = null;
  #texts = TEXTS;
  #usage = null;
  #shown = null; // the id of the request that is shown; null: the form
  #submitting = false;
  #refusal = null; // { message, until }
  #connection = "idle";
  #signedOut = false;
  #timer = null;

  #form = null;
  #request = null;
  #strip = null;
  #heard = null;
  #spoken = "";

  // -- the public side ------------------------------------------------------------------------------------------------

  /** Fetches a fresh access token; without it, the session cookie says who is asking. */
  get getToken() {
    return this.#getToken;
  }

  set getToken(value) {
    const restart = (value === null || value === undefined) !== (this.#getToken === null); // not for each new closure
    this.#getToken = value ?? null;
    if (restart && this.#gateway) this.#restart();
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
    if (!this.#form) this.#build();
    if (!this.#requests) this.#forgetRequests();
    if (!this.#gateway) this.#start();
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
      this.#forgetRequests();
      this.#restart();
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

  #build() {
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styleSheet()];
    this.#form = new FormView({ onSubmit: (values) => this.#submit(values), onInput: this.#render });
    this.#request = new RequestView({
      onAnother: () => this.#another(),
      onRetry: () => this.#retry(),
      onEdit: () => this.#edit(),
    });
    this.#strip = new Strip((requestId) => this.#choose(requestId));
    this.#heard = h("p", { class: "heard", role: "status" });
    root.append(
      h("div", { class: "card", part: "card" },
        this.#form.element, this.#request.element, this.#strip.element, this.#heard),
    );
  }

  #forgetRequests() {
    this.#requests?.stop();
    this.#shown = null;
    this.#requests = new Requests({
      onChange: () => this.#render(),
      onBegun: (body) => this.#dispatch("ai-image-submitted", body),
      onFinal: (body) => this.#end(body),
      onSignedOut: () => this.#signOut(),
    });
  }

  #start() {
    this.#gateway = new GatewayClient({
      url: this.getAttribute("gateway-url") || location.origin,
      getToken: async () => (await this.#getToken?.()) ?? null,
      onState: (state) => {
        this.#connection = state;
        this.#render();
      },
    });
    for (const event of ["online", "offline"]) addEventListener(event, this.#render);
    this.#requests.start(this.#gateway);
    this.#signedOut = false;
    this.#render();
    this.#restore();
    this.#readUsage();
  }

  #stop() {
    for (const event of ["online", "offline"]) removeEventListener(event, this.#render);
    clearTimeout(this.#timer);
    this.#gateway = null; // first: whatever the client still says is not for us
    this.#requests.stop();
    this.#connection = "idle";
  }

  #restart() {
    this.#stop();
    this.#start();
  }

  /** Show what was shown before a reload, and what is recent. */
  async #restore() {
    const gateway = this.#gateway;
    const remembered = this.#shown ?? this.#remembered();
    try {
      await this.#requests.load(RECENT);
      if (remembered && !this.#requests.get(remembered)) await this.#requests.find(remembered);
    } catch (error) {
      if (gateway !== this.#gateway) return; // and the form works without its past
      if (error.status === 401) this.#signOut();
      else if (error.status === 404) this.#remember(null);
      else setTimeout(() => gateway === this.#gateway && this.#restore(), RESTORE_PAUSE);
      return;
    }
    if (gateway !== this.#gateway || !remembered || this.#shown) return;
    const { product, brand } = this.#form.values();
    if (!product && !brand) this.#show(remembered); // who types already is not interrupted
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

  async #submit({ product, brand, organizationId }) {
    if (this.#submitting) return;
    this.#submitting = true;
    this.#refusal = null;
    this.#render();
    const requests = this.#requests;
    try {
      const requestId = await requests.submit(product, brand, this.getAttribute("organization-id") || organizationId);
      if (requests !== this.#requests) return;
      this.#signedOut = false;
      this.#form.reset();
      this.#show(requestId, { focus: true });
    } catch (error) {
      this.#refuse(error);
    } finally {
      this.#submitting = false;
      this.#render();
    }
  }

  #refuse(error) {
    const refused = error instanceof GatewayError;
    const until = refused && error.retryAfter && error.status !== 503 ? Date.now() + error.retryAfter * 1000 : null;
    const message = refused ? error.message : this.#texts.unreachable;
    this.#refusal = { message, until };
    if (error.status === 401) this.#signOut();
    if (ORGANIZATION_CODES.has(error.code)) this.#readUsage();
    this.#dispatch("ai-image-error", { error: message, code: refused ? error.code : "unreachable" });
  }

  #another() {
    this.#form.reset();
    this.#show(null);
    this.#form.focus();
  }

  /** People who press “Try again” want the same once more; who wants something else has the other button. */
  #retry() {
    const { product, brand } = this.#requests.get(this.#shown);
    this.#edit();
    this.#submit({ ...this.#form.values(), product, brand });
  }

  #edit() {
    this.#form.reset(this.#requests.get(this.#shown));
    this.#show(null);
    this.#form.focus();
  }

  #choose(requestId) {
    this.#show(requestId, { focus: true });
    this.#request.element.scrollIntoView({ block: "nearest" });
  }

  #show(requestId, { focus = false } = {}) {
    this.#shown = requestId;
    this.#remember(requestId);
    this.#render();
    if (focus) this.#request.heading.focus();
  }

  // -- what happens ---------------------------------------------------------------------------------------------------

  /** A request came to its end. */
  #end(body) {
    const { status, product, brand, errorMessage, errorCode } = body;
    const texts = this.#texts;
    const name = fill(texts.alt, { product, brand });
    this.#heard.textContent = fill(status === "completed" ? texts.announceDone : texts.announceFailed, { name });
    this.#readUsage();
    if (status === "completed") return this.#dispatch("ai-image-success", body);
    const code = errorCode ?? "generation_failed";
    this.#dispatch("ai-image-error", { error: errorMessage ?? texts.failed, code, request: body });
  }

  #signOut() {
    this.#signedOut = true;
    this.#refusal = null;
    this.#render();
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
    const later = this.#refusal?.until ? whenAgain(this.#refusal.until, texts, this.#language()) : null;
    if (this.#refusal?.until && !later) this.#refusal = null; // the wait is over
    this.#form.element.hidden = Boolean(body);
    this.#request.element.hidden = !body;
    this.#form.update({
      texts,
      submitting: this.#submitting,
      blocked: Boolean(later),
      problem: this.#signedOut ? texts.signedOut : this.#refusal?.message ?? null,
      later,
      notice: navigator.onLine ? null : texts.offline,
      organizations: this.#organizations(),
    });
    if (body) {
      this.#request.update({
        body,
        texts,
        elapsed: this.#requests.elapsed(body),
        typical: this.#usage?.typicalSeconds ?? null,
        notice: this.#trouble(),
      });
      if (!isFinal(body)) this.#speak(spoken(body, texts));
    }
    this.#strip.update({ bodies: this.#requests.recent(RECENT), shown: this.#shown, texts });
    // A button that vanished under the keyboard leaves its user at the top of the page.
    if (focused && focused.offsetParent === null && body) this.#request.heading.focus();
    clearTimeout(this.#timer);
    if (later || (body && !isFinal(body))) this.#timer = setTimeout(this.#render, 1000);
  };

  #trouble() {
    if (!navigator.onLine) return this.#texts.offlineRunning;
    return this.#connection === "polling" ? this.#texts.reconnecting : null;
  }

  #organizations() {
    const organizations = this.#usage?.organizations ?? [];
    return this.getAttribute("organization-id") || organizations.length < 2 ? [] : organizations;
  }

  /** Say what is new of the progress; what was said in between is not spoken over. */
  #speak(text) {
    if (text !== this.#spoken) this.#heard.textContent = text;
    this.#spoken = text;
  }

  #language() {
    return this.closest("[lang]")?.lang || undefined;
  }

  // -- what a reload keeps --------------------------------------------------------------------------------------------

  get #memory() {
    return `ai-image-form ${this.getAttribute("gateway-url") ?? ""}`;
  }

  #remember(requestId) {
    try {
      if (requestId) sessionStorage.setItem(this.#memory, requestId);
      else sessionStorage.removeItem(this.#memory);
    } catch {
      // A browser may forbid it; then a reload shows the form, and the request below it.
    }
  }

  #remembered() {
    try {
      return sessionStorage.getItem(this.#memory);
    } catch {
      return null;
    }
  }
}

/** What a screen reader says of a running request: only at steps, for every percent would be noise. */
function spoken({ status, progress }, texts) {
  const percent = Math.floor((progress ?? 0) / SPOKEN_STEP) * SPOKEN_STEP;
  return percent > 0 ? `${texts[status]}, ${fill(texts.progress, { percent })}` : texts[status];
}

if (globalThis.customElements && !customElements.get("ai-image-form")) {
  customElements.define("ai-image-form", AiImageForm);
}

export { AiImageForm };
