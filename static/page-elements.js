// Elements that a page's markup has, or it and its scripts are of different releases; and the page's texts.

/** @typedef {typeof import("./page-texts.json") & { form?: Partial<import("./ai-image-form.d.ts").AiImageFormTexts> }} Texts */

/**
 * The page's element of that id, and of that kind if one is named.
 * @overload
 * @param {string} id
 * @returns {HTMLElement}
 */
/**
 * @template {HTMLElement} T
 * @overload
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
/**
 * @param {string} id
 * @param {new () => HTMLElement} kind
 */
export function element(id, kind = HTMLElement) {
  return expected(document.getElementById(id), kind);
}

/**
 * The first element within `parent` that matches.
 * @template {HTMLElement} T
 * @param {ParentNode} parent
 * @param {string} selector
 * @param {new () => T} kind
 */
export function descendant(parent, selector, kind) {
  return expected(parent.querySelector(selector), kind);
}

/**
 * @template {HTMLElement} T
 * @param {unknown} found
 * @param {new () => T} kind
 */
function expected(found, kind) {
  if (found instanceof kind) return found;
  throw new TypeError(`The page lacks an ${kind.name} that its script needs.`);
}

/** What is said by scripts: the gateway has put it into the page, in whatever language it was told. */
export const texts = textsOf(element("texts").textContent);

/** @param {string} json */
function textsOf(json) {
  /** @type {unknown} */
  const data = JSON.parse(json);
  return /** @type {Texts} */ (data);
}
