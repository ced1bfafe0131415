// The line above the ladder: when the event closes, how long that is, and where it is traded.

import { instant } from "/static/clock.js";
import { byId, setAttribute, setText } from "/static/dom.js";
import { countdown } from "/static/format.js";
import { marketLink } from "/static/links.js";
import { closeTimes } from "/static/times.js";

let closes = null;

export function showEvent(event) {
  closes = event?.closes ?? null;
  setText(byId("event-closes"), event ? closeTimes(event.closes) : "");
  const link = event ? marketLink(event.series, event.ticker) : null;
  byId("event-link").hidden = link === null;
  setAttribute(byId("event-link"), "href", link);
}

export function showEventClock(tick, age) {
  const now = tick ? instant(tick.strike_table.market_at) + age : NaN;
  const left = closes === null ? NaN : closes - now;
  setText(byId("event-left"), Number.isFinite(left) ? `${countdown(left)} left` : "");
}
