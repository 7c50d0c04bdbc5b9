// Elements without HTML strings: text is text, whatever it holds, and no Content-Security-Policy objects.

/** An element with attributes (`true` sets an empty one, `onclick` and the like add listeners) and children. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else set(element, name, value);
  }
  element.append(...children);
  return element;
}

/** Set an attribute, or remove it for null and false. */
export function set(element, name, value) {
  if (value == null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? "" : value);
}

/** Set the text, and hide the element when there is none. Equal text is left alone: a live region would repeat it. */
export function say(element, text) {
  if (element.textContent !== (text || "")) element.textContent = text || "";
  element.hidden = !text;
}
