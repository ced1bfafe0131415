// The log of the last hour, read once, and carried on from the stream.

import { getJson } from "/static/api.js";
import { isMadeUp } from "/static/banner.js";
import { instant, mark, since } from "/static/clock.js";
import { isNumber } from "/static/format.js";

export const SPAN = 3600;
// Seconds from point to point of the price; contracts are logged once a minute.
export const STEP = 10;
const MINUTE = 60;
// Contracts of one request.
const MOST = 50;
const RETRY = 2;
// Gaps are read again, but not at every tick.
const AGAIN = 60;

const stepOf = (at, length) => Math.floor(at / length);
const made = (feed) => (isMadeUp(feed) ? feed : "market");

const empty = () => ({ prices: [], contracts: new Map(), trades: new Map() });

let symbol = null;
let known = empty();
// Events that were read in this connection, and those whose contracts are carried on.
let read = new Set();
let followed = new Set();
let minute = null;
let connection = null;
let lastId = null;
let isTorn = false;
let isLoading = false;
let readAt = null;
let failedAt = null;
let problem = null;
let onChange = () => {};

/** change(): what is known has changed otherwise than by a tick. */
export function startHistory(change) {
  onChange = change;
}

/** Of another symbol, or of none yet. */
export function clearHistory() {
  symbol = null;
  known = empty();
  [read, followed] = [new Set(), new Set()];
  [connection, lastId, minute, readAt, failedAt, problem, isTorn] = [null, null, null, null, null, null, false];
}

/** {at, price}, the oldest first, at in seconds since 1970. */
export const prices = () => known.prices;

/** {at, probability, low, high, bid, ask} of a contract, in percent. */
export const contractHistory = (ticker) => known.contracts.get(ticker) ?? [];

/** {id, side, label, at, ended, isHeld}. */
export const trades = () => [...known.trades.values()];

/** Why the log cannot be read; null where it was. */
export const historyProblem = () => problem;

/** Takes up a tick, and asks for the log where that does not carry on what is known. */
export function carryOn(tick, event, connectionNow) {
  if (tick.symbol !== symbol) {
    clearHistory();
    symbol = tick.symbol;
  }
  if (connectionNow !== connection) {
    connection = connectionNow;
    read = new Set();
  } else if (tick.tick_id > lastId + 1) {
    isTorn = true;
  }
  lastId = tick.tick_id;
  addTick(tick);
  const isUnread = !read.has(event?.ticker ?? "");
  const isDue = isTorn && (readAt === null || since(readAt) > AGAIN);
  const mayAsk = failedAt === null || since(failedAt) > RETRY;
  if ((isUnread || isDue) && !isLoading && mayAsk) load(tick, event);
}

function addTick(tick) {
  const at = instant(tick.ticked_at);
  const price = tick.strike_table.current_price;
  push(known.prices, { at, price: isNumber(price) ? price : null }, STEP);
  if (tick.contracts && stepOf(at, MINUTE) !== minute) {
    minute = stepOf(at, MINUTE);
    addContracts(tick.contracts.contracts, at);
  }
  addTrades(tick.active_trades.active_trades);
}

/** Contracts are logged by the first tick of a minute. */
function addContracts(rows, at) {
  const open = new Set(rows.map((row) => row.ticker));
  for (const ticker of known.contracts.keys()) {
    if (!open.has(ticker)) known.contracts.delete(ticker);
  }
  for (const row of rows) {
    if (!followed.has(row.event_ticker) || !hasQuote(row)) continue;
    if (!known.contracts.has(row.ticker)) known.contracts.set(row.ticker, []);
    push(known.contracts.get(row.ticker), contractPoint(at, row), MINUTE);
  }
}

/** The first one of every step, as in the log. */
function push(points, point, length) {
  const last = points.at(-1);
  if (last && stepOf(last.at, length) >= stepOf(point.at, length)) return;
  points.push(point);
  while (points[0].at < point.at - SPAN) points.shift();
}

const hasQuote = (row) => [row.yes_bid, row.yes_ask, row.no_bid, row.no_ask].some(isNumber);
const cents = (dollars) => (isNumber(dollars) ? 100 * dollars : null);

function contractPoint(at, row) {
  const [bid, ask] = [cents(row.yes_bid), cents(row.yes_ask)];
  const [low, high] = [row.prob_low ?? null, row.prob_high ?? null];
  return { at, probability: row.probability ?? null, low, high, bid, ask };
}

function addTrades(held) {
  const ids = new Set(held.map((trade) => trade.id));
  for (const trade of held) {
    known.trades.set(trade.id, {
      id: trade.id,
      side: trade.contract_side,
      label: trade.strike,
      at: instant(trade.opened_at),
      ended: null,
      isHeld: true,
    });
  }
  // When and how it has ended is in the log.
  for (const trade of known.trades.values()) {
    if (trade.isHeld && !ids.has(trade.id)) {
      trade.isHeld = false;
      isTorn = true;
    }
  }
}

/** Contracts around the price, as many as one request may name. */
function tickersOf(event, price) {
  const rows = (event?.rows ?? []).filter((row) => row.ticker);
  const distance = (row) => Math.abs((row.lower ?? row.upper ?? 0) - price);
  const near = rows.toSorted((one, other) => distance(one) - distance(other));
  return near.slice(0, MOST).map((row) => row.ticker);
}

async function load(tick, event) {
  const asked = { symbol, connection };
  isLoading = true;
  // Later ticks are carried on, whatever the answer has of it.
  followed.add(event?.ticker ?? "");
  const names = tickersOf(event, tick.strike_table.current_price).map(
    (ticker) => `&ticker=${encodeURIComponent(ticker)}`,
  );
  const path = `/api/history/${encodeURIComponent(symbol)}?every=${STEP}${names.join("")}`;
  let answer = null;
  let reason = null;
  try {
    answer = await getJson(path);
  } catch (error) {
    reason = error.message;
  }
  isLoading = false;
  // Of another symbol, or of a connection that has gone since: the next tick asks again.
  if (asked.symbol !== symbol || asked.connection !== connection) return;
  failedAt = answer ? null : mark();
  problem = reason;
  if (answer) {
    readAt = mark();
    isTorn = false;
    read.add(event?.ticker ?? "");
    takeUp(answer, tick.strike_table.feed);
  }
  onChange();
}

function takeUp(answer, feed) {
  const { ticks, contracts } = answer;
  const logged = ticks.at
    .map((text, place) => ({ at: instant(text), price: ticks.price[place], feed: ticks.feed[place] }))
    .filter((point) => made(point.feed) === made(feed))
    .map(({ at, price }) => ({ at, price }));
  known.prices = joined(logged, known.prices, STEP);
  for (const each of contracts) {
    const points = each.at.map((text, place) =>
      contractPoint(
        instant(text),
        Object.fromEntries(
          ["probability", "prob_low", "prob_high", "yes_bid", "yes_ask"].map((key) => [key, each[key]?.[place]]),
        ),
      ),
    );
    known.contracts.set(each.ticker, joined(points, contractHistory(each.ticker), MINUTE));
  }
  for (const trade of answer.trades ?? []) {
    known.trades.set(trade.id, {
      id: trade.id,
      side: trade.side,
      label: trade.contract,
      at: instant(trade.opened_at),
      ended: trade.ended_at === null ? null : instant(trade.ended_at),
      isHeld: trade.ended_at === null,
    });
  }
}

/** The log, and what has come since. */
function joined(logged, seen, length) {
  const last = logged.length > 0 ? stepOf(logged.at(-1).at, length) : -Infinity;
  return [...logged, ...seen.filter((point) => stepOf(point.at, length) > last)];
}
