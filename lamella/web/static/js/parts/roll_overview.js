// The whole roll as a strip, with the window on it.
import { html, useLayoutEffect, useRef, useState } from "../dom.js";
import { t } from "../i18n.js";
import { colour, theme } from "../store.js";

const HEIGHT = 30;

export function RollOverview({ roll, table, view, onView }) {
  const canvas = useRef(null);
  const [width, setWidth] = useState(0);

  useLayoutEffect(() => {
    const watcher = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    watcher.observe(canvas.current);
    return () => watcher.disconnect();
  }, []);

  useLayoutEffect(() => {
    if (!width) return;
    const scale = devicePixelRatio || 1;
    canvas.current.width = width * scale;
    canvas.current.height = HEIGHT * scale;
    const context = canvas.current.getContext("2d");
    context.scale(scale, scale);
    const x = (um) => (um / Math.max(roll.length_um, 1)) * width;
    context.fillStyle = colour("film");
    context.fillRect(0, 0, width, HEIGHT);
    context.fillStyle = colour("hatch");
    for (const span of roll.uninspected) context.fillRect(x(span.start_um), HEIGHT - 6, Math.max(1, x(span.end_um - span.start_um)), 6);
    density(context, table, roll.length_um, width);
    context.fillStyle = colour("p1");
    for (const killer of table.killers) context.fillRect(x(killer.md_start_um) - 1, 3, 3, HEIGHT - 11);
    context.fillStyle = colour("mark");
    for (const span of roll.streaks) context.fillRect(x(span.start_um), 0, Math.max(2, x(span.end_um - span.start_um)), 3);
    context.strokeStyle = colour("ink");
    context.lineWidth = 3;
    context.strokeRect(x(view.from) + 1.5, 1.5, Math.max(4, x(view.to - view.from) - 3), HEIGHT - 3);
  }, [roll, table, view, width, theme.value]);

  const centre = (event) => {
    if (event.type === "pointermove" && !(event.buttons & 1)) return;
    const box = canvas.current.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * roll.length_um;
    const half = (view.to - view.from) / 2;
    onView({ from: at - half, to: at + half });
  };
  return html`
    <div class="overview">
      <canvas ref=${canvas} role="img" aria-label=${t("roll.overview")} data-testid="overview" onPointerDown=${centre} onPointerMove=${centre}></canvas>
    </div>`;
}

/** Counts per few pixels as grey columns. */
function density(context, table, length_um, width) {
  const bins = new Uint32Array(Math.ceil(width / 3));
  let most = 1;
  for (const start of table.start) {
    const bin = Math.min(bins.length - 1, Math.floor((start / Math.max(length_um, 1)) * bins.length));
    bins[bin] += 1;
    most = Math.max(most, bins[bin]);
  }
  context.fillStyle = colour("dot");
  bins.forEach((count, bin) => {
    const height = Math.round(((HEIGHT - 10) * count) / most);
    context.fillRect(3 * bin, HEIGHT - 7 - height, 2, height);
  });
}
