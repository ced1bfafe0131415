// The fingerprint as a heat map of time to the close and move, with a cross where the market is.

import { mark, since } from "/static/clock.js";
import { axis, baseOption, Chart } from "/static/charts.js";
import { byId, element, setAttribute, setText } from "/static/dom.js";
import { fixed, grouped, isNumber, signed, strikeText } from "/static/format.js";
import { bucketLabel, bucketOf, getFingerprint, KEEP_FOR, listBuckets } from "/static/fingerprints.js";
import { largest, paint } from "/static/heat_image.js";
import { placeCross, standing } from "/static/cross.js";

let chart = null;
let grid = null;
let asked = null;
let askedAt = null;
let now = { symbol: null, bucket: null, tick: null, strike: null, seconds: null };
let listed = null;
let hasNoAnswer = false;

export function startHeatmap(onBucket) {
  chart = new Chart(byId("heatmap"), build, showCross);
  byId("heatmap").addEventListener("pointermove", (event) => readCell([event.offsetX, event.offsetY]));
  byId("heatmap").addEventListener("pointerleave", () => readCell(null));
  byId("bucket").addEventListener("change", (event) => onBucket(event.target.value || null));
  return chart;
}

/** bucket: the chosen one, or null for the one that answers. seconds: to the close, now. */
export function showHeatmap({ symbol, bucket, tick, strike, seconds }) {
  if (symbol !== now.symbol) {
    grid = null;
    asked = null;
    setText(byId("heatmap-name"), "");
    chart.redraw();
  }
  now = { symbol, bucket, tick, strike, seconds };
  if (symbol !== null && listed !== symbol) fillBuckets(symbol);
  const answering = bucketOf(tick?.live_probabilities.fingerprint);
  const follow = byId("bucket").querySelector('option[value=""]');
  if (follow) setText(follow, answering ? `follows: ${bucketLabel(answering)}` : "follows");
  setChoice(bucket);
  const wanted = bucket ?? answering;
  const owner = isPooled(tick) && bucket === null ? "pooled" : symbol;
  const model = tick?.live_probabilities.model === "volatility" ? "volatility" : "momentum";
  if (symbol !== null && wanted !== null) load(owner, wanted, model);
  showCross();
}

/** Whether the symbol has no history of its own: the pool of all symbols answers. */
function isPooled(tick) {
  return tick?.live_probabilities.fingerprint?.startsWith("pooled_") ?? false;
}

/** Only the cross has moved. */
export function moveCross(seconds) {
  now.seconds = seconds;
  showCross();
}

/** Tries again what no answer came to; what the server has refused it would refuse again. */
export function retryHeatmap() {
  // A build changes the curves of a page that stays open.
  if (hasNoAnswer || (askedAt !== null && since(askedAt) > KEEP_FOR)) asked = null;
  if (byId("bucket").options.length <= 1) listed = null;
}

function setChoice(bucket) {
  const select = byId("bucket");
  const value = bucket ?? "";
  // A bucket of the address that the symbol does not have is still what is asked for.
  if (value && ![...select.options].some((option) => option.value === value)) {
    select.append(element("option", { value }, bucketLabel(value)));
  }
  if (select.value !== value) select.value = value;
}

async function fillBuckets(symbol) {
  listed = symbol;
  const follow = element("option", { value: "" }, "follows");
  try {
    const buckets = await listBuckets(symbol);
    if (listed !== symbol) return;
    byId("bucket").replaceChildren(
      follow,
      ...buckets.map((bucket) => element("option", { value: bucket }, bucketLabel(bucket))),
    );
  } catch {
    if (listed === symbol) byId("bucket").replaceChildren(follow);
  }
  setChoice(now.bucket);
}

async function load(symbol, bucket, model) {
  const key = `${symbol}/${bucket}/${model}`;
  if (asked === key) return;
  asked = key;
  askedAt = mark();
  try {
    const answer = await getFingerprint(symbol, bucket, model);
    if (asked !== key) return;
    grid = answer;
    hasNoAnswer = false;
    setText(byId("heatmap-name"), answer.fingerprint);
    setText(byId("heatmap-most"), `${fixed(largest(answer.matrix), 0)} %`);
    chart.say(null);
    chart.draw();
  } catch (error) {
    if (asked !== key) return;
    hasNoAnswer = error.status === 0 || error.status >= 500;
    grid = null;
    setText(byId("heatmap-name"), "");
    setText(byId("heatmap-summary"), "");
    chart.redraw();
    chart.say(`${error.message}${error.hint ? ` ${error.hint}` : ""}`);
  }
}

