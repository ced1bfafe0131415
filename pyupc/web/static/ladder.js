// The ladder: a row a strike, changed in place every second, with the price as a line between.

import { byId, element, setAttribute, setText, setValue } from "/static/dom.js";
import { edgeSentence, edgeText } from "/static/edge.js";
import { DASH, fixed, grouped, isNumber, priceDecimals, priceText, strikeText } from "/static/format.js";

const COLUMNS = [
  { key: "buffer", label: "Buffer", text: fixed, decimals: (row) => priceDecimals(row.strike), minor: true },
  { key: "move_percent", label: "Move %", text: fixed, minor: true },
  { key: "probability", label: "Prob", rest: "ability", text: fixed },
  { key: "prob_above", label: "P(above)", text: fixed },
  { key: "interval", label: "95 % interval", text: intervalText, minor: true },
  { key: "yes_ask", label: "Yes ask", text: (value) => grouped(value, 0, 2) },
  { key: "no_ask", label: "No ask", text: (value) => grouped(value, 0, 2) },
  { key: "yes_edge", label: "Yes edge", isEdge: true },
  { key: "no_edge", label: "No edge", isEdge: true },
  { key: "volume", label: "Volume", text: (value) => grouped(value, 0, 2), minor: true },
  { key: "active_side", label: "Side", text: (value) => value ?? DASH, minor: true },
];

function intervalText(value) {
  return value ?? DASH;
}

const rows = new Map();
let moneyLine = null;
let onSelect = () => {};

export function startLadder(select) {
  onSelect = select;
  const table = byId("ladder");
  table.tHead.append(
    element(
      "tr",
      {},
      element("th", { scope: "col", "data-key": "strike" }, "Strike"),
      ...COLUMNS.map((column) =>
        element(
          "th",
          { scope: "col", "data-key": column.key, class: column.minor ? "minor" : null },
          column.label,
          // Where there is no room, the end of a word goes.
          column.rest ? element("span", { class: "rest" }, column.rest) : null,
        ),
      ),
    ),
  );
  table.tBodies[0].addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-strike]");
    // Whoever marks a number to copy it does not want to select the row.
    if (row && String(getSelection()) === "") onSelect(Number(row.dataset.strike));
  });
  table.tBodies[0].addEventListener("keydown", moveOrSelect);
  table.tBodies[0].addEventListener("focusin", (event) => {
    const row = event.target.closest("tr[data-strike]");
    if (row) setTabStop(row);
  });
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
  const next = {
    ArrowUp: all[place - 1],
    ArrowDown: all[place + 1],
    Home: all[0],
    End: all.at(-1),
  }[event.key];
  if (next) {
    event.preventDefault();
    next.focus();
  }
}

/** One stop of the Tab key for the whole ladder; arrows do the rest. */
function setTabStop(row) {
  for (const { node } of rows.values()) {
    setAttribute(node, "tabindex", node === row ? 0 : -1);
  }
}

function makeRow(strike) {
  const star = element("span", { class: "star", hidden: true });
  star.append(
    element("span", { "aria-hidden": "true" }, "★"),
    element("span", { class: "hidden-text" }, "on the watchlist"),
  );
  const head = element("th", { scope: "row", "data-key": "strike", "data-value": strike });
  head.append(star, strikeText(strike));
  const node = element("tr", { "data-strike": strike, tabindex: -1 }, head);
  const cells = COLUMNS.map((column) => {
    const cell = element("td", { "data-key": column.key, class: column.minor ? "minor" : null });
    node.append(cell);
    return cell;
  });
  return { node, star, cells };
}

/** The rows of both documents as one, descending by strike. */
export function ladderRows(tick) {
  const moves = new Map(
    tick.live_probabilities.probabilities.map((row) => [row.strike, row.move_percent]),
  );
  return tick.strike_table.strikes
    .map((row) => ({
      ...row,
      move_percent: moves.get(row.strike) ?? null,
      interval:
        isNumber(row.prob_low) && isNumber(row.prob_high)
          ? `${fixed(row.prob_low)}–${fixed(row.prob_high)}`
          : null,
    }))
    .sort((one, other) => other.strike - one.strike);
}

export function clearLadder() {
  byId("ladder").tBodies[0].replaceChildren();
  rows.clear();
  moneyLine = null;
}

export function showLadder(tick, selected) {
  const table = byId("ladder");
  const body = table.tBodies[0];
  // Of which tick the numbers are, for whoever compares them with a file.
  table.dataset.lastUpdated = tick.strike_table.last_updated;
  const shown = ladderRows(tick);
  const watched = new Set(tick.watchlist.strikes.map((row) => row.strike));
  const wanted = new Set(shown.map((row) => row.strike));
  for (const [strike, row] of rows) {
    if (!wanted.has(strike)) {
      row.node.remove();
      rows.delete(strike);
    }
  }
  const price = tick.strike_table.current_price;
  const order = [];
  let isLinePlaced = false;
  for (const values of shown) {
    // A strike that is exactly the price pays: it is below the line.
    if (!isLinePlaced && values.strike <= price) {
      order.push(showMoneyLine(price));
      isLinePlaced = true;
    }
    if (!rows.has(values.strike)) rows.set(values.strike, makeRow(values.strike));
    const row = rows.get(values.strike);
    showRow(row, values, watched.has(values.strike), values.strike === selected);
    order.push(row.node);
  }
  if (!isLinePlaced) order.push(showMoneyLine(price));
  // Moves only what is out of place, so that focus and selection stay.
  order.forEach((node, place) => {
    if (body.children[place] !== node) body.insertBefore(node, body.children[place] ?? null);
  });
  if (!body.querySelector('tr[tabindex="0"]')) {
    const stop = rows.get(selected) ?? rows.get(shown[0]?.strike);
    if (stop) setTabStop(stop.node);
  }
}

function showRow(row, values, isWatched, isSelected) {
  row.star.hidden = !isWatched;
  setAttribute(row.node, "data-watched", isWatched ? "true" : null);
  setAttribute(row.node, "data-side", values.active_side);
  setAttribute(row.node, "aria-current", isSelected ? "true" : null);
  COLUMNS.forEach((column, place) => {
    const value = values[column.key];
    const cell = row.cells[place];
    setValue(cell, column.isEdge ? edgeText(value, values.edge_reason) : column.text(value, column.decimals?.(values)), value);
    if (column.isEdge) {
      setAttribute(cell, "title", edgeSentence(value, values.edge_reason));
      const sign = isNumber(value) && value !== 0 ? (value > 0 ? "up" : "down") : null;
      setAttribute(cell, "data-sign", sign);
    }
    if (column.key === "prob_above") {
      cell.style.setProperty("--share", isNumber(value) ? `${value}%` : "0%");
    }
  });
}

function showMoneyLine(price) {
  if (!moneyLine) {
    const head = element("th", { scope: "row" });
    // A cell a column: a narrow page hides some, and a colspan would keep their places.
    const cells = COLUMNS.map((column) => element("td", { class: column.minor ? "minor" : null }));
    cells.find((_, place) => !COLUMNS[place].minor).textContent = "price now";
    moneyLine = { node: element("tr", { id: "money-line" }, head, ...cells), head };
  }
  setText(moneyLine.head, priceText(price));
  setAttribute(moneyLine.node, "data-value", price);
  return moneyLine.node;
}
