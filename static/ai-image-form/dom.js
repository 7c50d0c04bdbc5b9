// Elements without HTML strings: text is text, whatever it holds, and no Content-Security-Policy objects.

/** @typedef {string|number|boolean|null|undefined} AttributeValue */

/**
 * An element with attributes (`true` sets an empty one) and children; `onclick` adds a listener.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, AttributeValue | ((event: MouseEvent) => unknown)>} [attributes]
 * @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") /** @type {HTMLElement} */ (element).addEventListener("click", value);
    else setAttribute(element, name, value);
  }
  element.append(...children);
  return element;
}

/**
 * Set an attribute, or remove it for null and false.
 * @param {Element} element
 * @param {string} name
 * @param {AttributeValue} value
 */
export function setAttribute(element, name, value) {
  if (value == null || value === false) {
    element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/**
 * Set the text, and hide the element when there is none. Equal text is left alone: a live region would repeat it.
 * @param {HTMLElement} element
 * @param {string|null|undefined|false} text
 */
export function setText(element, text) {
  if (element.textContent !== (text || "")) element.textContent = text || "";
  element.hidden = !text;
}
