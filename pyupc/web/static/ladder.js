// The ladder: a row a contract, changed in place every second, with the price as a line between.

import { chanceBar, showChanceBar } from "/static/chance_bar.js";
import { byId, element, memory, setAttribute, setText, setValue } from "/static/dom.js";
import { bestSide, edgeSentence, edgeText } from "/static/edge.js";
import { DASH, fixed, grouped, isNumber, priceDecimals, priceText, signed } from "/static/format.js";
import { nearestRow } from "/static/events.js";
import { contractHistory } from "/static/history.js";
import { showSpark, spark } from "/static/spark.js";

const cents = (value) => (isNumber(value) ? grouped(100 * value, 0, 2) : DASH);
const size = (value) => (isNumber(value) ? grouped(Math.floor(value)) : DASH);
const one = (value) => fixed(value, 1);

// more: behind "More columns". wide: not on phones. narrow: on phones alone. market: not without one, and
// plain in their place.
const COLUMNS = [
  { key: "probability", label: "Chance %", text: one },
  { key: "bar", label: "0 to 100", isBar: true },
  { key: "spark", label: "Last hour", isSpark: true, wide: true, market: true },
  { key: "yes_ask", label: "Yes ask", text: cents, wide: true, market: true },
  { key: "yes_ask_size", label: "offered", text: size, wide: true, minor: true, market: true },
  { key: "no_ask", label: "No ask", text: cents, wide: true, market: true },
  { key: "no_ask_size", label: "offered", text: size, wide: true, minor: true, market: true },
  { key: "yes_edge", label: "Yes edge", side: "yes", wide: true, market: true },
  { key: "no_edge", label: "No edge", side: "no", wide: true, market: true },
  { key: "best", label: "Best side, ask, edge", isBest: true, narrow: true, market: true },
  { key: "volume", label: "Traded", text: size, wide: true, minor: true, market: true },
  { key: "prob_low", label: "Low %", text: one, more: true, plain: true },
  { key: "prob_high", label: "High %", text: one, more: true, plain: true },
  { key: "yes_bid", label: "Yes bid", text: cents, more: true, market: true },
  { key: "yes_bid_size", label: "wanted", text: size, more: true, minor: true, market: true },
  { key: "no_bid", label: "No bid", text: cents, more: true, market: true },
  { key: "no_bid_size", label: "wanted", text: size, more: true, minor: true, market: true },
  { key: "yes_fee", label: "Yes fee", text: (value) => fixed(value, 2), more: true, market: true },
  { key: "no_fee", label: "No fee", text: (value) => fixed(value, 2), more: true, market: true },
  { key: "yes_edge_low", label: "Yes low", text: (value) => signed(value, 1), more: true, market: true },
  { key: "no_edge_low", label: "No low", text: (value) => signed(value, 1), more: true, market: true },
  { key: "buffer", label: "Buffer $", text: (value, row) => grouped(value, priceDecimals(row.strike)), more: true, plain: true, wide: true },
  { key: "move_percent", label: "Move %", text: (value) => fixed(value, 2), more: true, plain: true, wide: true },
];

// Rows beside the price, above it and below it.
const REACH = { wide: 11, narrow: 4 };
const narrow = matchMedia("(max-width: 760px)");
const KEYS = { more: "pyupc.more-columns", sort: "pyupc.sort-by-edge" };

const rows = new Map();
const state = { isSorted: memory.get(KEYS.sort) === "on", hasMore: memory.get(KEYS.more) === "on", hasAll: false };
let moneyLine = null;
let shownEvent = null;
let onSelect = () => {};
let onChange = () => {};

/** select(strike): a row was chosen. change(): the ladder wants to be shown again. */
export function startLadder(select, change) {
  onSelect = select;
  onChange = change;
  const table = byId("ladder");
  table.tHead.append(
    element(
      "tr",
      {},
      element("th", { scope: "col", "data-key": "strike" }, "Strike"),
      ...COLUMNS.map((column) => element("th", { scope: "col", ...attributes(column) }, column.label)),
    ),
  );
  const body = table.tBodies[0];
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-strike]");
    // Whoever marks a number to copy it does not want to select the row.
    if (row && String(getSelection()) === "") onSelect(Number(row.dataset.strike));
  });
  body.addEventListener("keydown", moveOrSelect);
  body.addEventListener("focusin", (event) => {
    const row = event.target.closest("tr[data-strike]");
    if (row) setTabStop(row);
  });
  startSwitch("sort-edge", "isSorted", KEYS.sort);
  startSwitch("more-columns", "hasMore", KEYS.more);
  startSwitch("all-rows", "hasAll");
  narrow.addEventListener("change", () => onChange());
}

