// The small drawing of a row: its chance over the last hour as a line, what yes cost as a thinner one.

import { setAttribute } from "/static/dom.js";
import { isNumber } from "/static/format.js";
import { SPAN } from "/static/history.js";

const NAMES = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, EDGE] = [72, 18, 2];
// So that small moves do not look like large ones: points of percent, and seconds.
const LEAST = { rise: 10, run: 600 };

export function spark() {
  const make = (name, attributes) => {
    const node = document.createElementNS(NAMES, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const node = make("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  node.append(make("path", { class: "ask" }), make("path", { class: "said" }));
  return node;
}

/** points: as contractHistory has them. Drawn again only where one has been added. */
export function showSpark(node, points) {
  const state = points.length > 0 ? `${points.length} ${points[0].at} ${points.at(-1).at}` : "";
  if (node.dataset.state === state) return;
  node.dataset.state = state;
  const values = points.flatMap((point) => [point.probability, point.ask]).filter(isNumber);
  const middle = (Math.min(...values) + Math.max(...values)) / 2;
  const rise = Math.max(LEAST.rise, Math.max(...values) - Math.min(...values));
  const until = points.at(-1)?.at ?? 0;
  const run = Math.min(SPAN, Math.max(LEAST.run, until - (points[0]?.at ?? 0)));
  const x = (at) => WIDTH - EDGE - ((until - at) / run) * (WIDTH - 2 * EDGE);
  const y = (value) => HEIGHT / 2 - ((value - middle) / rise) * (HEIGHT - 2 * EDGE);
  ["ask", "probability"].forEach((key, place) => {
    setAttribute(node.children[place], "d", path(points, key, x, y));
  });
}

function path(points, key, x, y) {
  let isDown = false;
  return points
    .map((point) => {
      if (!isNumber(point[key])) {
        isDown = false;
        return "";
      }
      const step = `${isDown ? "L" : "M"}${x(point.at).toFixed(1)} ${y(point[key]).toFixed(1)}`;
      isDown = true;
      return step;
    })
    .join("");
}
