// The contract that is looked at, over the last hour: its chance with the interval, against bid and ask.

import { axis, band, baseOption, Chart, withGaps } from "/static/charts.js";
import { instant, mark, since } from "/static/clock.js";
import { byId, setText } from "/static/dom.js";
import { fixed, grouped, isNumber } from "/static/format.js";
import { contractHistory, SPAN } from "/static/history.js";
import { shortTime } from "/static/times.js";

const EVERY = 5;
const LEAST_RISE = 12;
// Beyond so many seconds without a log, nothing is known.
const GAP = 150;

let chart = null;
let now = { tick: null, row: null };
let drawnAt = null;

export function startCourse() {
  chart = new Chart(byId("course"), build);
  return chart;
}

/** row: of the ladder, or null. isChanged: there is more to see than one more tick. */
export function showCourse(tick, row, isChanged) {
  const isOther = row?.ticker !== now.row?.ticker;
  now = { tick, row };
  const points = tick && row?.ticker ? contractHistory(row.ticker) : [];
  byId("course-card").hidden = points.length < 2;
  if (points.length < 2) return;
  setText(byId("course-name"), row.label);
  if (!isOther && !isChanged && drawnAt !== null && since(drawnAt) < EVERY) return;
  drawnAt = mark();
  setText(byId("course-summary"), summary(points, row));
  if (isOther) chart.redraw();
  else chart.draw();
}

function summary(points, row) {
  const first = points.find((point) => isNumber(point.probability));
  const minutes = first ? Math.round((points.at(-1).at - first.at) / 60) : 0;
  const said = `Chance ${fixed(row.probability, 1)} %` + (first ? `, ${fixed(first.probability, 1)} % ${minutes} min before` : "");
  const asked = points.find((point) => isNumber(point.ask));
  const cents = (value) => `${grouped(value, 0, 2)} ¢`;
  const ask = isNumber(row.yes_ask)
    ? `; yes at ${cents(100 * row.yes_ask)}${asked ? `, ${cents(asked.ask)} before` : ""}`
    : "";
  return `${said}${ask}.`;
}

const cents = (dollars) => (isNumber(dollars) ? 100 * dollars : null);

/** The log, and the row as it is now. */
function pointsOf({ tick, row }) {
  const points = contractHistory(row.ticker).slice();
  const at = instant(tick.ticked_at);
  if (at > points.at(-1)?.at) {
    points.push({
      at,
      probability: row.probability ?? null,
      low: row.prob_low ?? null,
      high: row.prob_high ?? null,
      bid: cents(row.yes_bid),
      ask: cents(row.yes_ask),
    });
  }
  return points;
}

function build(colours) {
  if (!now.tick || !now.row?.ticker) return null;
  const points = pointsOf(now);
  if (points.length === 0) return null;
  const values = points
    .flatMap((point) => [point.probability, point.low, point.high, point.bid, point.ask])
    .filter(isNumber);
  if (values.length === 0) return null;
  const column = (key) => withGaps(points.map((point) => [point.at, point[key]]), GAP);
  const [low, high] = range(values);
  const banded = points.filter((point) => isNumber(point.low) && isNumber(point.high));
  const quote = (name, key, type) => ({
    name,
    type: "line",
    step: "end",
    symbol: "none",
    silent: true,
    z: 2,
    lineStyle: { color: colours.yes, width: 1.25, type },
    itemStyle: { color: colours.yes },
    data: column(key),
  });
  return {
    ...baseOption(colours, `${now.row.label} over the last hour: ${summary(points, now.row)}`),
    grid: { left: 34, right: 14, top: 26, bottom: 24 },
    legend: {
      top: 0,
      left: 0,
      itemWidth: 14,
      itemHeight: 8,
      itemGap: 12,
      textStyle: { color: colours.muted, fontSize: 11 },
      data: ["chance", "95 %", "yes ask", "yes bid"].filter((name) => name !== "95 %" || banded.length > 1),
    },
    xAxis: axis(colours, "", {
      type: "time",
      min: 1000 * Math.max(points[0].at, points.at(-1).at - SPAN),
      max: 1000 * points.at(-1).at,
      axisLabel: {
        color: colours.muted,
        fontSize: 11,
        hideOverlap: true,
        formatter: (value) => shortTime(value / 1000),
      },
      splitLine: { show: false },
    }),
    yAxis: axis(colours, "", { type: "value", min: low, max: high }),
    tooltip: {
      ...baseOption(colours, "").tooltip,
      trigger: "axis",
      axisPointer: { type: "line", lineStyle: { color: colours.muted } },
      formatter: (items) => tooltipText(items, points),
    },
    series: [
      band("95 %", banded.map((point) => [1000 * point.at, point.low, point.high]), colours.band),
      quote("yes ask", "ask", "solid"),
      quote("yes bid", "bid", "dotted"),
      {
        name: "chance",
        type: "line",
        symbol: "none",
        z: 4,
        lineStyle: { color: colours.accent, width: 2 },
        itemStyle: { color: colours.accent },
        data: column("probability"),
      },
    ],
  };
}

/** Tens below and above, never out of 0 to 100. */
function range(values) {
  const middle = (Math.min(...values) + Math.max(...values)) / 2;
  const half = Math.max(LEAST_RISE, Math.max(...values) - Math.min(...values)) / 2;
  return [Math.max(0, 5 * Math.floor((middle - half) / 5)), Math.min(100, 5 * Math.ceil((middle + half) / 5))];
}

function tooltipText(items, points) {
  const at = items[0]?.axisValue / 1000;
  const point = points.find((each) => Math.abs(each.at - at) < 1);
  if (!point) return "";
  const interval = isNumber(point.low) ? `  (${fixed(point.low, 1)} to ${fixed(point.high, 1)})` : "";
  return [
    shortTime(point.at),
    `chance ${fixed(point.probability, 1)} %${interval}`,
    `yes bid ${grouped(point.bid, 0, 2)}  ask ${grouped(point.ask, 0, 2)}`,
  ].join("\n");
}