function showCross() {
  const place = grid && standing(grid, now);
  placeCross(chart, grid, place);
  if (!grid) return;
  setText(byId("heatmap-summary"), place ? crossText(place) : "Where the market stands is not known.");
  setAttribute(byId("heatmap-summary"), "data-value", place?.value ?? "");
}

function crossText(place) {
  const count = grid.sample_sizes[place.row];
  return (
    `Strike ${strikeText(now.strike)} is ${signed(place.move)} % away. ` +
    `Nearest cell, ${place.minutes} min and ${moveText(place.column)}: ` +
    `a move so far or farther has ${isNumber(place.value) ? `${fixed(place.value)} %` : "no answer"}` +
    `${isNumber(count) ? `, of ${grouped(count)} starting minutes` : ""}.`
  );
}

function isStandardised() {
  return grid?.unit === "deviations";
}

/** A move in the unit of the map; σ is the forecast standard deviation. */
function moveText(move) {
  return isStandardised() ? `${signed(move)} σ` : `${signed(move)} %`;
}

/** Whatever is under the pointer; the line below the map has the cell of the selected strike. */
function readCell(point) {
  const cell = point && grid && chart.cell(point);
  const [column, row] = cell ?? [];
  if (!grid?.matrix[row] || grid.columns[column] === undefined) {
    setText(byId("heatmap-cell"), "");
    return;
  }
  const value = grid.matrix[row][column];
  const sign = grid.columns[column].startsWith("pos") ? "+" : "-";
  setText(
    byId("heatmap-cell"),
    `${grid.minutes[row]} min, ${sign}${fixed(Math.abs(grid.moves[column]))}` +
      `${isStandardised() ? " σ" : " %"}: ` +
      (isNumber(value) ? `${fixed(value)} %` : "no answer"),
  );
}

function build(colours) {
  if (grid === null) return null;
  const { moves, minutes, matrix, fingerprint } = grid;
  // The two columns of no move at all stand side by side; labels are where a half percent is, or, as
  // standard deviations are not evenly spaced, in every tenth column from the middle.
  const middle = moves.length / 2;
  const isLabelled = (place) =>
    isStandardised()
      ? (place >= middle ? place - middle : middle - 1 - place) % 10 === 0 && place !== middle
      : Math.abs((moves[place] * 2) % 1) < 1e-6 && !(moves[place] === 0 && moves[place - 1] === 0);
  const stops = [0, 1, 2, 3, 4].map((step) => colours[`heat-${step}`]);
  return {
    ...baseOption(
      colours,
      `Heat map of ${fingerprint}: the share of starting minutes with a move so far or farther, ` +
        `by minutes to the close, 1 to ${minutes.at(-1)}, and move in ` +
        (isStandardised() ? "forecast standard deviations." : "percent."),
    ),
    grid: { left: 44, right: 14, top: 10, bottom: 40 },
    xAxis: axis(colours, isStandardised() ? "move, σ" : "move, %", {
      type: "category",
      data: moves.map((move) => (move === 0 ? "0" : signed(move, 1))),
      axisTick: { interval: (place) => isLabelled(place), lineStyle: { color: colours.line } },
      axisLabel: {
        color: colours.muted,
        fontSize: 11,
        interval: (place) => isLabelled(place),
        hideOverlap: true,
      },
      splitLine: { show: false },
    }),
    yAxis: axis(colours, "minutes to the close", {
      type: "category",
      data: minutes,
      axisTick: { show: false },
      axisLabel: {
        color: colours.muted,
        fontSize: 11,
        interval: (place) => minutes[place] % 10 === 0 || minutes[place] === 1,
      },
      splitLine: { show: false },
    }),
    tooltip: { show: false },
    series: [
      {
        type: "custom",
        silent: true,
        data: [[0, 0]],
        renderItem: ({ coordSys: { x, y, width, height } }) => ({
          type: "image",
          style: { image: paint(matrix, stops, width, height), x, y, width, height },
        }),
      },
    ],
  };
}
