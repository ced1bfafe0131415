// The events of a tick in their order of time, each with its contracts as rows of the ladder.

import { instant } from "/static/clock.js";
import { isNumber, strikeText } from "/static/format.js";
import { strikeRows } from "/static/strike_rows.js";

const HOUR = 3600;

/**
 * {id, label, kind, ticker, series, closes, rows}: id is the same for the events that follow one
 * another, so that a tab stays chosen; closes in seconds since 1970.
 *
 * Without contracts, as in a replay, the strike table stands in for the hourly event.
 */
export function eventsOf(tick) {
  if (tick === null) return [];
  const events = new Map();
  for (const contract of tick.contracts?.contracts ?? []) {
    const ticker = contract.event_ticker;
    if (!events.has(ticker)) events.set(ticker, newEvent(contract));
    events.get(ticker).rows.push(contractRow(contract));
  }
  const found = [...events.values()];
  const table = tick.strike_table;
  const hourly = found.find((event) => event.ticker === table.event_ticker);
  if (hourly) addStrikes(hourly, tick);
  else found.push(tableEvent(tick));
  found.sort((one, other) => one.closes - other.closes || order(one) - order(other));
  for (const event of found) event.rows.sort((one, other) => other.strike - one.strike);
  return named(found, hourly);
}

function newEvent(contract) {
  return {
    kind: contract.kind,
    ticker: contract.event_ticker,
    series: contract.series,
    closes: instant(contract.closes_at),
    seconds: contract.ttc_seconds,
    rows: [],
  };
}

/** strike is what a row is called by within its event: the lower bound, 0 where there is none. */
function contractRow(contract) {
  return { ...contract, strike: contract.lower ?? 0, label: boundsText(contract) };
}

export function boundsText({ kind, lower, upper }) {
  if (!isNumber(lower) && !isNumber(upper)) return "awaited";
  if (!isNumber(upper)) return kind === "above" ? strikeText(lower) : `≥ ${strikeText(lower)}`;
  if (!isNumber(lower)) return `< ${strikeText(upper)}`;
  return `${strikeText(lower)}–${strikeText(upper)}`;
}

/** What only the strike table knows of the hourly event. */
function addStrikes(event, tick) {
  const known = new Map(strikeRows(tick).map((row) => [row.strike, row]));
  const watched = new Set(tick.watchlist.strikes.map((row) => row.strike));
  for (const row of event.rows) {
    const more = known.get(row.strike);
    if (!more) continue;
    row.buffer = more.buffer;
    row.move_percent = more.move_percent;
    row.sample_size = more.sample_size;
    row.isWatched = watched.has(row.strike);
  }
}

const dollars = (text) => (text === null || text === undefined ? null : Number(text));

function tableEvent(tick) {
  const table = tick.strike_table;
  const live = tick.live_probabilities;
  const watched = new Set(tick.watchlist.strikes.map((row) => row.strike));
  return {
    kind: "above",
    ticker: table.event_ticker,
    series: null,
    closes: closeOf(instant(table.market_at) + live.ttc_seconds),
    seconds: live.ttc_seconds,
    rows: strikeRows(tick).map((row) => ({
      ...row,
      label: strikeText(row.strike),
      lower: row.strike,
      upper: null,
      probability: row.prob_above,
      yes_bid: dollars(row.yes_bid_dollars),
      yes_ask: dollars(row.yes_ask_dollars),
      no_bid: dollars(row.no_bid_dollars),
      no_ask: dollars(row.no_ask_dollars),
      isWatched: watched.has(row.strike),
    })),
  };
}

/** The seconds to the close are rounded down, so the close itself is rounded to the minute. */
const closeOf = (seconds) => Math.round(seconds / 60) * 60;

const order = (event) => ["updown", "above", "range"].indexOf(event.kind);

const WORDS = { updown: "15 min", range: "Range", above: "Hour" };

function named(events, hourly) {
  const taken = new Map();
  return events.map((event) => {
    const isLong = event.kind === "above" && event !== hourly && event.seconds > HOUR;
    const label = isLong ? "Day" : (WORDS[event.kind] ?? event.kind);
    const count = (taken.get(label) ?? 0) + 1;
    taken.set(label, count);
    const id = label.toLowerCase().replace(" ", "") + (count > 1 ? `-${count}` : "");
    return { ...event, label, id };
  });
}

/** The chosen event, else the hourly one, else the first. */
export function eventOf(events, id) {
  return (
    events.find((event) => event.id === id) ??
    events.find((event) => event.id === "hour") ??
    events[0] ??
    null
  );
}

/** The row nearest to the price: that whose bounds hold it, or whose strike is nearest. */
export function nearestRow(event, price) {
  const distance = ({ lower, upper }) => {
    if (isNumber(upper) && price < upper && price >= (lower ?? 0)) return -1;
    return Math.min(...[lower, upper].filter(isNumber).map((bound) => Math.abs(bound - price)));
  };
  let best = null;
  for (const row of event?.rows ?? []) {
    if (best === null || distance(row) < distance(best)) best = row;
  }
  return best;
}
