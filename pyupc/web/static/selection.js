// The sentence below the ladder: the row that is looked at, with all its digits.

import { edgesText } from "/static/edge.js";
import { dollars, fixed, grouped, isNumber, priceDecimals, signed } from "/static/format.js";

export function selectionText(row, isChosen) {
  if (!row) return "";
  const parts = [`chance ${fixed(row.probability)} % (${fixed(row.prob_low)} to ${fixed(row.prob_high)})`];
  for (const side of ["yes", "no"]) {
    const ask = row[`${side}_ask`];
    if (isNumber(ask)) parts.push(`${side} ${dollars(ask)} $${offeredText(row[`${side}_ask_size`])}`);
  }
  parts.push(edgesText(row) + surelyText(row));
  if (isNumber(row.buffer)) {
    parts.push(`buffer ${fixed(row.buffer, priceDecimals(row.strike))} $ or ${fixed(row.move_percent)} %`);
  }
  if (isNumber(row.volume)) parts.push(`${grouped(row.volume, 0, 2)} traded`);
  if (isNumber(row.sample_size)) parts.push(`${grouped(row.sample_size)} starting minutes`);
  if (row.isWatched) parts.push("on the watchlist");
  if (row.ticker) parts.push(row.ticker);
  return `${isChosen ? "Selected" : "Nearest"} ${row.label}: ${parts.join(", ")}`;
}

const offeredText = (size) => (isNumber(size) ? ` × ${grouped(size, 0, 2)}` : "");

/** The low ends of the edges, where there are any. */
function surelyText({ yes_edge_low: yes, no_edge_low: no }) {
  const found = [
    isNumber(yes) ? `yes ${signed(yes)}` : null,
    isNumber(no) ? `no ${signed(no)}` : null,
  ].filter(Boolean);
  return found.length > 0 ? ` (at least ${found.join(", ")})` : "";
}
