// Draws the page's tables as charts, with Chart.js, in the colours of the style sheet.

const drawn = new Map(); // canvas → a function that draws it in the current colours

export const percent = (share) => {
  if (share > 0 && share < 0.01) return "<1%";
  if (share < 1 && share > 0.99) return ">99%";
  return `${Math.round(100 * share)}%`;
};
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** Draw every chart again, for example after a change of colours. */
export function redraw() {
  for (const draw of drawn.values()) draw();
}

/** Draw each measure in the table of segments: a point for the mean, a bar for the interval. */
export function drawSegments() {
  const charts = document.getElementById("segment-charts");
  if (!charts || !window.Chart) return;
  charts.hidden = false;
  const rows = [...document.querySelectorAll("#segment-table tbody tr")];
  const names = rows.map((row) => `${row.cells[0].textContent} (${row.cells[1].textContent})`);
  const colours = { prob_alive: "--alive", buys_again: "--buys", value_at_risk: "--risk" };
  for (const canvas of charts.querySelectorAll("canvas")) {
    const measure = canvas.dataset.measure;
    const cells = rows.map((row) => row.querySelector(`td[data-measure="${measure}"]`));
    const share = measure !== "value_at_risk";
    canvas.parentElement.style.height = `${Math.max(7, 3.5 + 1.9 * names.length)}rem`;
    describe(canvas, cells.map((cell, i) => `${names[i]}: ${cell.textContent.trim()}`).join("; "));
    show(canvas, () => forest(names, cells.map(numbers), colour(colours[measure]), share));
  }
}

/** Draw how a customer's P(alive) and P(purchase) decline without further purchases. */
export function drawSilence(canvas, days, curves, sentence) {
  describe(canvas, sentence);
  show(canvas, () => ({
    type: "line",
    data: {
      labels: days,
      datasets: curves.flatMap(({ label, of, style }) => band(label, of, colour(style))),
    },
    options: {
      ...common(),
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { ...axis(), type: "linear", max: days.at(-1), title: title("further days without a purchase") },
        y: { ...axis({ callback: percent }), min: 0, max: 1 },
      },
      plugins: {
        legend: { labels: { color: colour("--text"), filter: ({ text }) => text } },
        tooltip: {
          filter: (item) => item.dataset.label,
          callbacks: {
            title: ([item]) => `after ${item.label} more days without a purchase`,
            label: ({ dataset, dataIndex }) => `${dataset.label}: ${words(dataset.of[dataIndex])}`,
          },
        },
      },
    },
  }));
}

function forest(names, intervals, tint, share) {
  const write = share ? percent : (value) => short.format(value);
  return {
    type: "bar",
    data: {
      labels: names,
      datasets: [
        {
          type: "line",
          data: intervals.map(({ mean }) => mean),
          showLine: false,
          pointRadius: 5,
          pointBackgroundColor: tint,
          pointBorderColor: tint,
        },
        {
          data: intervals.map(({ lower, upper }) => [lower, upper]),
          backgroundColor: faint(tint),
          borderColor: tint,
          borderWidth: 1,
          borderSkipped: false,
          barThickness: 9,
          minBarLength: 2,
        },
      ],
    },
    options: {
      ...common(),
      indexAxis: "y",
      interaction: { mode: "index", axis: "y", intersect: false },
      scales: {
        x: {
          ...axis({ callback: write, maxTicksLimit: 6, maxRotation: 0 }),
          ...(share ? tenths(intervals) : { min: 0 }),
        },
        y: { ...axis({ autoSkip: false }), grid: { display: false } },
      },
      plugins: {
        legend: { display: false },
        tooltip: {
          filter: ({ datasetIndex }) => datasetIndex === 0,
          callbacks: { label: ({ dataIndex }) => words(intervals[dataIndex], write) },
        },
      },
    },
  };
}

/** Range of the axis: the bounds of the intervals, rounded outwards to tenths; it may omit 0. */
function tenths(intervals) {
  const min = Math.floor(10 * Math.min(...intervals.map(({ lower }) => lower))) / 10;
  const max = Math.ceil(10 * Math.max(...intervals.map(({ upper }) => upper))) / 10;
  return { min, max: Math.max(max, min + 0.1) };
}

function band(label, of, tint) {
  const edge = (end) => ({
    data: of.map((interval) => interval[end]),
    borderWidth: 0,
    pointRadius: 0,
    pointHitRadius: 0,
    backgroundColor: faint(tint),
  });
  return [
    { ...edge("lower"), fill: "+1" },
    { ...edge("upper"), fill: false },
    {
      label,
      of,
      data: of.map(({ mean }) => mean),
      borderColor: tint,
      backgroundColor: tint,
      borderWidth: 2.5,
      pointRadius: 0,
      pointHitRadius: 8,
      fill: false,
    },
  ];
}

export function words({ mean, lower, upper }, write = percent) {
  return `${write(mean)} (${write(lower)}–${write(upper)})`;
}

function show(canvas, configuration) {
  const draw = () => {
    window.Chart.getChart(canvas)?.destroy();
    new window.Chart(canvas, configuration());
  };
  drawn.set(canvas, draw);
  draw();
}

function describe(canvas, sentence) {
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", sentence);
}

function numbers({ dataset: { mean, lower, upper } }) {
  return { mean: Number(mean), lower: Number(lower), upper: Number(upper) };
}

function common() {
  return { maintainAspectRatio: false, animation: false };
}

function axis(ticks = {}) {
  const line = { color: colour("--line") };
  return { grid: line, border: line, ticks: { color: colour("--text"), ...ticks } };
}

function title(text) {
  return { display: true, text, color: colour("--text") };
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function faint(tint) {
  return `${tint}40`; // 25% opacity, since the style sheet's colours have six hexadecimal digits
}
