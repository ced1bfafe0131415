// The price of the last hour up to the close: strikes as faint lines, trades as marks.

import { axis, baseOption, Chart, withGaps } from "/static/charts.js";
import { instant, mark, since } from "/static/clock.js";
import { byId, setText } from "/static/dom.js";
import { isNumber, priceText, signed, strikeText } from "/static/format.js";
import { prices, SPAN, trades } from "/static/history.js";
import { shortTime } from "/static/times.js";

// A pixel is some seconds wide.
const EVERY = 5;
// Without a close within the hour: seconds that are kept free to the right.
const FREE = 120;
const MOST_LINES = 40;
const MOST_LABELS = 9;
// Seconds that the label of the close takes.
const LABEL = 1000;

let chart = null;
let now = { tick: null, event: null, selected: null };
let drawnAt = null;

export function startPast() {
  chart = new Chart(byId("past"), build);
  return chart;
}

/** tick: null empties it. isChanged: there is more to see than one more tick. */
export function showPast(tick, event, selected, isChanged) {
  const isOther =
    tick?.symbol !== now.tick?.symbol || event?.ticker !== now.event?.ticker || selected !== now.selected;
  now = { tick, event, selected };
  const points = tick ? prices() : [];
  byId("past-card").hidden = points.length < 2;
  if (points.length < 2) return;
  if (!isOther && !isChanged && drawnAt !== null && since(drawnAt) < EVERY) return;
  drawnAt = mark();
  setText(byId("past-summary"), summary(points));
  if (isOther) chart.redraw();
  else chart.draw();
}

function summary(points) {
  const known = points.map((point) => point.price).filter(isNumber);
  if (known.length === 0) return "";
  const [first, last] = [known[0], known.at(-1)];
  const minutes = Math.round((points.at(-1).at - points[0].at) / 60);
  const percent = signed((100 * (last - first)) / first);
  return `${percent} % in ${minutes} min, between ${priceText(Math.min(...known))} and ${priceText(Math.max(...known))}.`;
}

const boundsOf = (event) => [
  ...new Set((event?.rows ?? []).flatMap((row) => [row.lower, row.upper]).filter((bound) => isNumber(bound) && bound > 0)),
];

/** From the lowest to the highest price, and to the next bound on either side where it is not far. */
function spanOf(values, event, price) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const reach = Math.max(high - low, price * 0.0005);
  const bounds = boundsOf(event);
  const next = [Math.max(...bounds.filter((bound) => bound <= price)), Math.min(...bounds.filter((bound) => bound > price))];
  for (const bound of next.filter((each) => Math.abs(each - price) <= reach)) {
    low = Math.min(low, bound);
    high = Math.max(high, bound);
  }
  const margin = 0.08 * Math.max(high - low, price * 0.0002);
  return [low - margin, high + margin];
}

/** Bounds in the span that is shown, the selected ones first, with as many labels as there is room for. */
function linesOf(event, chosen, [low, high]) {
  const apart = (high - low) / MOST_LABELS;
  const labelled = [];
  const isIn = (bound) => bound >= low && bound <= high;
  const bounds = boundsOf(event).filter(isIn).sort((one, other) => chosen.includes(other) - chosen.includes(one));
  return bounds.slice(0, MOST_LINES).map((bound) => {
    const isLabelled = labelled.every((other) => Math.abs(other - bound) >= apart);
    if (isLabelled) labelled.push(bound);
    return { bound, isLabelled, isChosen: chosen.includes(bound) };
  });
}

function priceAt(points, at) {
  const before = points.findLast((point) => point.at <= at && isNumber(point.price));
  return before?.price ?? null;
}

function tradeMarks(points, shift, colours) {
  const marks = [];
  for (const trade of trades()) {
    const words = `${trade.side} ${trade.label ?? ""}`;
    for (const [at, word] of [[trade.at, "bought"], [trade.ended, "ended"]]) {
      const price = isNumber(at) ? priceAt(points, at) : null;
      if (price === null) continue;
      marks.push({
        value: [1000 * (at - shift), price],
        name: `${word} ${words}, ${shortTime(at - shift)}`,
        symbol: word === "ended" ? "diamond" : "triangle",
        symbolRotate: word === "bought" && trade.side === "no" ? 180 : 0,
        itemStyle: {
          color: word === "ended" ? colours.panel : colours[trade.side],
          borderColor: word === "ended" ? colours[trade.side] : colours.panel,
          borderWidth: word === "ended" ? 2 : 1,
        },
      });
    }
  }
  return marks;
}

