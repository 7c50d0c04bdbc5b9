// The form: submit, watch, show. Everything that can go wrong with a connection is the client module's business.
import { GatewayClient } from "./gateway.js";

const REMEMBERED = "ai-image-request";

const element = (id) => document.getElementById(id);
const sections = ["form", "running", "completed", "failed"];
const gateway = new GatewayClient({ onState: showConnection });

let stop = () => {};
let clock = null;

element("form").addEventListener("submit", submit);
for (const button of document.querySelectorAll("[data-reset]")) button.addEventListener("click", reset);
restore();

async function submit(event) {
  event.preventDefault();
  const [product, brand] = ["product", "brand"].map((name) => element(name).value.trim());
  if (!product || !brand) return complain("Please fill in both Product and Brand.");
  complain(null);
  element("submit").disabled = true;
  element("submit").textContent = "Submitting…";
  try {
    const { requestId } = await gateway.generate(product, brand);
    sessionStorage.setItem(REMEMBERED, requestId);
    watch({ requestId, status: "pending", product, brand, createdAt: new Date().toISOString() });
  } catch (error) {
    const later = error.retryAfter ? ` Try again in ${Math.ceil(error.retryAfter / 60)} min.` : "";
    complain(error.message + later);
  } finally {
    element("submit").disabled = false;
    element("submit").textContent = "Generate AI Images";
  }
}

function watch(body) {
  show(body);
  stop();
  stop = gateway.subscribe(body.requestId, show, (error) => show({ ...body, status: "failed", errorMessage: error.message }));
}

/** After a reload, go on with the request that was running. */
async function restore() {
  const requestId = sessionStorage.getItem(REMEMBERED);
  if (!requestId) return;
  try {
    watch(await gateway.status(requestId));
  } catch {
    sessionStorage.removeItem(REMEMBERED);
  }
}

function show(body) {
  clearInterval(clock);
  if (body.status === "completed") showCompleted(body);
  else if (body.status === "failed") showFailed(body);
  else showRunning(body);
}

function showRunning(body) {
  element("running-title").textContent = body.status === "pending" ? "Request submitted" : "Generating your image";
  element("running-product").textContent = body.product;
  element("running-brand").textContent = body.brand;
  const bar = element("progress");
  if (body.progress == null) bar.removeAttribute("value");
  else bar.value = body.progress;
  element("progress-text").textContent = body.progress == null ? "Waiting to start" : `${body.progress} %`;
  const started = Date.parse(body.createdAt);
  const tick = () => {
    element("elapsed").textContent = `${Math.max(0, Math.round((Date.now() - started) / 1000))} s`;
  };
  tick();
  clock = setInterval(tick, 1000);
  reveal("running");
}

function showCompleted(body) {
  element("picture").src = body.publicUrl;
  element("picture").alt = `${body.product} – ${body.brand}`;
  element("caption").textContent = `Product: ${body.product} | Brand: ${body.brand}`;
  element("download").href = body.publicUrl;
  reveal("completed");
}

function showFailed(body) {
  element("failure").textContent = body.errorMessage || "Image generation failed";
  reveal("failed");
}

/** Show one section and, if it is new, move the reader's focus to its heading. */
function reveal(name) {
  if (!element(name).hidden) return;
  for (const section of sections) element(section).hidden = section !== name;
  element(`${name}-title`)?.focus();
}

function reset() {
  stop();
  sessionStorage.removeItem(REMEMBERED);
  element("form").reset();
  complain(null);
  reveal("form");
  element("product").focus();
}

function complain(message) {
  element("form-error").hidden = !message;
  element("form-error").textContent = message ?? "";
}

function showConnection(state) {
  element("connection").textContent = state === "polling" ? "· Reconnecting…" : "";
}
