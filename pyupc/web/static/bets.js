// Bets, on top of all: the lines of the tick, or why there is none.

import { isMadeUp } from "/static/banner.js";
import { instant } from "/static/clock.js";
import { byId, element, setAttribute, setText } from "/static/dom.js";
import { countdown, grouped, isNumber, signed } from "/static/format.js";
import { copyLine, marketLink } from "/static/links.js";

const MOST = 3;
const COPIED = 1600;

const lines = [];
let shown = [];
let onSelect = () => {};

export function startBets(select) {
  onSelect = select;
  for (let place = 0; place < MOST; place += 1) {
    const line = makeLine();
    line.button.addEventListener("click", () => take(place));
    lines.push(line);
    byId("bets-list").append(line.node);
  }
}

function makeLine() {
  const part = (name) => element("span", { class: name, "data-key": name });
  const parts = Object.fromEntries(
    ["what", "ask", "edge", "range", "volume", "offered", "left", "size", "news"].map((name) => [
      name,
      part(name),
    ]),
  );
  const copied = element("span", { class: "copied", "aria-hidden": "true" }, "copy");
  const button = element("button", { type: "button", class: "bet" }, ...Object.values(parts), copied);
  const link = element(
    "a",
    { class: "out", target: "_blank", rel: "noopener noreferrer", "aria-label": "market at Kalshi" },
    element("span", { class: "word" }, "Kalshi "),
    "↗",
  );
  const node = element("li", { hidden: true }, button, link);
  return { node, button, link, parts, copied, timer: null };
}

async function take(place) {
  const bet = shown[place];
  const line = lines[place];
  if (!bet) return;
  onSelect(bet);
  if (bet.command && (await copyLine(bet.command))) {
    setText(line.copied, "copied");
    clearTimeout(line.timer);
    line.timer = setTimeout(() => setText(line.copied, "copy"), COPIED);
  }
}

/** cents of a price in dollars */
const cents = (value) => `${grouped(100 * value, 0, 2)} ¢`;
const range = (bet) => `(${signed(bet.edge_low, 1)} … ${signed(bet.edge_high, 1)})`;
const side = (bet) => (bet.side === "yes" ? "Yes" : "No");

/** level: as judge has it. From old on there is nothing to buy, whatever the tick said. */
export function showBets(tick, level) {
  const document = tick?.contracts;
  const isOld = level === "old" || level === "none";
  const bets = isOld ? [] : (document?.bets ?? []).slice(0, MOST);
  shown = bets;
  const text = bets.length > 0 ? "" : reason(tick, document, isOld);
  byId("bets").hidden = bets.length === 0 && text === "";
  byId("bets-list").hidden = bets.length === 0;
  byId("bets-none").hidden = text === "";
  setText(byId("bets-none"), text);
  setAttribute(byId("bets"), "data-tick", tick?.contracts?.tick_id ?? null);
  lines.forEach((line, place) => {
    line.node.hidden = !bets[place];
    if (bets[place]) showLine(line, bets[place]);
  });
  const others = isOld ? 0 : (document?.bets ?? []).length - bets.length;
  setText(byId("bets-more"), others > 0 ? `${others} more` : "");
}

function reason(tick, document, isOld) {
  if (!tick || !document || isMadeUp(document.feed) || document.open_count === 0) return "";
  if (document.suggest_bets === false) return "Suggestions are off.";
  if (isOld) return "No suggestions while the numbers are old.";
  const rest = document.best_of_rest;
  if (!rest) return "Nothing can be bought now.";
  return (
    `Nothing worth buying; best is ${side(rest)} ${rest.contract} at ${cents(rest.ask)}, ` +
    `edge ${signed(rest.edge, 1)} ${range(rest)}.`
  );
}

function showLine(line, bet) {
  const { parts, button, link, node } = line;
  setAttribute(node, "data-ticker", bet.ticker);
  setAttribute(node, "data-side", bet.side);
  setText(parts.what, `Buy ${side(bet)} ${bet.contract}`);
  setText(parts.ask, cents(bet.ask));
  setText(parts.edge, `edge ${signed(bet.edge, 1)}`);
  setText(parts.range, range(bet));
  setText(parts.volume, isNumber(bet.volume) ? `${grouped(bet.volume)} traded` : "");
  setText(parts.offered, isNumber(bet.offered) ? `${grouped(Math.floor(bet.offered))} offered` : "");
  setText(parts.size, isNumber(bet.count) ? sizeText(bet) : "");
  setText(parts.news, bet.news ? `⚠ ${bet.news}` : "");
  setAttribute(button, "title", bet.command ?? null);
  const address = marketLink(bet.series, bet.event_ticker);
  link.hidden = address === null;
  setAttribute(link, "href", address);
  line.copied.hidden = !bet.command;
}

function sizeText(bet) {
  const limit = bet.limited_by ? `, ${bet.limited_by} limit` : "";
  if (bet.count > 0) return `buy ${grouped(bet.count)}${limit}`;
  return bet.limited_by ? `buy none${limit}` : "too small a bankroll";
}

/** What goes on between the ticks. */
export function showBetClocks(tick, age) {
  if (shown.length === 0) return;
  const now = instant(tick.contracts.market_at) + age;
  shown.forEach((bet, place) => {
    setText(lines[place].parts.left, `${countdown(instant(bet.closes_at) - now)} left`);
  });
}
