// The small bar of a row: the interval as a line, the chance as a dot, bid and ask of yes as ticks, on one
// scale from 0 to 100. An edge is seen as a dot beyond a tick. The cells beside it have the numbers.

import { element } from "/static/dom.js";
import { isNumber } from "/static/format.js";

export function chanceBar() {
  const part = (name) => element("i", { class: name, hidden: true });
  return element("span", { class: "chance", "aria-hidden": "true" }, ...["book", "span", "bid", "ask", "mark"].map(part));
}

export function showChanceBar(bar, values) {
  const [book, span, bid, ask, mark] = bar.children;
  // The ask of no is what yes brings.
  const most = isNumber(values.no_ask) ? 100 * (1 - values.no_ask) : null;
  const least = isNumber(values.yes_ask) ? 100 * values.yes_ask : null;
  stretch(book, most, least);
  stretch(span, values.prob_low, values.prob_high);
  put(bid, most);
  put(ask, least);
  put(mark, values.probability);
}

function put(node, percent) {
  node.hidden = !isNumber(percent);
  if (!node.hidden) node.style.left = `${percent}%`;
}

function stretch(node, from, to) {
  node.hidden = !isNumber(from) || !isNumber(to) || to < from;
  if (node.hidden) return;
  node.style.left = `${from}%`;
  node.style.width = `${to - from}%`;
}
