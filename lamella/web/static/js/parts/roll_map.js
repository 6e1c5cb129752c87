// The roll map: two canvases (what lies still, and the defects), moved by wheel, pointer and keys.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../dom.js";
import { metres } from "../format.js";
import { t } from "../i18n.js";
import { DefectTable } from "../roll/defects.js";
import { drawGround } from "../roll/ground.js";
import { drawPatterns } from "../roll/patterns.js";
import { drawDefects, nearest, pixel } from "../roll/raster.js";
import { mdOf, panned, xOf, yOf, zoomed } from "../roll/view.js";
import { colour, theme } from "../store.js";

const REACH_PX = 9;
const NAMES = ["film", "film-line", "sunken", "hatch", "edge", "mark", "muted", "ink", "panel", "p1", "series"];

/**
 * @param {{roll: object, table: DefectTable, view: import("../roll/view.js").View, height: number, compact?: boolean,
 *   selected?: string | null, pattern?: string | null, profile?: object | null, onView?: (change: object | ((now: object) => object)) => void, onSelect?: (defect: string | null) => void}} props
 */
export function RollMap({ roll, table, view, height, compact = false, selected = null, pattern = null, profile = null, onView, onSelect }) {
  const box = useRef(null);
  const ground = useRef(null);
  const points = useRef(null);
  const drag = useRef(null);
  const [width, setWidth] = useState(0);
  const plot = useMemo(
    () => ({
      left: compact ? 58 : 48,
      top: compact ? 10 : 26,
      width: Math.max(10, width - (compact ? 68 : 58)),
      height: height - (compact ? 32 : 48),
    }),
    [width, height, compact],
  );
  const seen = useMemo(() => table.within(view.from, view.to), [table, view]);
  const lost = useMemo(() => sheetsWithKillers(roll, table), [roll.sheets, table]);

  useLayoutEffect(() => {
    const watcher = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    watcher.observe(box.current);
    return () => watcher.disconnect();
  }, []);

  useLayoutEffect(() => {
    if (!width) return;
    const scale = devicePixelRatio || 1;
    for (const canvas of [ground.current, points.current]) {
      if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
        canvas.width = Math.round(width * scale);
        canvas.height = Math.round(height * scale);
      }
    }
    const colours = Object.fromEntries(NAMES.map((name) => [name, colour(name)]));
    colours.font_small = `12px ${colour("font")}`;
    const below = ground.current.getContext("2d");
    below.setTransform(scale, 0, 0, scale, 0, 0);
    below.font = colours.font_small;
    drawGround(below, roll, view, plot, colours, { compact, lost });
    const above = points.current.getContext("2d");
    above.setTransform(1, 0, 0, 1, 0, 0);
    above.clearRect(0, 0, points.current.width, points.current.height);
    const device = Object.fromEntries(Object.entries(plot).map(([name, value]) => [name, Math.round(value * scale)]));
    drawDefects(above, table, seen, view, device, roll.width_um, scale, {
      dot: pixel(colour("dot")), mark: pixel(colour("mark")), killer: pixel(colour("p1")), outline: pixel(colour("outline")),
    });
    above.setTransform(scale, 0, 0, scale, 0, 0);
    drawPatterns(above, roll.patterns, view, plot, roll.width_um, colours, { compact, selected: pattern });
    if (profile) underlined(above, profile, view, plot, colours);
    const chosenPattern = roll.patterns.find((row) => row.pattern === pattern);
    // A cluster has its frame; rings about so near things would hide them.
    const members = new Set(chosenPattern?.form === "cluster" ? [] : chosenPattern?.defects);
    for (const index of members.size ? seen : []) {
      if (members.has(table.rows[index].defect)) ringed(above, table.rows[index], view, plot, roll.width_um, 8);
    }
    const chosen = table.rows.find((row) => row.defect === selected);
    if (chosen) ringed(above, chosen, view, plot, roll.width_um, 12);
  }, [roll, table, view, width, height, selected, pattern, profile, theme.value]);

  // A wheel that zooms must not scroll the page as well, which only a listener that is not passive can say.
  useEffect(() => {
    if (!onView) return undefined;
    const wheel = (event) => {
      event.preventDefault();
      const x = event.clientX - box.current.getBoundingClientRect().left;
      onView((now) => zoomed(now, Math.exp(Math.sign(event.deltaY) * 0.25), mdOf(now, plot, x)));
    };
    const canvas = points.current;
    canvas.addEventListener("wheel", wheel, { passive: false });
    return () => canvas.removeEventListener("wheel", wheel);
  }, [plot, onView]);

  const down = (event) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    drag.current = { x: event.clientX, view, moved: false };
  };
  const move = (event) => {
    const start = drag.current;
    if (!start || !onView) return;
    const dx = event.clientX - start.x;
    if (Math.abs(dx) > 3) start.moved = true;
    if (start.moved) onView(panned(start.view, (-dx / plot.width) * (start.view.to - start.view.from)));
  };
  const up = (event) => {
    const start = drag.current;
    drag.current = null;
    if (!start || start.moved || !onSelect) return;
    const place = box.current.getBoundingClientRect();
    const index = nearest(table, seen, view, plot, roll.width_um, event.clientX - place.left, event.clientY - place.top, REACH_PX);
    onSelect(index < 0 ? null : table.rows[index].defect);
  };

  const text = t("roll.map_label", {
    roll: roll.roll, from: metres(view.from), to: metres(view.to), defects: seen.length,
    killers: seen.filter((index) => table.grade[index] === 2).length,
  });
  return html`
    <div class="roll-map" ref=${box} style=${{ height: `${height}px` }} data-testid="roll-map" role="img" aria-label=${text}>
      <canvas ref=${ground} style=${{ width: `${width}px`, height: `${height}px` }}></canvas>
      <canvas ref=${points} class=${onView ? "moves" : ""} style=${{ width: `${width}px`, height: `${height}px` }}
        onPointerDown=${onView || onSelect ? down : null} onPointerMove=${move} onPointerUp=${up}></canvas>
    </div>`;
}

/** A double ring that is seen on any ground. */
function ringed(context, defect, view, plot, width_um, radius) {
  const x = xOf(view, plot, (defect.md_start_um + defect.md_end_um) / 2);
  const y = yOf(width_um, plot, (defect.cd_start_um + defect.cd_end_um) / 2);
  for (const [line, stroke] of [[4, "#000"], [2, "#fff"]]) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.lineWidth = line;
    context.strokeStyle = stroke;
    context.stroke();
  }
}

/** Where the chosen profile was measured: a bar below the film. */
function underlined(context, profile, view, plot, colours) {
  const from = Math.max(plot.left, xOf(view, plot, profile.md_start_um));
  const to = Math.min(plot.left + plot.width, xOf(view, plot, profile.md_end_um));
  if (to < plot.left || from > plot.left + plot.width) return;
  context.fillStyle = colours.series;
  context.fillRect(from, plot.top + plot.height + 1, Math.max(3, to - from), 4);
}

function sheetsWithKillers(roll, table) {
  const lost = new Set();
  for (const killer of table.killers) {
    for (const sheet of roll.sheets) {
      const along = killer.md_start_um < sheet.end_um && killer.md_end_um > sheet.start_um;
      if (along && (sheet.lane === killer.lane || !killer.lane)) lost.add(sheet.sheet);
    }
  }
  return lost;
}
