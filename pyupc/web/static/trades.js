// The trades that are held: probability, buffer, worth, profit and stop, one row each.

import { byId, element, setAttribute, setValue } from "/static/dom.js";
import { countdown, DASH, dollars, fixed, grouped, isNumber, signed, strikeText } from "/static/format.js";

const COLUMNS = [
  { key: "id", label: "Trade", text: String, isHead: true },
  { key: "contract_side", label: "Side", text: (value) => value },
  { key: "strike_price", label: "Strike", text: (value) => (isNumber(value) ? strikeText(value) : value) },
  { key: "position", label: "Contracts", text: (value) => grouped(value, 0, 2), minor: true },
  { key: "buy_price", label: "Bought at", text: dollars, minor: true },
  { key: "current_probability", label: "Probability", text: fixed },
  { key: "buffer_from_entry", label: "Buffer", text: signed, minor: true },
  { key: "close_value", label: "Worth now", text: dollars },
  { key: "pnl_after_fees", label: "Profit after fees", text: signed, isEdge: true },
  { key: "ttc_seconds", label: "To the close", text: countdown, minor: true },
  { key: "state", label: "State", text: (value) => value },
];
const STOPS = { probability: "stopped: probability", momentum: "stopped: momentum" };

const rows = new Map();
// What a phone has no room for.
const minorClass = (column) => (column.minor ? "minor" : null);

export function startTrades() {
  byId("trades").tHead.append(
    element(
      "tr",
      {},
      ...COLUMNS.map((column) =>
        element("th", { scope: "col", "data-key": column.key, class: minorClass(column) }, column.label),
      ),
    ),
  );
}

function makeRow(id) {
  const node = element("tr", { "data-trade": id });
  const cells = COLUMNS.map((column) => {
    const cell = column.isHead
      ? element("th", { scope: "row", "data-key": column.key })
      : element("td", { "data-key": column.key, class: minorClass(column) });
    node.append(cell);
    return cell;
  });
  return { node, cells };
}

/** tick: null empties the table. */
export function showTrades(tick) {
  const trades = tick?.active_trades.active_trades ?? [];
  const wanted = new Set(trades.map((trade) => trade.id));
  for (const [id, row] of rows) {
    if (!wanted.has(id)) {
      row.node.remove();
      rows.delete(id);
    }
  }
  for (const trade of trades) {
    if (!rows.has(trade.id)) {
      rows.set(trade.id, makeRow(trade.id));
      byId("trades").tBodies[0].append(rows.get(trade.id).node);
    }
    showTrade(rows.get(trade.id), trade);
  }
  byId("trades-card").hidden = trades.length === 0;
}

function showTrade(row, trade) {
  setAttribute(row.node, "data-status", trade.state);
  setAttribute(row.node, "title", trade.ticker);
  COLUMNS.forEach((column, place) => {
    // A range has two bounds in place of a strike.
    const value = trade[column.key] ?? (column.key === "strike_price" ? trade.strike : null);
    const cell = row.cells[place];
    const text = column.key === "state" ? stateText(trade) : column.text(value);
    setValue(cell, text ?? DASH, value);
    if (column.isEdge) {
      const sign = isNumber(value) && value !== 0 ? (value > 0 ? "up" : "down") : null;
      setAttribute(cell, "data-sign", sign);
    }
  });
}

function stateText(trade) {
  if (trade.state !== "stopped") return trade.state;
  const at = trade.stopped_at ? ` ${trade.stopped_at.slice(11, 19)}` : "";
  return `${STOPS[trade.stop_reason] ?? "stopped"}${at}`;
}
