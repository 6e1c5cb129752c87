// Areal mass across the web as a line with its uncertainty, limits and the gauge beside it.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../dom.js";
import { millimetres, percent, signedPercent } from "../format.js";
import { t } from "../i18n.js";
import { colour, names, theme } from "../store.js";
import uPlot from "../../vendor/uplot.js";

const HEIGHT = 236;
/** The scale shows at least so much on either side of good film. */
const LEAST_RANGE = 0.06;

export function ProfileChart({ profile, gauge, lanes, width_um }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [said, setSaid] = useState("");
  const limit = names.value?.film_spot_limit_fraction ?? 0;
  const cd_mm = profile.mass_fraction.map((_, index) => (profile.cd_start_um + (index + 0.5) * profile.cd_step_um) / 1e3);
  const off = profile.mass_fraction.map((value) => (value === null ? null : value - 1));
  const moved = (by) => off.map((value) => (value === null ? null : value + by));
  const flat = (value) => cd_mm.map(() => value);
  const data = [
    cd_mm, moved(profile.mass_uncertainty_fraction), moved(-profile.mass_uncertainty_fraction), off,
    flat(gauge === null ? null : gauge - 1), flat(limit || null), flat(limit ? -limit : null),
  ];

  useLayoutEffect(() => {
    const font = `12px ${colour("font")}`;
    const axis = { stroke: colour("muted"), font, grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") } };
    const line = { points: { show: false }, width: 1 };
    plot.current = new uPlot(
      {
        width: box.current.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 7 } },
        scales: { x: { time: false, range: () => [0, width_um / 1e3] }, y: { range: (_, low, high) => rounded(low, high) } },
        axes: [
          { ...axis, space: 60, incrs: [50, 100], values: (_, splits) => splits.map((value) => millimetres(1e3 * value, 0)) },
          { ...axis, size: 62, values: (_, splits) => splits.map((value) => signedPercent(value, 0)) },
        ],
        series: [
          {},
          { ...line, width: 0, stroke: colour("series"), label: t("profile.high") },
          { ...line, width: 0, stroke: colour("series"), label: t("profile.low") },
          { ...line, width: 2, stroke: colour("ink"), label: t("profile.title") },
          { ...line, width: 2, stroke: colour("series"), dash: [10, 5], label: t("profile.gauge") },
          { ...line, stroke: colour("ink"), dash: [2, 4], label: t("profile.limit") },
          { ...line, stroke: colour("ink"), dash: [2, 4], label: t("profile.limit") },
        ],
        bands: [{ series: [1, 2], fill: colour("band") }],
        hooks: {
          drawAxes: [(chart) => laneEdges(chart, lanes)],
          setCursor: [(chart) => setSaid(reading(chart))],
        },
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
  }, [theme.value, width_um]);

  useEffect(() => plot.current.setData(data), [profile, gauge, limit]);

  const text = t("profile.chart_label", { u: percent(profile.mass_uncertainty_fraction) });
  return html`
    <div class="profile-chart">
      <div class="chart" ref=${box} data-testid="profile-chart" role="img" aria-label=${text}></div>
      <p class="muted small" aria-live="off">${said || t("profile.explained")}</p>
    </div>`;
}

/** At least `LEAST_RANGE` to either side, whole per cents. */
function rounded(low, high) {
  const most = Math.max(LEAST_RANGE, -(low ?? 0), high ?? 0);
  const edge = Math.ceil(100 * most - 1e-6) / 100;
  return [-edge, edge];
}

function laneEdges(chart, lanes) {
  const { ctx: context, bbox } = chart;
  context.save();
  context.strokeStyle = colour("edge");
  context.setLineDash([6, 4]);
  context.lineWidth = devicePixelRatio || 1;
  context.beginPath();
  for (const um of new Set(lanes.flatMap((lane) => [lane.cd_low_um, lane.cd_high_um]))) {
    const x = Math.round(chart.valToPos(um / 1e3, "x", true));
    context.moveTo(x, bbox.top);
    context.lineTo(x, bbox.top + bbox.height);
  }
  context.stroke();
  context.restore();
}

function reading(chart) {
  const { idx } = chart.cursor;
  if (idx === null || idx === undefined) return "";
  const [cd_mm, high, low, value] = chart.data.map((column) => column[idx]);
  return value === null ? "" : t("profile.reading", { cd: millimetres(1e3 * cd_mm, 0), value: signedPercent(value), low: signedPercent(low), high: signedPercent(high) });
}
