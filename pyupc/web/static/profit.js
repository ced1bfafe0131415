// What trades have brought, after fees, day by day.

import { axis, baseOption, Chart } from "/static/charts.js";
import { byId, setText } from "/static/dom.js";
import { grouped, signed } from "/static/format.js";

let chart = null;
let days = [];

export function startProfit() {
  chart = new Chart(byId("profit"), build);
  return chart;
}

/** found: {day, trades, profit}, the oldest first. Without any the panel takes no room. */
export function showProfit(found) {
  days = found;
  byId("profit-card").hidden = days.length === 0;
  setText(byId("profit-summary"), summary());
  chart.redraw();
}

function summary() {
  if (days.length === 0) return "";
  const [count, profit] = ["trades", "profit"].map((key) => days.reduce((sum, day) => sum + day[key], 0));
  return `${signed(profit)} $ after fees, of ${grouped(count)} ${count === 1 ? "trade" : "trades"} on ${grouped(days.length)} ${days.length === 1 ? "day" : "days"}.`;
}

function build(colours) {
  if (days.length === 0) return null;
  return {
    ...baseOption(colours, `Profit by day: ${days.map((day) => `${day.day} ${signed(day.profit)}`).join(", ")}`),
    grid: { left: 44, right: 14, top: 10, bottom: 24 },
    xAxis: axis(colours, "", {
      type: "category",
      data: days.map((day) => day.day.slice(5)),
      axisLabel: { color: colours.muted, fontSize: 11, hideOverlap: true },
      axisTick: { show: false },
    }),
    yAxis: axis(colours, "", { type: "value", splitNumber: 3 }),
    tooltip: {
      ...baseOption(colours, "").tooltip,
      trigger: "axis",
      axisPointer: { type: "none" },
      formatter: ([{ dataIndex }]) => {
        const day = days[dataIndex];
        return `${day.day} (UTC)\n${signed(day.profit)} $, ${grouped(day.trades)} ended`;
      },
    },
    series: [
      {
        type: "bar",
        barMaxWidth: 22,
        data: days.map((day) => ({
          value: day.profit,
          itemStyle: { color: day.profit < 0 ? colours.negative : colours.positive },
        })),
      },
    ],
  };
}
