// One chart in one place: loads ECharts late, follows size and theme, and draws when it is seen.

let loading = null;
let attempts = 0;
const charts = new Set();

/** The library, once; after a failure the next call tries again. */
function loadLibrary() {
  if (loading === null) {
    // A module that failed to load stays failed under its name in some browsers.
    const again = attempts > 0 ? `?again=${attempts}` : "";
    attempts += 1;
    loading = import(`/static/echarts/index.js${again}`).then((module) => module.echarts);
    loading.catch(() => {
      loading = null;
    });
  }
  return loading;
}

const NAMES = [
  "text", "muted", "line", "panel", "accent", "band", "yes", "no", "price", "positive", "negative",
  "heat-0", "heat-1", "heat-2", "heat-3", "heat-4",
];
let colours = null;

/** The page's colours as rgb: a variable's own value may be a formula that a canvas cannot read. */
function pageColours() {
  if (colours === null) {
    const probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
    colours = {};
    for (const name of NAMES) {
      probe.style.color = `var(--${name})`;
      colours[name] = getComputedStyle(probe).color;
    }
    probe.remove();
  }
  return colours;
}

document.addEventListener("themechange", () => {
  colours = null;
  for (const chart of charts) chart.redraw();
});

export class Chart {
  #holder;
  #note;
  #build;
  #chart = null;
  #library = null;
  #frame = 0;
  #message = null;
  #isWanted = false;
  #trouble = "Loading the chart";

  /** build(colours): the option, or null where there is nothing to draw. afterwards: drawn or resized. */
  constructor(holder, build, afterwards = () => {}) {
    this.#holder = holder;
    this.#note = holder.parentElement.querySelector(".chart-note");
    this.#build = build;
    this.afterwards = afterwards;
    charts.add(this);
    this.#note.hidden = false;
    this.#note.textContent = this.#trouble;
    new ResizeObserver(() => {
      if (holder.clientWidth === 0) return;
      if (this.#isWanted) this.start();
      this.#chart?.resize();
      this.afterwards();
    }).observe(holder);
  }

  /** What stands in the chart's place where there is nothing to draw; null shows the chart. */
  say(text) {
    this.#message = text;
    this.#showNote();
  }

  #showNote() {
    const text = this.#message ?? this.#trouble;
    this.#note.hidden = text === null;
    this.#note.textContent = text ?? "";
    this.#holder.classList.toggle("empty", text !== null);
    this.afterwards();
  }

  /** Where it is hidden it begins when it is seen: without a size there is nothing to draw on. */
  async start() {
    this.#isWanted = true;
    if (this.#chart !== null || this.#holder.clientWidth === 0) return;
    try {
      this.#library = await loadLibrary();
    } catch {
      this.#trouble = "The chart could not be loaded. The ladder does without; trying again.";
      this.#showNote();
      return;
    }
    if (this.#chart !== null || this.#holder.clientWidth === 0) return;
    this.#trouble = null;
    this.#showNote();
    this.#chart = this.#library.init(this.#holder, null, { renderer: "canvas" });
    this.redraw();
  }

  /** At most once a frame; a hidden tab has no frames, and draws when it is seen again. */
  draw() {
    if (this.#chart === null || this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      const option = this.#build(pageColours());
      if (option === null) {
        this.#chart.clear();
      } else {
        this.#chart.setOption(option, { lazyUpdate: false });
      }
      this.afterwards();
    });
  }

  /** From nothing: for other colours, or another set of series. */
  redraw() {
    this.#chart?.clear();
    this.draw();
  }

  /** Where a point of the chart is, in CSS pixels of its holder. */
  pixel(point) {
    return this.#chart?.convertToPixel({ gridIndex: 0 }, point) ?? null;
  }

  /** The nearest categories of a place in it, or null outside of the axes. */
  cell(pixel) {
    if (!this.#chart?.containPixel({ gridIndex: 0 }, pixel)) return null;
    return this.#chart.convertFromPixel({ gridIndex: 0 }, pixel);
  }
}

/** What all charts have in common. */
export function baseOption(colours, description) {
  return {
    animation: false,
    backgroundColor: "transparent",
    textStyle: { color: colours.text, fontFamily: getComputedStyle(document.body).fontFamily },
    aria: { enabled: true, label: { description } },
    tooltip: {
      renderMode: "richText",
      backgroundColor: colours.panel,
      borderColor: colours.line,
      textStyle: { color: colours.text, fontSize: 12 },
      confine: true,
    },
  };
}

export function axis(colours, name, more = {}) {
  return {
    name,
    nameLocation: "middle",
    nameGap: 26,
    nameTextStyle: { color: colours.muted, fontSize: 11 },
    axisLine: { lineStyle: { color: colours.line } },
    axisTick: { lineStyle: { color: colours.line } },
    axisLabel: { color: colours.muted, fontSize: 11, hideOverlap: true },
    splitLine: { lineStyle: { color: colours.line, opacity: 0.6 } },
    ...more,
  };
}

/** Points of [seconds, value] in the milliseconds of a time axis; the line breaks where nothing came for longer. */
export function withGaps(points, gap) {
  return points.flatMap(([at, value], place) => {
    const before = points[place - 1]?.[0];
    const point = [1000 * at, value];
    return at - before > gap ? [[1000 * before + 1, null], point] : [point];
  });
}

/** An area between two lines; points: [x, low, high]. */
export function band(name, points, colour) {
  return {
    name,
    type: "custom",
    silent: true,
    z: 1,
    itemStyle: { color: colour },
    data: points.length > 1 ? [[points[0][0], points[0][1]]] : [],
    clip: true,
    renderItem: (_, api) => ({
      type: "polygon",
      shape: {
        points: [
          ...points.map(([x, , high]) => api.coord([x, high])),
          ...points.toReversed().map(([x, low]) => api.coord([x, low])),
        ],
      },
      style: { fill: colour },
    }),
  };
}
