// Light, dark, or as the system has it: chosen by a button, and kept on this computer.
import { element, texts } from "./page-elements.js";

const STORAGE_KEY = "gateway-theme";

const NAMES = { system: texts.themeSystem, light: texts.themeLight, dark: texts.themeDark };

/** @typedef {keyof typeof NAMES} Theme */

const THEMES = /** @type {Theme[]} */ (Object.keys(NAMES));

const button = element("theme", HTMLButtonElement);

let theme = THEMES.find((one) => one === kept()) ?? "system";
show();
button.hidden = false;
button.addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  try {
    localStorage.setItem(STORAGE_KEY, theme);
  } catch {
    // Then it lasts as long as the page.
  }
  show();
});

function kept() {
  try {
    return localStorage.getItem(STORAGE_KEY);
  } catch {
    return null;
  }
}

function show() {
  document.documentElement.style.colorScheme = theme === "system" ? "" : theme;
  const name = document.createElement("span");
  name.textContent = ` ${NAMES[theme]}`;
  button.replaceChildren("◐", name);
  button.setAttribute("aria-label", texts.appearance.replace("{theme}", NAMES[theme].toLowerCase()));
}
