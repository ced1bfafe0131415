// The events that have closed: what settled them, what model and market had said before, and who was nearer.

import { getJson } from "/static/api.js";
import { instant, mark, since } from "/static/clock.js";
import { byId, element, setAttribute, setText, setValue } from "/static/dom.js";
import { DASH, fixed, grouped, isNumber, priceText, signed } from "/static/format.js";
import { showProfit } from "/static/profit.js";
import { shortTime } from "/static/times.js";

const MOST = 24;
// Minutes before the close.
const BEFORE = 15;
const EVERY = 300;
const RETRY = 2;
// A result comes some time after the close.
const SETTLED = 45;
const WORDS = { updown: "15 min", range: "range", above: "above" };

const score = (value) => fixed(value, 3);
const said = (value) => fixed(value, 1);

// minor: what a phone has no room for.
const COLUMNS = [
  { key: "closes_at", label: "Closed", text: (value) => shortTime(instant(value)), isHead: true },
  { key: "kind", label: "Event", text: (value) => WORDS[value] ?? DASH, isWord: true, minor: true },
  { key: "settlement_value", label: "Settled at", text: (value) => (isNumber(value) ? priceText(value) : "awaited") },
  { key: "contract", label: "Most open", text: (value) => value ?? DASH, minor: true },
  { key: "model", label: "Model %", text: said },
  { key: "market", label: "Market %", text: said },
  { key: "result", label: "Was", text: (value) => value ?? DASH, isWord: true },
  { key: "model_brier", label: "Model score", text: score },
  { key: "market_brier", label: "Market score", text: score },
  { key: "profit", label: "Profit $", text: (value) => (isNumber(value) ? signed(value) : ""), minor: true },
];

let symbol = null;
let readAt = null;
let every = EVERY;
let isLoading = false;
let open = new Set();

export function startPastEvents() {
  byId("events").tHead.append(
    element("tr", {}, ...COLUMNS.map((column) => element("th", { scope: "col", ...attributes(column) }, column.label))),
  );
}

function attributes({ key, minor, isWord }) {
  const names = [minor ? "minor" : "", isWord ? "word" : ""].filter(Boolean).join(" ");
  return { "data-key": key, class: names || null };
}

export function clearPastEvents() {
  [symbol, readAt, every, open] = [null, null, EVERY, new Set()];
  setAttribute(byId("panel"), "data-events", null);
  show(null);
}

/** Reads them where it is time: at first, now and then, and soon after an event has closed. */
export async function readPastEvents(tick) {
  if (tick.symbol !== symbol) {
    clearPastEvents();
    symbol = tick.symbol;
  }
  const now = new Set((tick.contracts?.contracts ?? []).map((row) => row.event_ticker));
  if (readAt !== null && [...open].some((ticker) => !now.has(ticker))) every = Math.min(every, since(readAt) + SETTLED);
  open = now;
  if (isLoading || (readAt !== null && since(readAt) < every)) return;
  isLoading = true;
  readAt = mark();
  const asked = symbol;
  let answer = null;
  let reason = null;
  try {
    answer = await getJson(`/api/events/${encodeURIComponent(asked)}?most=${MOST}`);
  } catch (error) {
    reason = error.message;
  }
  isLoading = false;
  if (asked !== symbol) return;
  every = answer ? EVERY : RETRY;
  setAttribute(byId("panel"), "data-events", answer ? null : "unread");
  setText(byId("events-hint"), answer ? `Chances ${BEFORE} min before, of the contract that was most open.` : `They cannot be read: ${reason}. Trying again.`);
  if (answer) show(answer);
  else byId("events-card").hidden = false;
}

/** The event as its row: what was said so many minutes before. */
function valuesOf(event) {
  const then = event.scores.find((each) => each.minutes === BEFORE) ?? {};
  const closest = then.closest ?? null;
  return {
    ...event,
    contract: closest?.contract ?? null,
    model: closest?.model_probability ?? null,
    market: closest?.market_probability ?? null,
    result: closest?.result ?? null,
    model_brier: then.model_brier ?? null,
    market_brier: then.market_brier ?? null,
  };
}

function show(answer) {
  const rows = (answer?.events ?? []).map(valuesOf);
  byId("events-card").hidden = rows.length === 0;
  byId("events").tBodies[0].replaceChildren(...rows.map(makeRow));
  setText(byId("events-summary"), summary(rows));
  showProfit(answer?.days ?? []);
}

function makeRow(values) {
  const nearer = isNumber(values.model_brier) && isNumber(values.market_brier) ? values.model_brier - values.market_brier : 0;
  const best = nearer < 0 ? "model_brier" : nearer > 0 ? "market_brier" : null;
  const cells = COLUMNS.map((column) => {
    const head = column.isHead ? { scope: "row" } : {};
    const cell = element(column.isHead ? "th" : "td", { ...attributes(column), ...head });
    setValue(cell, column.text(values[column.key]), values[column.key]);
    if (column.key === best) setAttribute(cell, "data-best", "true");
    if (column.key === "profit" && isNumber(values.profit) && values.profit !== 0) {
      setAttribute(cell, "data-sign", values.profit > 0 ? "up" : "down");
    }
    return cell;
  });
  return element("tr", { "data-event": values.event_ticker, title: values.title }, ...cells);
}

function summary(rows) {
  const both = rows.filter((row) => isNumber(row.model_brier) && isNumber(row.market_brier));
  if (both.length === 0) return "";
  const mean = (key) => both.reduce((sum, row) => sum + row[key], 0) / both.length;
  const nearer = both.filter((row) => row.model_brier < row.market_brier).length;
  return (
    `Mean score of ${grouped(both.length)} ${both.length === 1 ? "event" : "events"}: ` +
    `model ${score(mean("model_brier"))}, market ${score(mean("market_brier"))}; lower is better. ` +
    `The model was nearer in ${grouped(nearer)}.`
  );
}
