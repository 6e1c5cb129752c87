// The line's forecast over time, with its interval as a band. Times are plant time in UTC, 24 h.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../dom.js";
import { clock, day, minute, percent } from "../format.js";
import { t } from "../i18n.js";
import { colour, theme } from "../store.js";
import uPlot from "../../vendor/uplot.js";

const HEIGHT = 250;
const SECONDS_BELOW_S = 300;

/** @param {{track: {at: string, expected_fraction: number, low_fraction: number, high_fraction: number}[]}} props */
export function TrackChart({ track }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [said, setSaid] = useState("");
  const data = [
    track.map((point) => Date.parse(point.at) / 1000),
    track.map((point) => point.high_fraction),
    track.map((point) => point.low_fraction),
    track.map((point) => point.expected_fraction),
  ];

  useLayoutEffect(() => {
    const font = `12px ${colour("font")}`;
    const axis = { stroke: colour("muted"), font, grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    const line = { stroke: colour("series"), points: { show: false } };
    plot.current = new uPlot(
      {
        width: box.current.clientWidth,
        height: HEIGHT,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        legend: { show: false },
        cursor: { drag: { x: true, y: false }, points: { size: 7 } },
        scales: { y: { range: (_, low, high) => [Math.max(0, Math.floor(20 * (low ?? 0)) / 20), Math.min(1, Math.ceil(20 * (high ?? 1)) / 20)] } },
        axes: [
          { ...axis, space: 90, values: (chart, splits, _, __, step) => splits.map((at) => label(at, step, chart.scales.x.max - chart.scales.x.min)) },
          { ...axis, size: 62, incrs: [0.01, 0.02, 0.05, 0.1, 0.2, 0.5], values: (_, splits) => splits.map((value) => percent(value, 0)) },
        ],
        series: [
          {},
          { ...line, width: 1, dash: [4, 3], label: t("track.high") },
          { ...line, width: 1, dash: [4, 3], label: t("track.low") },
          { ...line, width: 2, stroke: colour("ink"), label: t("track.expected") },
        ],
        bands: [{ series: [1, 2], fill: colour("band") }],
        hooks: { setCursor: [(chart) => setSaid(reading(chart))] },
      },
      data,
      box.current,
    );
    const watcher = new ResizeObserver(([entry]) => plot.current.setSize({ width: Math.floor(entry.contentRect.width), height: HEIGHT }));
    watcher.observe(box.current);
    return () => {
      watcher.disconnect();
      plot.current.destroy();
    };
  }, [theme.value]);

  useEffect(() => plot.current.setData(data), [track]);

  return html`
    <div class="chart" ref=${box} data-testid="track" role="img" aria-label=${t("track.label", { count: track.length })}></div>
    <p class="muted small" aria-live="off">${said || t("track.explained")}</p>`;
}

/** Date where a day begins or steps are long, else the hour; with seconds where little time is shown. */
function label(at_s, step_s, shown_s) {
  if (shown_s < SECONDS_BELOW_S) return clock(at_s * 1000);
  const text = clock(at_s * 1000).slice(0, 5);
  if (step_s >= 86_400 || text === "00:00") return day(at_s * 1000).slice(5);
  return text;
}

function reading(chart) {
  const { idx } = chart.cursor;
  if (idx === null || idx === undefined) return "";
  const [at, high, low, value] = chart.data.map((column) => column[idx]);
  return t("track.reading", { at: minute(at * 1000), value: percent(value), low: percent(low), high: percent(high) });
}
