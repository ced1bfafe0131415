// Note above the ladder, where the model or settlement is not the default one.

/**
 * A sentence, or nothing. A tick that stands in keeps to its method, so nearest was asked for by name;
 * the average is the default of what Kalshi settles.
 */
export function standIn(live, eventTicker) {
  if (live?.method !== "linear") return "";
  const parts = [];
  if (live.model !== "volatility") parts.push(`${live.model} answers, not the default volatility`);
  if (live.settlement === "close" && eventTicker) {
    parts.push("the close answers, not the average that settles");
  }
  const text = parts.join("; ");
  return text && `${text[0].toUpperCase()}${text.slice(1)}.`;
}
