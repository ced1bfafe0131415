// Small helpers to build and change the page; text always goes in as text.

export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; a string child becomes text. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    setAttribute(node, key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Writes only what differs: an unchanged cell costs no layout, and keeps its selection. */
export function setText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** null and false take the attribute away, true leaves it empty. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) {
    node.setAttribute(name, text);
  }
}

/** A number on the page: its text, and the raw value for whoever reads the page by program. */
export function setValue(node, text, value) {
  setText(node, text);
  setAttribute(node, "data-value", value ?? "");
}

/** What a screen reader may say once, when it has nothing else to say. */
export function announce(text) {
  setText(byId("announcer"), text);
}

/** Something that must not stop the page when a browser forbids storage. */
export const memory = {
  get(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(key, value);
    } catch {
      // A private window: the choice lasts as long as the page.
    }
  },
};