const CLASSES = ["more", "wide", "narrow", "minor", "market", "plain"];

function attributes(column) {
  const names = CLASSES.filter((name) => column[name]);
  return { "data-key": column.key, class: names.length > 0 ? names.join(" ") : null };
}

function startSwitch(id, name, key) {
  const button = byId(id);
  const show = () => {
    setAttribute(button, "aria-pressed", String(state[name]));
    byId("ladder-scroll").classList.toggle("has-more", state.hasMore);
  };
  button.addEventListener("click", () => {
    state[name] = !state[name];
    if (key) memory.set(key, state[name] ? "on" : "off");
    show();
    onChange();
  });
  show();
}

function moveOrSelect(event) {
  const row = event.target.closest("tr[data-strike]");
  if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    onSelect(Number(row.dataset.strike));
    return;
  }
  const all = [...byId("ladder").tBodies[0].querySelectorAll("tr[data-strike]")];
  const place = all.indexOf(row);
  const next = { ArrowUp: all[place - 1], ArrowDown: all[place + 1], Home: all[0], End: all.at(-1) }[event.key];
  if (next) {
    event.preventDefault();
    next.focus();
  }
}

/** One stop of the Tab key for the whole ladder; arrows do the rest. */
function setTabStop(row) {
  for (const { node } of rows.values()) setAttribute(node, "tabindex", node === row ? 0 : -1);
}

function makeRow(strike) {
  const watched = element("span", { class: "watch", hidden: true, title: "on the watchlist" }, "watch");
  const text = element("span", {});
  const head = element("th", { scope: "row", "data-key": "strike", "data-value": strike }, watched, text);
  const node = element("tr", { "data-strike": strike, tabindex: -1 }, head);
  const cells = COLUMNS.map((column) => {
    const cell = element("td", attributes(column), column.isBar ? chanceBar() : column.isSpark ? spark() : null);
    node.append(cell);
    return cell;
  });
  return { node, watched, text, cells };
}

export function clearLadder() {
  byId("ladder").tBodies[0].replaceChildren();
  rows.clear();
  moneyLine = null;
  shownEvent = null;
}

/** Those to be shown, in their order: around the price, or with the surest edges first. */
function chosenRows(event, price, selected) {
  const all = event.rows;
  const reach = narrow.matches ? REACH.narrow : REACH.wide;
  if (state.isSorted) {
    const sure = (row) => Math.max(row.yes_edge_low ?? row.yes_edge ?? -1e9, row.no_edge_low ?? row.no_edge ?? -1e9);
    const sorted = all.toSorted((one, other) => sure(other) - sure(one));
    return state.hasAll ? sorted : sorted.slice(0, 2 * reach);
  }
  if (state.hasAll) return all;
  // A range holds the price; it has as many rows to either side.
  const below = all.findIndex((row) => row.strike <= price);
  const middle = below < 0 ? all.length : below;
  const isHeld = event.kind === "range";
  const found = all.slice(Math.max(0, middle - reach), middle + reach + (isHeld ? 1 : 0));
  return found.includes(selected) || !selected ? found : [...found, selected].sort((a, b) => b.strike - a.strike);
}

