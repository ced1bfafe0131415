// A field for a strike, shown while somebody types into it.

import { byId } from "/static/dom.js";

/** select(price): what was typed, as a number. */
export function startFinder(select) {
  const field = byId("find-strike");
  const close = () => {
    field.hidden = true;
    field.value = "";
  };
  field.addEventListener("blur", close);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key !== "Enter") return;
    event.preventDefault();
    const price = Number(field.value.replace(/[\s,$]/g, ""));
    const isTyped = field.value.trim() !== "" && Number.isFinite(price);
    close();
    if (isTyped) select(price);
  });
}

export function openFinder() {
  byId("find-strike").hidden = false;
  byId("find-strike").focus();
}
