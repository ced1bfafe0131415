// The reliability diagram: how often it happened what the live ticks gave which probability.

import { getJson } from "/static/api.js";
import { axis, baseOption, Chart } from "/static/charts.js";
import { byId, setText } from "/static/dom.js";
import { fixed, grouped, isNumber } from "/static/format.js";

let chart = null;
let shown = null;

export function startReliability() {
  chart = new Chart(byId("reliability"), build);
  return chart;
}

/** answers: {model, method, settlement} of now; its scores are shown, else those with the most. */
export async function loadReliability(symbol, answers) {
  let calibration;
  try {
    calibration = await getJson(`/api/calibration/${encodeURIComponent(symbol)}`, { timeout: 30_000 });
  } catch (error) {
    show(null, "");
    byId("reliability-card").hidden = false;
    chart.say(`${error.message}${error.hint ? ` ${error.hint}` : ""}`);
    return false;
  }
  const scores = calibration.scores.filter((row) => row.minutes_from === null);
  const totals = scores.filter((row) => row.bin === null);
  const same = (row, other) =>
    ["model", "method", "settlement"].every((key) => row[key] === other?.[key]);
  const total =
    totals.find((row) => same(row, answers)) ??
    totals.toSorted((one, other) => other.questions - one.questions)[0];
  const waiting = calibration.unjudged_closes;
  // Nothing has been judged: there is nothing to show, and it takes no room.
  byId("reliability-card").hidden = !total;
  if (!total) {
    show(null, "");
    return true;
  }
  const bins = scores.filter((row) => row.bin !== null && same(row, total));
  chart.say(null);
  show({ symbol, bins }, summary(total, waiting));
  return true;
}

/** Another symbol: what stands there is not its own. */
export function clearReliability() {
  byId("reliability-card").hidden = true;
  show(null, "");
  chart.say(null);
}

function show(what, text) {
  shown = what;
  setText(byId("reliability-summary"), text);
  chart.redraw();
}

function summary(total, waiting) {
  return (
    `${total.model}, ${total.method}, ${total.settlement}: ` +
    `${grouped(total.questions)} questions of ${grouped(total.events)} closes; ` +
    `calibration error ${fixed(total.calibration_error)} points, ` +
    `Brier score ${fixed(total.brier_score, 5)}, log loss ${fixed(total.log_loss, 5)}.` +
    (waiting > 0 ? ` ${grouped(waiting)} closes wait for their result.` : "")
  );
}

function whiskers(bins, colours) {
  return {
    name: "95 % interval",
    type: "custom",
    silent: true,
    z: 2,
    data: bins
      .filter((row) => isNumber(row.frequency_low) && isNumber(row.frequency_high))
      .map((row) => [row.mean_probability, row.frequency_low, row.frequency_high]),
    encode: { x: 0, y: [1, 2] },
    renderItem: (_, api) => {
      const [x, low] = api.coord([api.value(0), api.value(1)]);
      const [, high] = api.coord([api.value(0), api.value(2)]);
      return {
        type: "line",
        shape: { x1: x, y1: low, x2: x, y2: high },
        style: { stroke: colours.accent, lineWidth: 1.5, opacity: 0.55 },
      };
    },
  };
}

function build(colours) {
  if (shown === null) return null;
  const { bins, symbol } = shown;
  const percent = { type: "value", min: 0, max: 100, interval: 25 };
  return {
    ...baseOption(
      colours,
      `Reliability of ${symbol}: ` +
        bins
          .map((row) => [row.mean_probability, row.observed_frequency].map((share) => fixed(share, 0)))
          .map(([said, happened]) => `${said} % said, ${happened} % happened`)
          .join("; "),
    ),
    grid: { left: 44, right: 14, top: 10, bottom: 40 },
    xAxis: axis(colours, "said, %", percent),
    yAxis: axis(colours, "happened, %", { ...percent, nameGap: 30 }),
    tooltip: {
      ...baseOption(colours, "").tooltip,
      trigger: "item",
      formatter: ({ dataIndex }) => {
        const row = bins[dataIndex];
        return [
          `${row.prob_from} to ${row.prob_to} %`,
          `said ${fixed(row.mean_probability)} %`,
          `happened ${fixed(row.observed_frequency)} %  (${fixed(row.frequency_low)} to ${fixed(row.frequency_high)})`,
          `${grouped(row.questions)} questions of ${grouped(row.events)} closes`,
        ].join("\n");
      },
    },
    series: [
      {
        type: "line",
        silent: true,
        symbol: "none",
        z: 1,
        lineStyle: { color: colours.muted, type: "dashed", width: 1 },
        data: [[0, 0], [100, 100]],
      },
      whiskers(bins, colours),
      {
        name: "bins of 5 percent",
        type: "scatter",
        z: 3,
        symbolSize: 8,
        itemStyle: { color: colours.accent },
        data: bins.map((row) => [row.mean_probability, row.observed_frequency]),
      },
    ],
  };
}
