// Areal mass of the film along and across the web, as a strip below the roll map that shares its axis.
import { html, useLayoutEffect, useMemo, useRef, useState } from "../dom.js";
import { signedPercent } from "../format.js";
import { t } from "../i18n.js";
import { mdOf, xOf } from "../roll/view.js";
import { colour, names, theme } from "../store.js";

const HEIGHT = 46;
/** As the roll map's own plot, so that both axes agree. */
const LEFT = 48;
const RIGHT = 10;
const DEFAULT_LIMIT = 0.05;

/** @param {{roll: object, profiles: object[], view: import("../roll/view.js").View, chosen: object, onProfile: (row: object) => void}} props */
export function MassMap({ roll, profiles, view, chosen, onProfile }) {
  const canvas = useRef(null);
  const [width, setWidth] = useState(0);
  const limit = names.value?.film_spot_limit_fraction || DEFAULT_LIMIT;
  const painted = useMemo(() => columns(profiles, limit), [profiles, limit, theme.value]);
  const plot = { left: LEFT, top: 0, width: Math.max(10, width - LEFT - RIGHT), height: HEIGHT };

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
    context.imageSmoothingEnabled = false;
    context.fillStyle = colour("sunken");
    context.fillRect(plot.left, 0, plot.width, HEIGHT);
    context.save();
    context.beginPath();
    context.rect(plot.left, 0, plot.width, HEIGHT);
    context.clip();
    profiles.forEach((row, index) => {
      if (row.md_end_um < view.from || row.md_start_um > view.to) return;
      const from = xOf(view, plot, row.md_start_um);
      const high_px = HEIGHT * (1 - row.cd_start_um / roll.width_um);
      const long_px = (HEIGHT * row.mass_fraction.length * row.cd_step_um) / roll.width_um;
      const across_px = Math.max(1, xOf(view, plot, row.md_end_um) - from);
      context.drawImage(painted, index, 0, 1, row.mass_fraction.length, from, high_px - long_px, across_px, long_px);
    });
    const from = xOf(view, plot, chosen.md_start_um);
    context.strokeStyle = colour("ink");
    context.lineWidth = 2;
    context.strokeRect(from, 1, Math.max(3, xOf(view, plot, chosen.md_end_um) - from), HEIGHT - 2);
    context.restore();
    context.strokeStyle = colour("edge");
    context.lineWidth = 1;
    context.strokeRect(plot.left + 0.5, 0.5, plot.width - 1, HEIGHT - 1);
  }, [profiles, painted, view, width, chosen, theme.value]);

  const pick = (event) => {
    const at_um = mdOf(view, plot, event.clientX - canvas.current.getBoundingClientRect().left);
    const found = profiles.find((row) => at_um >= row.md_start_um && at_um < row.md_end_um);
    if (found) onProfile(found);
  };
  return html`
    <div class="mass-map">
      <canvas ref=${canvas} role="img" aria-label=${t("mass_map.label")} data-testid="mass-map" onClick=${pick}></canvas>
      <div class="key small muted" aria-hidden="true"><span>${t("mass_map.title")}</span>
        <span>${signedPercent(-limit, 0)}<i class="mass-scale"></i>${signedPercent(limit, 0)}</span><span>${t("mass_map.pick")}</span></div>
    </div>`;
}

/** A picture with a column for each profile, the drive side on top: thin film in one colour, thick film in another. */
function columns(profiles, limit) {
  const rows = Math.max(1, ...profiles.map((row) => row.mass_fraction.length));
  const picture = new OffscreenCanvas(Math.max(1, profiles.length), rows);
  const context = picture.getContext("2d");
  const image = context.createImageData(picture.width, rows);
  const [good, thin, thick] = ["film", "series", "mark"].map((name) => channels(colour(name)));
  profiles.forEach((row, column) => {
    const count = row.mass_fraction.length;
    row.mass_fraction.forEach((value, bin) => {
      if (value === null) return;
      const share = Math.min(1, Math.abs(value - 1) / limit);
      const full = value < 1 ? thin : thick;
      const place = 4 * ((count - 1 - bin) * picture.width + column);
      for (let each = 0; each < 3; each += 1) image.data[place + each] = good[each] + share * (full[each] - good[each]);
      image.data[place + 3] = 255;
    });
  });
  context.putImageData(image, 0, 0);
  return picture;
}

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