/** event: as eventsOf has it. selected: the strike that is looked at. */
export function showLadder(tick, event, selected) {
  if (event?.ticker !== shownEvent?.ticker || event?.id !== shownEvent?.id) clearLadder();
  shownEvent = event;
  const table = byId("ladder");
  // Of which tick the numbers are, for whoever compares them with a file.
  table.dataset.lastUpdated = tick.strike_table.last_updated;
  table.dataset.event = event?.ticker ?? "";
  byId("ladder-scroll").classList.toggle("no-market", !event?.ticker);
  const price = tick.strike_table.current_price;
  const chosen = event?.rows.find((row) => row.strike === selected);
  const shown = event ? chosenRows(event, price, chosen) : [];
  const wanted = new Set(shown.map((row) => row.strike));
  for (const [strike, row] of rows) {
    if (!wanted.has(strike)) {
      row.node.remove();
      rows.delete(strike);
    }
  }
  const isLined = event && event.kind !== "range" && !state.isSorted;
  const held = event?.kind === "range" ? nearestRow(event, price)?.strike : null;
  const order = [];
  let isLinePlaced = !isLined;
  for (const values of shown) {
    // A strike that is exactly the price pays: it is below the line.
    if (!isLinePlaced && values.strike <= price) {
      order.push(showMoneyLine(price));
      isLinePlaced = true;
    }
    if (!rows.has(values.strike)) rows.set(values.strike, makeRow(values.strike));
    const row = rows.get(values.strike);
    showRow(row, values, values.strike === selected, values.strike === held);
    order.push(row.node);
  }
  if (!isLinePlaced) order.push(showMoneyLine(price));
  if (!isLined && moneyLine) moneyLine.node.remove();
  place(table.tBodies[0], order);
  showSwitches(event, shown);
  if (!table.tBodies[0].querySelector('tr[tabindex="0"]')) {
    const stop = rows.get(selected) ?? rows.get(shown[0]?.strike);
    if (stop) setTabStop(stop.node);
  }
}

/** Moves only what is out of place, so that focus and selection stay. */
function place(body, order) {
  order.forEach((node, at) => {
    if (body.children[at] !== node) body.insertBefore(node, body.children[at] ?? null);
  });
}

function showSwitches(event, shown) {
  const count = event?.rows.length ?? 0;
  byId("all-rows").hidden = !state.hasAll && shown.length === count;
  setText(byId("all-rows"), `All ${count}`);
}

function showRow(row, values, isSelected, isHeld) {
  setText(row.text, values.label);
  row.watched.hidden = !values.isWatched;
  setAttribute(row.node, "data-watched", values.isWatched ? "true" : null);
  setAttribute(row.node, "data-ticker", values.ticker ?? null);
  setAttribute(row.node, "data-held", isHeld ? "true" : null);
  setAttribute(row.node, "aria-current", isSelected ? "true" : null);
  COLUMNS.forEach((column, at) => {
    const cell = row.cells[at];
    const value = values[column.key];
    if (column.isBar) showChanceBar(cell.firstChild, values);
    else if (column.isSpark) showSpark(cell.firstChild, contractHistory(values.ticker));
    else if (column.isBest) showBest(cell, values);
    else if (column.side) showEdge(cell, value, values[`${column.side}_edge_low`], values.edge_reason);
    else setValue(cell, column.text(value, values), value);
  });
}

function showEdge(cell, value, low, reason) {
  setValue(cell, edgeText(value, reason, 1), value);
  setAttribute(cell, "title", edgeSentence(value, reason));
  setAttribute(cell, "data-worth", worth(value, low));
}

/** sure: above 0 even at the low end. maybe: above 0, so that one sees it. */
function worth(edge, low) {
  if (!isNumber(edge)) return null;
  if (low > 0) return "sure";
  return edge >= 0.05 ? "maybe" : null;
}

function showBest(cell, values) {
  const side = bestSide(values);
  const text = side ? `${side.name} ${cents(side.ask)}  ${signed(side.edge, 1)}` : edgeText(null, values.edge_reason, 1);
  setValue(cell, text, side?.edge);
  setAttribute(cell, "data-worth", worth(side?.edge, side?.low));
}

function showMoneyLine(price) {
  if (!moneyLine) {
    const head = element("th", { scope: "row" });
    // A cell a column: a narrow page hides some, and a colspan would keep their places.
    const cells = COLUMNS.map((column) => element("td", { class: attributes(column).class }));
    cells[1].textContent = "price now";
    moneyLine = { node: element("tr", { id: "money-line" }, head, ...cells), head };
  }
  setText(moneyLine.head, priceText(price));
  setAttribute(moneyLine.node, "data-value", price);
  return moneyLine.node;
}
