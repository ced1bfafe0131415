// The strikes of the hourly event as the strike table has them: the rows of two documents as one.

/** Descending by strike. */
export function strikeRows(tick) {
  const moves = new Map(
    tick.live_probabilities.probabilities.map((row) => [row.strike, row.move_percent]),
  );
  return tick.strike_table.strikes
    .map((row) => ({ ...row, move_percent: moves.get(row.strike) ?? null }))
    .sort((one, other) => other.strike - one.strike);
}
