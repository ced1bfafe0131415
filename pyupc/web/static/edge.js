// Why there is no edge, in words that fit a cell, and in a sentence.

import { isNumber, signed } from "/static/format.js";

const REASONS = {
  closed: ["closed", "The market has closed."],
  paused: ["paused", "The market is not traded now."],
  price_stale: ["old price", "The price is too old to trade on."],
  source_left_out: ["source", "The price is not of a source that settles this contract."],
  quotes_stale: ["old ask", "The asks are too old to trade on."],
  awaiting_strike: ["no strike", "The strike is not known yet."],
  rules_unclear: ["unclear", "The rules do not say clearly what settles this contract."],
  no_model: ["no model", "Nothing gives a probability."],
  last_minute: ["last min", "The average of the last minute decides, and what has passed of it was not seen."],
  no_offer: ["no offer", "Nobody offers this side."],
};

/** The reason of a row that has none is that nobody offers the one side. */
function reason(value, rowReason) {
  if (value !== null && value !== undefined) return null;
  return REASONS[rowReason ?? "no_offer"] ?? [rowReason, rowReason];
}

export const edgeText = (value, rowReason, decimals = 2) =>
  reason(value, rowReason)?.[0] ?? signed(value, decimals);

export const edgeSentence = (value, rowReason) => reason(value, rowReason)?.[1] ?? null;

/** The side of a row with the surer edge; null where neither has one. */
export function bestSide(row) {
  const sides = ["yes", "no"]
    .filter((side) => isNumber(row[`${side}_edge`]))
    .map((side) => ({
      name: side === "yes" ? "Yes" : "No",
      ask: row[`${side}_ask`],
      edge: row[`${side}_edge`],
      low: row[`${side}_edge_low`] ?? null,
    }));
  const sure = ({ low, edge }) => low ?? edge;
  return sides.sort((one, other) => sure(other) - sure(one))[0] ?? null;
}

/** Both edges of a row in half a sentence. */
export function edgesText({ yes_edge: yes, no_edge: no, edge_reason: rowReason }) {
  const [yesReason, noReason] = [reason(yes, rowReason), reason(no, rowReason)];
  if (yesReason && noReason) return `no edge (${yesReason[0]})`;
  const text = (value, why) => (why ? `(${why[0]})` : signed(value));
  return `edge yes ${text(yes, yesReason)}, no ${text(no, noReason)}`;
}
