// Where the market stands on a fingerprint, and the cross that shows it.

import { byId, setAttribute } from "/static/dom.js";
import { isNumber } from "/static/format.js";

/** The place of the nearest number; the first one on a tie. */
function nearest(numbers, wanted) {
  let best = 0;
  numbers.forEach((number, place) => {
    if (Math.abs(number - wanted) < Math.abs(numbers[best] - wanted) - 1e-9) best = place;
  });
  return best;
}

/** Where between the places of rising numbers something is, clamped to the ends. */
function between(numbers, wanted) {
  if (wanted <= numbers[0]) return 0;
  for (let place = 1; place < numbers.length; place += 1) {
    if (wanted <= numbers[place]) {
      const step = numbers[place] - numbers[place - 1];
      return step > 0 ? place - 1 + (wanted - numbers[place - 1]) / step : place;
    }
  }
  return numbers.length - 1;
}

/**
 * The cell that is read, and the exact place: a strike above the price is asked for on the side of
 * the rising moves, one at or below it on the other. null where anything is not known.
 */
export function standing(grid, { tick, strike, seconds }) {
  const price = tick?.strike_table.current_price;
  if (!isNumber(price) || !isNumber(strike) || !isNumber(seconds)) return null;
  const isAbove = strike > price;
  const move = (100 * (strike - price)) / price;
  const first = grid.columns.findIndex((name) => name.startsWith("pos"));
  const [from, to] = isAbove ? [first, grid.moves.length] : [0, first];
  if (first < 0 || to <= from) return null;
  // From no move outward, so that a tie goes to the smaller move, as the lookup has it.
  const side = grid.moves.slice(from, to).map(Math.abs);
  const outward = isAbove ? side : side.toReversed();
  const step = nearest(outward, Math.abs(move));
  const column = isAbove ? first + step : first - 1 - step;
  const exact = between(outward, Math.abs(move));
  const row = nearest(grid.minutes, seconds / 60);
  return {
    move,
    row,
    minutes: grid.minutes[row],
    column: grid.moves[column],
    name: grid.columns[column],
    value: grid.matrix[row][column],
    x: isAbove ? first + exact : first - 1 - exact,
    y: between(grid.minutes, seconds / 60),
    cell: [column, row],
  };
}

/** Lies over the chart: drawing 7,200 cells again each second for two lines would be a waste. */
export function placeCross(chart, place) {
  const cross = byId("cross");
  const corner = place && chart.pixel([0, 0]);
  const next = place && chart.pixel([1, 1]);
  const isShown = Boolean(corner && next) && corner.every(Number.isFinite) && next.every(Number.isFinite);
  cross.hidden = !isShown || byId("heatmap").classList.contains("empty");
  for (const key of ["minutes", "move", "row", "column"]) {
    const value = { minutes: place?.y, move: place?.move, row: place?.minutes, column: place?.name };
    setAttribute(cross, `data-${key}`, value[key] ?? null);
  }
  if (cross.hidden) return;
  const x = (step) => corner[0] + step * (next[0] - corner[0]);
  const y = (step) => corner[1] + step * (next[1] - corner[1]);
  const set = (selector, properties) => Object.assign(cross.querySelector(selector).style, properties);
  const width = Math.abs(next[0] - corner[0]);
  const height = Math.abs(next[1] - corner[1]);
  set(".down", { transform: `translateX(${x(place.x)}px)` });
  set(".across", { transform: `translateY(${y(place.y)}px)` });
  set("b", {
    transform: `translate(${x(place.cell[0]) - width / 2}px, ${y(place.cell[1]) - height / 2}px)`,
    width: `${width}px`,
    height: `${height}px`,
  });
}
