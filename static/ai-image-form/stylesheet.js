// The form's look, as a constructable stylesheet: the strictest Content-Security-Policy lets it pass.
//
// `light-dark()` follows the `color-scheme` of the page around: a page without a dark mode gets no dark form.

const RULES = `
:host {
  --accent: var(--ai-form-accent, light-dark(#4338ca, #a5b4fc));
  --on-accent: var(--ai-form-on-accent, light-dark(#ffffff, #14132a));
  --surface: var(--ai-form-surface, light-dark(#ffffff, #1d1c2a));
  --field: var(--ai-form-field, light-dark(#f8f8fc, #151420));
  --text: var(--ai-form-text, light-dark(#1c1b29, #f1f0fa));
  --muted: var(--ai-form-muted, light-dark(#5b5a70, #b4b3c8));
  --line: var(--ai-form-line, light-dark(#85849a, #7d7c93));
  --danger: var(--ai-form-danger, light-dark(#b3163b, #ff9db3));
  --radius: var(--ai-form-radius, 0.625rem);
  --track: color-mix(in srgb, var(--line) 25%, transparent);
  display: block;
  max-width: 100%;
  color: var(--text);
  font: var(--ai-form-font, 1rem/1.5 system-ui, sans-serif);
}
:host([hidden]), [hidden] { display: none !important; }
*, ::before, ::after { box-sizing: border-box; }
.card {
  /* As high as lets what can be done stay in sight, before and after. */
  --picture-height: min(44vh, 34rem);
  --padding: clamp(1.25rem, 4vw, 1.75rem);
  padding: var(--padding);
  background: var(--surface);
  border-radius: calc(var(--radius) * 1.6);
}
h2, h3, p, figure, ul { margin: 0; }
h2 { font-size: 1.25rem; line-height: 1.25; text-wrap: balance; overflow-wrap: anywhere; }
h2:focus { outline: none; }
h3 { margin-bottom: 0.5rem; font-size: 0.875rem; color: var(--muted); }
form, section { display: grid; gap: 1.25rem; grid-template-columns: minmax(0, 1fr); }
.muted { color: var(--muted); text-wrap: pretty; overflow-wrap: anywhere; }
h2 + .muted { margin-top: -0.875rem; }
.intro, .name { display: -webkit-box; overflow: hidden; -webkit-box-orient: vertical; }
.intro { -webkit-line-clamp: 4; }
.hint { font-size: 0.875rem; color: var(--muted); font-variant-numeric: tabular-nums; }
.field { display: grid; gap: 0.375rem; grid-template-columns: minmax(0, 1fr); }
label { font-weight: 600; }
input, select {
  width: 100%;
  min-height: 3rem;
  padding: 0.625rem 0.75rem;
  font: inherit;
  color: inherit;
  background: var(--field);
  border: 1px solid var(--line);
  border-radius: var(--radius);
}
input:placeholder-shown { text-overflow: ellipsis; }
input::placeholder { color: var(--muted); opacity: 1; }
[aria-invalid] { border-color: var(--danger); box-shadow: inset 0 0 0 1px var(--danger); }
.field-error { font-size: 0.875rem; font-weight: 600; color: var(--danger); }
.error, .notice { padding: 0.75rem 1rem; border-radius: var(--radius); overflow-wrap: anywhere; }
.error {
  color: var(--danger);
  background: color-mix(in srgb, var(--danger) 8%, transparent);
}
.notice { color: var(--text); background: var(--track); border-inline-start: 3px solid var(--line); }
button, .button {
  display: grid;
  place-content: center;
  min-height: 3rem;
  padding: 0.625rem 1rem;
  font: inherit;
  font-weight: 600;
  text-align: center;
  text-decoration: none;
  color: var(--on-accent);
  background: var(--accent);
  border: 1px solid var(--accent);
  border-radius: var(--radius);
  cursor: pointer;
  touch-action: manipulation;
}
.secondary {
  color: var(--accent);
  background: transparent;
  border-color: color-mix(in srgb, var(--accent) 45%, transparent);
}
@media (hover: hover) {
  button:hover, .button:hover { background: color-mix(in srgb, var(--accent) 88%, var(--text)); }
  .secondary:hover { background: color-mix(in srgb, var(--accent) 10%, transparent); }
}
[aria-disabled="true"] {
  color: var(--muted);
  background: var(--track);
  border-color: transparent;
  cursor: not-allowed;
}
[aria-disabled="true"]:hover { background: var(--track); }
[aria-busy="true"] { cursor: progress; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
/* In a narrow card the first one has a row, and the others share one: all stay in sight below the picture. */
.actions { display: flex; flex-wrap: wrap; gap: 0.5rem; }
.actions > * { flex: 3 1 16rem; padding-inline: 0.375rem; }
.actions > .secondary { flex: 1 1 9.25rem; }
.chips { display: flex; flex-wrap: wrap; gap: 0.5rem; margin-top: 0.5rem; }
.chip { padding: 0.5rem 0.875rem; font-size: 0.875rem; font-weight: 400; overflow-wrap: anywhere; min-height: 2.75rem; }
.progress { display: grid; gap: 0.5rem; }
.times { display: flex; flex-wrap: wrap; gap: 0 1rem; justify-content: space-between; }
.times :first-child { font-weight: 600; color: var(--text); }
progress {
  appearance: none;
  display: block;
  width: 100%;
  height: 0.625rem;
  overflow: hidden;
  background: var(--track);
  border: 0;
  border-radius: 1rem;
}
progress::-webkit-progress-bar { background: transparent; }
progress::-webkit-progress-value {
  background: var(--accent);
  border-radius: 1rem;
  transition: inline-size 300ms ease-out;
}
progress::-moz-progress-bar { background: var(--accent); border-radius: 1rem; }
progress:indeterminate::-moz-progress-bar { width: 0; }
progress:indeterminate {
  background: linear-gradient(90deg, transparent, var(--accent), transparent) -50% 0 / 50% 100% no-repeat var(--track);
  animation: indeterminate 1.6s ease-in-out infinite;
}
@keyframes indeterminate { to { background-position: 150% 0; } }
figure { display: grid; gap: 0.5rem; justify-items: center; }
/* The picture's place is kept while it is awaited: nothing moves when it comes. */
figure[data-placeholder]::before, figure img {
  display: block;
  width: 100%;
  max-height: var(--picture-height);
  aspect-ratio: 4 / 5;
  object-fit: contain;
  border-radius: var(--radius);
  background: var(--track);
}
/* While it is awaited, progress stands inside of it, and what can be done stays in sight below. */
figure[data-placeholder] { position: relative; }
figure[data-placeholder]::before {
  content: "";
  max-width: calc(0.8 * var(--picture-height));
  background: linear-gradient(100deg, transparent 30%, color-mix(in srgb, var(--surface) 70%, transparent) 50%, transparent 70%)
    150% 0 / 200% 100% no-repeat var(--track);
  animation: shimmer 2.4s ease-in-out infinite;
}
@keyframes shimmer { to { background-position: -50% 0; } }
figure .progress {
  position: absolute;
  inset: auto 0 0;
  width: min(100%, calc(0.8 * var(--picture-height)));
  margin: 0 auto;
  padding: 1rem;
}
figure img { aspect-ratio: auto 4 / 5; }
figure img[data-loaded] { width: auto; max-width: 100%; }
figcaption { color: var(--muted); font-size: 0.875rem; overflow-wrap: anywhere; }
.recent { display: block; margin-top: 1.25rem; padding-top: 1.25rem; border-top: 1px solid var(--track); }
ul {
  display: flex;
  gap: 0.25rem;
  margin: 0 calc(-1 * var(--padding));
  padding: 0.25rem calc(var(--padding) - 0.25rem);
  overflow-x: auto;
  list-style: none;
  scrollbar-width: thin;
}
.item {
  display: block;
  width: 5rem;
  min-height: 0;
  padding: 0.25rem;
  color: inherit;
  background: none;
  border-color: transparent;
}
.item:hover { background: color-mix(in srgb, var(--accent) 10%, transparent); }
.item:focus-visible { outline-offset: 0; }
.item[aria-current] { border-color: var(--accent); }
.thumbnail {
  position: relative;
  display: grid;
  place-content: center;
  aspect-ratio: 1;
  overflow: hidden;
  background: var(--track);
  border-radius: calc(var(--radius) * 0.7);
}
.thumbnail img { position: absolute; width: 100%; height: 100%; object-fit: cover; }
.mark { font-size: 0.875rem; font-weight: 600; font-variant-numeric: tabular-nums; }
[data-status="failed"] .mark { font-size: 1.5rem; color: var(--danger); }
[data-canceled] .mark { color: var(--muted); }
.thumbnail progress { position: absolute; inset: auto 0.5rem 0.5rem; width: auto; height: 0.25rem; }
.name { font-size: 0.75rem; font-weight: 400; line-height: 1.3; overflow-wrap: anywhere; -webkit-line-clamp: 2; }
.visually-hidden {
  position: absolute;
  width: 1px;
  height: 1px;
  margin: -1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
@media (prefers-reduced-motion: reduce) {
  *, ::before { animation: none !important; transition: none !important; }
  progress:indeterminate { background-position: 50% 0; }
}
@media (forced-colors: active) {
  progress, .card, .error, figure[data-placeholder]::before { border: 1px solid; }
  progress::-webkit-progress-value { background: Highlight; forced-color-adjust: none; }
  progress::-moz-progress-bar { background: Highlight; forced-color-adjust: none; }
  [aria-invalid] { border-width: 3px; }
  .item[aria-current] { outline: 2px solid; }
}
`;

/** @type {CSSStyleSheet|null} */
let shared = null;

/** The stylesheet, one for all forms of the page. */
export function styleSheet() {
  if (shared === null) {
    shared = new CSSStyleSheet();
    // Without `light-dark()`, which came in 2024, all colours would be missing: there the form is light.
    const isLightDark = globalThis.CSS.supports("color", "light-dark(red, red)");
    shared.replaceSync(isLightDark ? RULES : RULES.replaceAll(/light-dark\((.+?), .+?\)/g, "$1"));
  }
  return shared;
}
