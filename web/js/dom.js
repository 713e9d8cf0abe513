// Builds elements. Text always becomes text nodes: nothing here parses HTML.

/**
 * @param {string} tag
 * @param {Object<string, unknown>} [attributes] `on<event>` adds a listener, `true` an empty attribute; `false`, `null` and `undefined` add none
 * @param {...(Node|string|null|undefined)} children
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(node, name, value);
  node.append(...children.filter((child) => child != null));
  return node;
}

function setAttribute(node, name, value) {
  if (value === false || value == null) return;
  if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
  else node.setAttribute(name, value === true ? '' : value);
}

/** Writes `text` only when it differs: writing clears a selection and makes screen readers read a live region again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
