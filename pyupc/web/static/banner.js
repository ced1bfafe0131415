// The line above everything: calm while all is well, and impossible to miss when it is not.

import { announce, byId, setAttribute, setText } from "/static/dom.js";
import { ageText, isNumber } from "/static/format.js";
import { greyOut } from "/static/grey_out.js";

const FEEDS = {
  simulated: ["SIMULATED", "made-up prices, not the market"],
  replay: ["REPLAY", "stored prices, not the market now"],
};

export const isMadeUp = (feed) => feed in FEEDS;

let shown = "";

/** verdict: what judge returned. age: of the newest tick, seconds, or null. */
export function showVerdict(verdict, { symbol, age, tick }) {
  const { level, reasons } = verdict;
  greyOut(level);
  const [first, ...others] = reasons;
  const key = `${symbol} ${reasons.map((reason) => reason.code + reason.text).join(" ")}`;

  // Once per change: an alert that speaks every second is switched off by whoever has to listen.
  if (key !== shown) {
    if (first) {
      setText(byId("banner-title"), `${symbol ? `${symbol}: ` : ""}${first.title}.`);
      const more = others.map((reason) => `${reason.title}.`).join(" ");
      setText(byId("banner-text"), more ? `${first.text} ${more}` : first.text);
    } else if (level === "fresh" && !byId("banner").hidden) {
      announce(`${symbol}: live again`);
    }
    byId("banner").hidden = !first;
    byId("calm").hidden = Boolean(first);
    shown = key;
  }
  setAttribute(byId("banner"), "data-reasons", first ? reasons.map((r) => r.code).join(" ") : null);
  setText(byId("banner-age"), first && isNumber(age) && age >= 2 ? `last tick ${ageText(age)} ago` : "");
  setText(byId("calm-text"), calmText(level, tick));
}

function calmText(level, tick) {
  if (level !== "fresh") return "Connecting";
  const every = tick.interval_seconds;
  const word = FEEDS[tick.strike_table.feed]?.[0] ?? "Live";
  return `${word}: a tick every ${every === 1 ? "second" : `${every} s`}`;
}

/** A feed that is no market says so in words, wherever one looks. */
export function showFeed(tick) {
  const label = byId("feed-label");
  const feed = tick?.strike_table.feed;
  const words = FEEDS[feed];
  setAttribute(document.body, "data-feed", feed);
  label.hidden = !words;
  if (!words) return;
  const at = tick.strike_table.market_at;
  const of = feed === "replay" && at ? ` (${at.slice(0, 16).replace("T", " ")} UTC)` : "";
  setText(label, `${words[0]}: ${words[1]}${of}`);
}

export function showTitle(symbol, price, level, feed) {
  const parts = [];
  if (level === "old") parts.push("⚠ OLD");
  if (level === "warn") parts.push("⚠ LATE");
  if (feed === "simulated") parts.push("[sim]");
  if (feed === "replay") parts.push("[replay]");
  if (price) parts.push(price);
  if (symbol) parts.push(symbol);
  const title = parts.length > 0 ? `${parts.join(" ")} · pyupc` : "pyupc";
  if (document.title !== title) document.title = title;
}
