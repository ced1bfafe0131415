// Paints a fingerprint's matrix as one picture: 7,200 shapes of a chart would flicker.

// Most of the map is far below the middle: the root shows what is between 0 and 5 percent.
const shade = (percent, most) => Math.sqrt(Math.max(0, percent) / most);

const channels = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);

/** 256 colours from those of the page, which are few. */
function ramp(stops) {
  const colours = stops.map(channels);
  return Array.from({ length: 256 }, (_, step) => {
    const place = (step / 255) * (colours.length - 1);
    const first = Math.min(Math.floor(place), colours.length - 2);
    const share = place - first;
    const mixed = colours[first].map((value, channel) =>
      Math.round(value + share * (colours[first + 1][channel] - value)),
    );
    return `rgb(${mixed.join(",")})`;
  });
}

/** The largest percent, which the darkest colour stands for. */
export const largest = (matrix) =>
  matrix.reduce((most, row) => row.reduce((best, value) => Math.max(best, value ?? 0), most), 1);

/** Rows go upward from the first; what is null stays empty. width, height: CSS pixels. */
export function paint(matrix, stops, width, height) {
  const scale = globalThis.devicePixelRatio || 1;
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pen = canvas.getContext("2d");
  const colours = ramp(stops);
  const most = largest(matrix);
  const edge = (place, count, size) => Math.round((place * size) / count);
  matrix.forEach((row, place) => {
    const bottom = canvas.height - edge(place, matrix.length, canvas.height);
    const top = canvas.height - edge(place + 1, matrix.length, canvas.height);
    row.forEach((percent, column) => {
      if (percent === null) return;
      const left = edge(column, row.length, canvas.width);
      pen.fillStyle = colours[Math.round(255 * shade(percent, most))];
      pen.fillRect(left, top, edge(column + 1, row.length, canvas.width) - left, bottom - top);
    });
  });
  return canvas;
}
