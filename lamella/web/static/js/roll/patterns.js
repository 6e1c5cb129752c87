// Patterns over the defects: a frame about a cluster, ticks at every turn of a roller, a span where a rate is high.
import { patternLabel } from "../parts/film_words.js";
import { label } from "./ground.js";
import { xOf, yOf } from "./view.js";

const PAD_PX = 6;
const LEAST_TICK_PX = 5;
const TICK_PX = 9;

/**
 * @param {CanvasRenderingContext2D} context scaled to CSS pixels
 * @param {object[]} patterns of the roll
 * @param {import("./view.js").View} view
 * @param {import("./view.js").Plot} plot
 * @param {number} width_um of the film
 * @param {Object<string, string>} colours
 * @param {{compact: boolean, selected: string | null}} options
 */
export function drawPatterns(context, patterns, view, plot, width_um, colours, { compact, selected }) {
  context.save();
  context.beginPath();
  context.rect(plot.left, plot.top, plot.width, plot.height);
  context.clip();
  const seen = patterns.filter((row) => row.md_end_um >= view.from && row.md_start_um <= view.to);
  seen.sort((a, b) => (b.pattern === selected) - (a.pattern === selected));
  const boxes = seen.map((row) => ({
    x0: xOf(view, plot, row.md_start_um), x1: xOf(view, plot, row.md_end_um),
    y0: yOf(width_um, plot, row.cd_end_um), y1: yOf(width_um, plot, row.cd_start_um),
  }));
  seen.forEach((row, index) => {
    const lines = SHAPES[row.form](boxes[index], (row.period_um / (view.to - view.from)) * plot.width);
    // A pale line under the dark one: seen on film, on hatching and on defects alike.
    stroked(context, lines, colours.film, row.pattern === selected ? 6 : 4);
    stroked(context, lines, colours.mark, row.pattern === selected ? 3 : 1.5);
  });
  const taken = [];
  if (!compact) seen.forEach((row, index) => named(context, row, boxes[index], plot, colours, taken));
  context.restore();
}

/** What a pattern looks like, by its form, in its box. */
const SHAPES = { cluster: framed, repeat, rate };

function framed(box) {
  const path = new Path2D();
  path.roundRect(box.x0 - PAD_PX, box.y0 - PAD_PX, box.x1 - box.x0 + 2 * PAD_PX, box.y1 - box.y0 + 2 * PAD_PX, PAD_PX);
  return path;
}

/** Ticks on a line; a frame where they would touch. */
function repeat(box, step_px) {
  if (step_px < LEAST_TICK_PX) return framed(box);
  const path = new Path2D();
  const y = (box.y0 + box.y1) / 2;
  path.moveTo(box.x0, y + TICK_PX);
  path.lineTo(box.x1, y + TICK_PX);
  for (let x = box.x0; x <= box.x1 + 1; x += step_px) {
    path.moveTo(x, y + TICK_PX);
    path.lineTo(x, y - TICK_PX);
  }
  return path;
}

/** A trough under the whole stretch. */
function rate(box) {
  const path = new Path2D();
  const bottom = box.y1 - 4;
  path.moveTo(box.x0 + 2, box.y0 + 4);
  path.lineTo(box.x0 + 2, bottom);
  path.lineTo(Math.max(box.x0 + 6, box.x1 - 2), bottom);
  path.lineTo(Math.max(box.x0 + 6, box.x1 - 2), box.y0 + 4);
  return path;
}

function stroked(context, path, colour, width_px) {
  context.strokeStyle = colour;
  context.lineWidth = width_px;
  context.stroke(path);
}

/** Its name where there is room for it that no other name has taken. */
function named(context, pattern, box, plot, colours, taken) {
  const text = patternLabel(pattern);
  context.font = colours.font_small;
  const half = context.measureText(text).width / 2 + 6;
  const middle = (Math.max(box.x0, plot.left) + Math.min(box.x1, plot.left + plot.width)) / 2;
  const x = Math.min(Math.max(middle, plot.left + half), plot.left + plot.width - half);
  const over = pattern.form === "rate" ? box.y1 - 16 : Math.min(box.y0, (box.y0 + box.y1) / 2 - TICK_PX) - PAD_PX - 12;
  const y = over > plot.top + 10 ? over : box.y1 + PAD_PX + 14;
  const place = { x0: x - half, x1: x + half, y0: y - 10, y1: y + 10 };
  if (taken.some((row) => row.x0 < place.x1 && row.x1 > place.x0 && row.y0 < place.y1 && row.y1 > place.y0)) return;
  taken.push(place);
  label(context, text, x, y, colours);
}