function build(colours) {
  const { tick, event, selected } = now;
  const points = tick ? prices() : [];
  const values = points.map((point) => point.price).filter(isNumber);
  if (values.length === 0) return null;
  const table = tick.strike_table;
  const price = table.current_price ?? values.at(-1);
  // A replay goes by the market's clock, and the log by ours.
  const here = instant(tick.ticked_at);
  const market = instant(table.market_at);
  const shift = Math.abs(here - market) > 5 ? here - market : 0;
  const at = here - shift;
  const left = (event?.closes ?? Infinity) - at;
  const hasClose = left > 0 && left <= SPAN;
  const until = hasClose ? event.closes : at + FREE;
  const [low, high] = spanOf([...values, price], event, price);
  const row = event?.rows.find((each) => each.strike === selected);
  const chosen = [row?.lower, row?.upper].filter(isNumber);
  const line = points.map((point) => [point.at - shift, point.price]);
  if (isNumber(table.current_price)) line.push([at, table.current_price]);
  return {
    ...baseOption(colours, `Price of ${tick.symbol} over the last hour: ${summary(points)}`),
    grid: { left: 8, right: 62, top: 10, bottom: 24 },
    xAxis: axis(colours, "", {
      type: "time",
      min: 1000 * (at - SPAN),
      max: 1000 * until,
      axisLabel: {
        color: colours.muted,
        fontSize: 11,
        hideOverlap: true,
        showMaxLabel: false,
        // The close has a label of its own.
        formatter: (value) => (hasClose && event.closes - value / 1000 < LABEL ? "" : shortTime(value / 1000)),
      },
      splitLine: { show: false },
    }),
    yAxis: { type: "value", min: low, max: high, show: false },
    tooltip: {
      ...baseOption(colours, "").tooltip,
      trigger: "item",
      formatter: ({ data, name }) => name || priceText(data[1]),
    },
    series: [
      {
        name: "price",
        type: "line",
        z: 3,
        silent: true,
        symbol: "none",
        lineStyle: { color: colours.price, width: 1.75 },
        data: withGaps(line, 60),
        markLine: {
          silent: true,
          symbol: "none",
          animation: false,
          data: [
            ...linesOf(event, chosen, [low, high]).map(({ bound, isLabelled, isChosen }) => ({
              yAxis: bound,
              lineStyle: { color: isChosen ? colours.accent : colours.line, type: "solid", width: 1 },
              label: {
                show: isLabelled,
                position: "end",
                distance: 4,
                fontSize: 11,
                color: isChosen ? colours.accent : colours.muted,
                fontWeight: isChosen ? 700 : 400,
                formatter: () => strikeText(bound),
              },
            })),
            ...(hasClose
              ? [
                  {
                    xAxis: 1000 * event.closes,
                    lineStyle: { color: colours.muted, type: "solid", width: 2 },
                    label: {
                      position: "start",
                      distance: 6,
                      fontSize: 11,
                      color: colours.muted,
                      formatter: () => `close ${shortTime(event.closes)}`,
                    },
                  },
                ]
              : []),
          ],
        },
        markArea: hasClose
          ? {
              silent: true,
              itemStyle: { color: colours.line, opacity: 0.18 },
              data: [[{ xAxis: 1000 * at }, { xAxis: 1000 * event.closes }]],
            }
          : { data: [] },
      },
      {
        name: "now",
        type: "scatter",
        silent: true,
        z: 4,
        symbolSize: 7,
        itemStyle: { color: colours.price },
        data: isNumber(table.current_price) ? [[1000 * at, table.current_price]] : [],
      },
      { name: "trades", type: "scatter", z: 5, symbolSize: 12, data: tradeMarks(points, shift, colours) },
    ],
  };
}
