// A sign-in link becomes a session, by a click: whoever only previews the link does not use it up.
import { errorOf } from "./gateway.js";
import { element, texts } from "./page-elements.js";

const button = element("go", HTMLButtonElement);

/** The code stands behind the `#`, which no server sees, and leaves the address bar at once. */
const code = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
if (!code) refuse(texts.signInWithoutCode);
button.addEventListener("click", () => {
  if (button.getAttribute("aria-disabled") === null) void signIn();
});

async function signIn() {
  button.setAttribute("aria-disabled", "true");
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch("/api/sign-in", { method: "POST", headers, body: JSON.stringify({ code }) });
    if (!response.ok) {
      refuse((await errorOf(response)).message);
      return;
    }
    /** @type {unknown} */
    const answer = await response.json();
    location.replace(/** @type {{ isAdmin: boolean }} */ (answer).isAdmin ? "/admin" : "/");
  } catch {
    element("text").textContent = texts.signInUnreachable;
    button.removeAttribute("aria-disabled");
  }
}

/** @param {string} reason */
function refuse(reason) {
  element("title").textContent = texts.signInRefused;
  element("text").textContent = texts.signInNewLink.replace("{reason}", () => reason);
  button.hidden = true;
}
