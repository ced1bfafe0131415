// The symbols as tabs: arrows, Home and End move, and moving selects.

import { byId, element, setAttribute, setText } from "/static/dom.js";
import { ageText } from "/static/format.js";

let choose = () => {};

export function startTabs(onChoose) {
  choose = onChoose;
  byId("symbols").addEventListener("keydown", (event) => {
    const tabs = [...byId("symbols").children];
    const place = tabs.indexOf(document.activeElement);
    const last = tabs.length - 1;
    const next = {
      ArrowRight: place === last ? 0 : place + 1,
      ArrowDown: place === last ? 0 : place + 1,
      ArrowLeft: place <= 0 ? last : place - 1,
      ArrowUp: place <= 0 ? last : place - 1,
      Home: 0,
      End: last,
    }[event.key];
    if (next === undefined || place < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    tabs[next].focus();
    choose(tabs[next].dataset.symbol);
  });
}

/** symbols: as /api/symbols has them. current: the one that is shown. */
export function showTabs(symbols, current) {
  const list = byId("symbols");
  const known = new Map([...list.children].map((tab) => [tab.dataset.symbol, tab]));
  symbols.forEach((row, place) => {
    let tab = known.get(row.symbol);
    known.delete(row.symbol);
    if (!tab) {
      tab = element(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${row.symbol}`,
          "aria-controls": "panel",
          "data-symbol": row.symbol,
        },
        element("span", { class: "symbol" }, row.symbol),
        element("span", { class: "tab-state" }),
      );
      tab.addEventListener("click", () => choose(row.symbol));
    }
    if (list.children[place] !== tab) list.insertBefore(tab, list.children[place] ?? null);
    showState(tab, row, row.symbol === current);
  });
  for (const tab of known.values()) tab.remove();
  setAttribute(byId("panel"), "aria-labelledby", current ? `tab-${current}` : null);
}

function showState(tab, row, isCurrent) {
  setAttribute(tab, "aria-selected", String(isCurrent));
  setAttribute(tab, "tabindex", isCurrent ? 0 : -1);
  // The current one has the whole page to say it.
  setText(tab.querySelector(".tab-state"), isCurrent ? "" : otherState(row));
}

function otherState(row) {
  if (row.tick_id === null || row.tick_id === undefined) return "no tick";
  if (row.age_seconds > 15) return `${ageText(row.age_seconds)} old`;
  return row.state === "fresh" ? "" : (row.state ?? "");
}
