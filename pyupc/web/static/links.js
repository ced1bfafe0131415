// Ways out of the page: a market at Kalshi, and the line that records a trade.

import { announce } from "/static/dom.js";

/** Page of an event at Kalshi; null without a name that an address can hold, or of a simulated one. */
export function marketLink(series, eventTicker) {
  if (series?.startsWith("SIM")) return null;
  if (!/^[\w.-]+$/.test(series ?? "") || !/^[\w.-]+$/.test(eventTicker ?? "")) return null;
  return `https://kalshi.com/markets/${series.toLowerCase()}/${eventTicker.toLowerCase()}`;
}

/** True once it is on the clipboard, which a page that is not secure has no right to. */
export async function copyLine(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!copyByHand(text)) {
      announce("It could not be copied");
      return false;
    }
  }
  announce(`Copied: ${text}`);
  return true;
}

function copyByHand(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "hidden-text";
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
  }
}
