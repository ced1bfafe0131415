// The help dialog and the short keys that it tells of.

import { byId, memory } from "/static/dom.js";
import { nextTheme } from "/static/theme.js";

const KEY = "pyupc.short-keys";

/**
 * onSymbol(place), onLetter(letter), onNearest(), onStep(rows), onFind(): what the keys of the page do. Letters
 * that mean something else name no symbol.
 */
export function startHelp({ onSymbol, onLetter, onNearest, onStep, onFind }) {
  const help = byId("help");
  const areOn = byId("short-keys");
  areOn.checked = memory.get(KEY) !== "off";
  areOn.addEventListener("change", () => memory.set(KEY, areOn.checked ? "on" : "off"));
  byId("help-open").addEventListener("click", () => help.showModal());
  byId("help-close").addEventListener("click", () => help.close());
  help.addEventListener("click", (event) => {
    // The dialog itself is hit only beside its content.
    if (event.target === help) help.close();
  });

  const hands = {
    "?": () => help.showModal(),
    "/": onFind,
    j: () => onStep(1),
    k: () => onStep(-1),
    l: () => byId("ladder").querySelector('tr[tabindex="0"]')?.focus(),
    n: onNearest,
    t: nextTheme,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
    if (event.target.closest("input, select, textarea")) return;
    // Single keys can be switched off: a voice that dictates would press them.
    if (!areOn.checked) return;
    if (/^[1-9]$/.test(event.key)) {
      onSymbol(Number(event.key) - 1);
      return;
    }
    const hand = hands[event.key.toLowerCase()];
    if (hand) {
      event.preventDefault();
      hand();
    } else if (/^[a-z]$/i.test(event.key)) {
      onLetter(event.key.toUpperCase());
    }
  });
}
