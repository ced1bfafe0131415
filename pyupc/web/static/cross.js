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

/** The seconds that decide: the mean of the last minute's 60 values moves as after 20.5 of them. */
function open(tick, seconds) {
  const isAverage = tick.live_probabilities.settlement === "average";
  return isAverage && seconds >= 60 ? seconds - 60 + (61 * 121) / 360 : seconds;
}

/** What a move in percent is divided by on the map; null where the forecast is not known. */
function unitOf(grid, tick) {
  if (grid.unit !== "deviations") return 1;
  const { volatility, ttc_seconds: seconds } = tick.live_probabilities;
  if (!isNumber(volatility) || !isNumber(seconds) || !(volatility > 0)) return null;
  return volatility * Math.sqrt(open(tick, seconds) / seconds);
}

/**
 * The cell that is read, and the exact place: a strike above the price is asked for on the side of
 * the rising moves, one at or below it on the other. null where anything is not known.
 */
export function standing(grid, { tick, strike, seconds }) {
  const price = tick?.strike_table.current_price;
  // Where the ladder has no probabilities there is none here.
  if (!tick?.strike_table.strikes.some((row) => isNumber(row.prob_above))) return null;
  if (!isNumber(price) || !isNumber(strike) || !isNumber(seconds)) return null;
  const isAbove = strike > price;
  const move = (100 * (strike - price)) / price;
  const unit = unitOf(grid, tick);
  if (unit === null) return null;
  const left = open(tick, seconds);
  const first = grid.columns.findIndex((name) => name.startsWith("pos"));
  const [from, to] = isAbove ? [first, grid.moves.length] : [0, first];
  if (first < 0 || to <= from) return null;
  // From no move outward, so that a tie goes to the smaller move, as the lookup has it.
  const side = grid.moves.slice(from, to).map(Math.abs);
  const outward = isAbove ? side : side.toReversed();
  const step = nearest(outward, Math.abs(move) / unit);
  const column = isAbove ? first + step : first - 1 - step;
  const exact = between(outward, Math.abs(move) / unit);
  const row = nearest(grid.minutes, left / 60);
  return {
    move,
    row,
    minutes: grid.minutes[row],
    column: grid.moves[column],
    name: grid.columns[column],
    value: grid.matrix[row][column],
    x: isAbove ? first + exact : first - 1 - exact,
    y: between(grid.minutes, left / 60),
    minutesNow: seconds / 60,
    cell: [column, row],
  };
}

/** Lies over the chart: drawing 7,200 cells again each second for two lines would be a waste. */
export function placeCross(chart, grid, place) {
  const cross = byId("cross");
  const told = { minutes: place?.minutesNow.toFixed(2), move: place?.move.toFixed(4), row: place?.minutes, column: place?.name };
  for (const [key, value] of Object.entries(told)) {
    setAttribute(cross, `data-${key}`, value ?? null);
  }
  const corners = [[0, 0], [grid ? grid.moves.length - 1 : 0, grid ? grid.minutes.length - 1 : 0]];
  const ends = place && corners.map((corner) => chart.pixel(corner));
  const isShown = Boolean(ends) && ends.flat().every(Number.isFinite);
  cross.hidden = !isShown || byId("heatmap").classList.contains("empty");
  if (cross.hidden) return;
  const [[left, bottom], [right, top]] = ends;
  const width = (right - left) / (grid.moves.length - 1);
  const height = (bottom - top) / (grid.minutes.length - 1);
  const holder = byId("heatmap");
  const set = (node, properties) => Object.assign(node.style, properties);
  set(cross, {
    left: `${holder.offsetLeft + left - width / 2}px`,
    top: `${holder.offsetTop + top - height / 2}px`,
    width: `${right - left + width}px`,
    height: `${bottom - top + height}px`,
  });
  const x = (step) => (step + 0.5) * width;
  const y = (step) => bottom - top + (0.5 - step) * height;
  const [column, row] = place.cell;
  set(cross.querySelector(".down"), { transform: `translateX(${x(place.x)}px)` });
  set(cross.querySelector(".across"), { transform: `translateY(${y(place.y)}px)` });
  set(cross.querySelector("b"), {
    transform: `translate(${x(column) - width / 2}px, ${y(row) - height / 2}px)`,
    width: `${width}px`,
    height: `${height}px`,
  });
}
