// P(above) over the strikes as it is now, with its interval, the asks and the price.

import { axis, band, baseOption, Chart } from "/static/charts.js";
import { byId, setText } from "/static/dom.js";
import { fixed, grouped, isNumber, priceText, strikeText } from "/static/format.js";
import { strikeRows } from "/static/strike_rows.js";

let chart = null;
let tick = null;
let selected = null;

export function startCurve() {
  chart = new Chart(byId("curve"), build);
  return chart;
}

export function showCurve(newTick, newSelected) {
  const isOther = newTick?.symbol !== tick?.symbol;
  tick = newTick;
  selected = newSelected;
  setText(byId("curve-summary"), tick ? summary() : "");
  if (isOther) chart.redraw();
  else chart.draw();
}

function known() {
  return strikeRows(tick).filter((row) => isNumber(row.prob_above)).reverse();
}

function summary() {
  const rows = known();
  if (rows.length === 0) return "No probabilities now.";
  const middle = rows.reduce((best, row) =>
    Math.abs(row.prob_above - 50) < Math.abs(best.prob_above - 50) ? row : best,
  );
  const ends = [rows[0], rows.at(-1)]
    .map((row) => `${fixed(row.prob_above)} % at ${strikeText(row.strike)}`)
    .join(" to ");
  return (
    `P(above) goes from ${ends}; ` +
    `nearest to even: ${fixed(middle.prob_above)} % at ${strikeText(middle.strike)}.`
  );
}

function banded(rows) {
  return rows
    .filter((row) => isNumber(row.prob_low) && isNumber(row.prob_high))
    .map((row) => [row.strike, row.prob_low, row.prob_high]);
}

function points(name, symbol, colour, data) {
  return {
    name,
    type: "scatter",
    symbol,
    symbolSize: 7,
    z: 3,
    itemStyle: { color: "transparent", borderColor: colour, borderWidth: 1.5 },
    data,
  };
}

function build(colours) {
  if (tick === null) return null;
  const rows = known();
  const all = strikeRows(tick).reverse();
  const price = tick.strike_table.current_price;
  const asks = (key, value) =>
    all.filter((row) => isNumber(row[key])).map((row) => [row.strike, value(row[key])]);
  return {
    ...baseOption(colours, summary()),
    grid: { left: 44, right: 18, top: 44, bottom: 40 },
    legend: {
      top: 0,
      left: 0,
      itemWidth: 14,
      itemHeight: 8,
      itemGap: 12,
      textStyle: { color: colours.muted, fontSize: 11 },
      data: ["P(above)", "95 %", "yes ask", "100 − no ask"],
    },
    xAxis: axis(colours, "strike", {
      type: "value",
      min: all[0]?.strike,
      max: all.at(-1)?.strike,
      axisLabel: {
        color: colours.muted,
        fontSize: 11,
        hideOverlap: true,
        formatter: (value) => strikeText(value),
      },
      splitLine: { show: false },
    }),
    yAxis: axis(colours, "%", { type: "value", min: 0, max: 100, nameGap: 30, interval: 25 }),
    tooltip: {
      ...baseOption(colours, "").tooltip,
      trigger: "axis",
      axisPointer: { type: "line", snap: true, lineStyle: { color: colours.muted } },
      formatter: (items) => tooltipText(items, all),
    },
    series: [
      band("95 %", banded(rows), colours.band),
      {
        name: "P(above)",
        type: "line",
        z: 4,
        symbol: "circle",
        symbolSize: (_, item) => (item.data.isSelected ? 11 : 4),
        lineStyle: { color: colours.accent, width: 2 },
        itemStyle: { color: colours.accent },
        data: rows.map((row) => ({
          value: [row.strike, row.prob_above],
          isSelected: row.strike === selected,
        })),
        markLine: {
          silent: true,
          symbol: "none",
          lineStyle: { color: colours.price, type: "dashed", width: 1.5 },
          label: { color: colours.price, fontSize: 11, formatter: () => priceText(price) },
          data: isNumber(price) ? [{ xAxis: price }] : [],
        },
      },
      points("yes ask", "circle", colours.yes, asks("yes_ask", (cents) => cents)),
      points("100 − no ask", "diamond", colours.no, asks("no_ask", (cents) => 100 - cents)),
    ],
  };
}

function tooltipText(items, all) {
  const strike = items[0]?.value?.[0] ?? items[0]?.axisValue;
  const row = all.find((each) => each.strike === strike);
  if (!row) return "";
  return [
    `strike ${strikeText(row.strike)}`,
    `P(above) ${fixed(row.prob_above)} %  (${fixed(row.prob_low)} to ${fixed(row.prob_high)})`,
    `yes ask ${grouped(row.yes_ask)}  no ask ${grouped(row.no_ask)}`,
    `starting minutes ${grouped(row.sample_size)}`,
  ].join("\n");
}
