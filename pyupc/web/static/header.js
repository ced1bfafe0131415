// The numbers above the ladder: price, time to the close, momentum, event and model.

import { byId, setAttribute, setText, setValue } from "/static/dom.js";
import { instant } from "/static/clock.js";
import { ageText, countdown, DASH, fixed, isNumber, priceText, signed } from "/static/format.js";
import { standIn } from "/static/stand_in.js";
import { closeTimes } from "/static/times.js";

const DELTAS = ["1m", "2m", "3m", "4m", "15m", "30m"];
const WORDS = ["event-title", "event-ticker", "event-status", "model", "method", "settlement"];

/** Without a colour: a price that falls is no loss. */
function setSigned(node, value, decimals) {
  setValue(node, signed(value, decimals), value);
}

/** Everything that changes with a tick; null empties it, as when the symbol has just changed. */
export function showHeader(tick) {
  const live = tick?.live_probabilities ?? {};
  const table = tick?.strike_table ?? {};
  setValue(byId("price"), priceText(table.current_price), table.current_price);
  setSigned(byId("momentum"), live.momentum_bps, 2);
  for (const name of DELTAS) {
    setSigned(byId(`delta-${name}`), table.momentum?.deltas?.[`delta_${name}`], 3);
  }
  const words = {
    "event-title": table.market_title,
    "event-ticker": table.event_ticker,
    "event-status": table.market_status,
    model: live.model,
    method: live.method,
    settlement: live.settlement,
  };
  for (const id of WORDS) {
    setText(byId(id), words[id] ?? (tick && id === "event-title" ? "no event" : DASH));
  }
  const volatility = live.volatility;
  setValue(
    byId("volatility"),
    isNumber(volatility) ? `${fixed(volatility, 3)} %` : DASH,
    volatility,
  );
  setText(byId("feed"), table.feed ?? DASH);
  setState("state", table.state);
  setState("quote-state", table.quote_state);
  setText(byId("fingerprint"), live.fingerprint ?? DASH);
  setText(byId("stand-in"), standIn(live, table.event_ticker));
  setText(byId("closes-at"), closeText(table, live));
}

function setState(id, state) {
  setText(byId(id), state ?? DASH);
  setAttribute(byId(id), "data-state", state);
}

function closeText(table, live) {
  // The seconds to the close are rounded down, so the close itself is rounded to the minute.
  return closeTimes(60 * Math.round((instant(table.market_at) + live.ttc_seconds) / 60));
}

/**
 * Whole seconds to the close now. The document's are rounded down at its own instant, which says
 * how much was lost by that; so the count goes on without a jump when the next tick comes.
 */
export function secondsToClose(tick, age) {
  const told = tick.live_probabilities.ttc_seconds;
  if (!isNumber(told)) return null;
  const at = instant(tick.live_probabilities.market_at);
  const lost = Number.isFinite(at) && at % 1 > 0 ? 1 - (at % 1) : 0;
  return Math.max(0, Math.floor(told + lost - age));
}

/** What goes on between the ticks. */
export function showClocks(tick, age) {
  const seconds = tick ? secondsToClose(tick, age) : null;
  setValue(byId("ttc"), countdown(seconds), seconds);
  // How old the price was for the tick, and what has gone since.
  const price = (tick?.price_age_seconds ?? 0) + age;
  setText(byId("price-age"), tick ? `${ageText(price)} old` : "");
  const read = tick ? instant(tick.strike_table.quotes_read_at) : NaN;
  const quotes = instant(tick?.strike_table.market_at) - read + age;
  setText(byId("quotes-age"), Number.isFinite(quotes) ? `${ageText(quotes)} ago` : DASH);
}
