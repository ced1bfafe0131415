// The events as tabs above the ladder, in the order of their closes.

import { byId, element, setAttribute, setText } from "/static/dom.js";
import { shortTime } from "/static/times.js";

let choose = () => {};

export function startEventTabs(onChoose) {
  choose = onChoose;
  byId("event-tabs").addEventListener("keydown", (event) => {
    const tabs = [...byId("event-tabs").children];
    const place = tabs.indexOf(document.activeElement);
    const next = {
      ArrowRight: tabs[place + 1] ?? tabs[0],
      ArrowLeft: tabs[place - 1] ?? tabs.at(-1),
      Home: tabs[0],
      End: tabs.at(-1),
    }[event.key];
    if (!next || place < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    next.focus();
    choose(next.dataset.event);
  });
}

const isWorth = (row) => row.yes_edge_low > 0 || row.no_edge_low > 0;

/** Tabs stay in their places as events follow one another. */
export function showEventTabs(events, current) {
  const list = byId("event-tabs");
  list.hidden = events.length === 0;
  events.forEach((event, place) => {
    const tab = list.children[place] ?? list.appendChild(makeTab());
    setAttribute(tab, "id", `event-tab-${event.id}`);
    setAttribute(tab, "data-event", event.id);
    setText(tab.children[0], event.label);
    setText(tab.children[1], shortTime(event.closes));
    const worth = event.rows.filter(isWorth).length;
    setText(tab.children[2], worth > 0 ? `+${worth}` : "");
    setAttribute(tab.children[2], "title", worth > 0 ? "contracts with a sure edge" : null);
    const isCurrent = event === current;
    setAttribute(tab, "aria-selected", String(isCurrent));
    setAttribute(tab, "tabindex", isCurrent ? 0 : -1);
  });
  while (list.children.length > events.length) list.lastChild.remove();
  setAttribute(byId("ladder-scroll"), "aria-labelledby", current ? `event-tab-${current.id}` : null);
}

function makeTab() {
  const tab = element(
    "button",
    { type: "button", role: "tab", "aria-controls": "ladder-scroll" },
    element("span", { class: "event-label" }),
    element("span", { class: "event-time num" }),
    element("span", { class: "event-worth num" }),
  );
  tab.addEventListener("click", () => choose(tab.dataset.event));
  return tab;
}
