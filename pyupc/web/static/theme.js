// Light, dark or as the system has it; loaded before the first paint, so that nothing flashes.

import { memory } from "/static/dom.js";

const KEY = "pyupc.theme";
const CHOICES = ["system", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");

function chosen() {
  const stored = memory.get(KEY);
  return CHOICES.includes(stored) ? stored : "system";
}

let choice = chosen();

function apply() {
  if (choice === "system") {
    delete document.documentElement.dataset.theme;
  } else {
    document.documentElement.dataset.theme = choice;
  }
  const button = document.getElementById("theme-switch");
  if (button) {
    button.textContent = `Theme: ${choice}`;
  }
  // Charts are drawn, not styled: they have to be told.
  document.dispatchEvent(new Event("themechange"));
}

export function nextTheme() {
  choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
  memory.set(KEY, choice);
  apply();
}

function start() {
  apply();
  document.getElementById("theme-switch")?.addEventListener("click", nextTheme);
}

apply();
if (document.readyState === "loading") {
  document.addEventListener("DOMContentLoaded", start, { once: true });
} else {
  start();
}
system.addEventListener("change", apply);
// Another window of the page has switched.
addEventListener("storage", (event) => {
  if (event.key === KEY) {
    choice = chosen();
    apply();
  }
});
