// Judges how far the numbers may be trusted, and says why not; it does not touch the page.

import { SILENCE_LIMIT } from "/static/stream.js";

/** Without a new tick for so many seconds, ticks have stopped. */
export const tickLimit = (interval) => Math.max(3, 3 * (interval > 0 ? interval : 1));

const PRICE = {
  warn: ["Price is late", "It is older than it should be (warn)."],
  stale: ["Price is stale", "No edges and no watchlist until it moves again."],
  halted: ["Price has halted", "No probabilities until prices come in again."],
};
const QUOTES = {
  warn: ["Quotes are late", "Asks are older than they should be (warn)."],
  stale: ["Quotes are stale", "No edges and no watchlist until they are read again."],
  halted: ["Quotes have halted", "Asks are old; there are no edges."],
};

function stateReason(words, code, state) {
  const [title, text] = words[state] ?? [
    `${code === "price" ? "Price" : "Quote"} state is unknown`,
    "The numbers cannot be trusted.",
  ];
  return { code: `${code}-${state ?? "unknown"}`, title, text, level: state === "warn" ? "warn" : "old" };
}

/** The server's words, which begin small as in an error, as a sentence. */
const sentence = (text) => {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
};

/**
 * link: {silence, hasFailed, hasHeard}. tick: the newest tick or null. pulse: the newest pulse
 * after it, or null. age: of the tick, seconds.
 * Returns {level, reasons}: level is none (nothing to judge yet), fresh, warn or old.
 */
export function judge({ link, tick, pulse, age }) {
  const reasons = [];
  const isLost = link.hasFailed || link.silence > SILENCE_LIMIT;
  const add = (code, title, text, level = "old") => reasons.push({ code, title, text, level });

  if (isLost) {
    add("disconnected", "Disconnected", "pyupc does not answer this page. Trying again.");
  }
  if (!isLost && pulse?.database === "lost") {
    add("database", "Database lost", sentence(pulse.problem || "the database does not answer"));
  }
  if (tick === null) {
    if (!isLost && link.hasHeard && pulse && pulse.tick_id === null) {
      add("no-tick", "No tick yet", "Nothing ticks this symbol: start pyupc tick.");
    }
    return { level: reasons.length > 0 ? "old" : "none", reasons };
  }

  if (age > tickLimit(tick.interval_seconds)) {
    add("ticks-stopped", "Ticks have stopped", "The numbers below are old.");
  }
  const { state, quote_state: quotes } = tick.strike_table;
  if (state !== "fresh") {
    reasons.push(stateReason(PRICE, "price", state));
  }
  // Without an event there are no quotes to be old.
  if (quotes !== null && quotes !== undefined && quotes !== "fresh") {
    reasons.push(stateReason(QUOTES, "quotes", quotes));
  }
  const problem = pulse?.problem ?? tick.problem;
  if (!isLost && problem && pulse?.database !== "lost") {
    add("problem", "pyupc reports a problem", sentence(problem), "warn");
  }
  const isOld = reasons.some((reason) => reason.level === "old");
  return { level: isOld ? "old" : reasons.length > 0 ? "warn" : "fresh", reasons };
}
