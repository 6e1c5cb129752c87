// Defects into pixels by hand: 100,000 of them move at the screen's own rate on a machine without a graphics card.
import { KILLER, MARK } from "./defects.js";
import { xOf, yOf } from "./view.js";

/** Above so many defects in the window the unimportant ones become density bins. */
export const DENSE = 8_000;
const BIN_PX = 6;

/**
 * @typedef {{dot: number, mark: number, killer: number, outline: number}} Palette 32-bit pixels, see `pixel`
 */

/** A 32-bit pixel of a CSS colour `#rrggbb`. @param {string} hex @param {number} [alpha] */
export function pixel(hex, alpha = 255) {
  const value = parseInt(hex.slice(1, 7), 16);
  return ((alpha << 24) | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

/**
 * Draw the defects of a window.
 * @param {CanvasRenderingContext2D} context
 * @param {import("./defects.js").DefectTable} table
 * @param {number[]} seen indices of the defects in the window
 * @param {import("./view.js").View} view
 * @param {import("./view.js").Plot} plot in device pixels
 * @param {number} width_um of the film
 * @param {number} scale device pixels per CSS pixel
 * @param {Palette} palette
 */
export function drawDefects(context, table, seen, view, plot, width_um, scale, palette) {
  const image = context.createImageData(plot.width, plot.height);
  const pixels = new Uint32Array(image.data.buffer);
  const origin = { left: 0, top: 0, width: plot.width, height: plot.height };
  const brush = { pixels, width: plot.width, height: plot.height };
  const place = (index) => [
    Math.round(xOf(view, origin, table.start[index])),
    Math.round(xOf(view, origin, table.end[index])),
    Math.round(yOf(width_um, origin, table.cd[index])),
  ];
  if (seen.length > DENSE) bins(brush, table, seen, view, width_um, scale, palette);
  for (let pass = seen.length > DENSE ? KILLER : 0; pass <= KILLER; pass += 1) {
    for (const index of seen) {
      if (table.grade[index] !== pass) continue;
      const [x0, x1, y] = place(index);
      if (pass === KILLER) killer(brush, x0, x1, y, scale, palette);
      else if (pass === MARK) ring(brush, x0, x1, y, scale, palette.mark);
      else box(brush, x0 - scale, y - scale, Math.max(x1, x0 + scale), y + scale, palette.dot);
    }
  }
  context.putImageData(image, plot.left, plot.top);
}

function bins(brush, table, seen, view, width_um, scale, palette) {
  const size = Math.round(BIN_PX * scale);
  const perUm = brush.width / (view.to - view.from);
  const columns = Math.ceil(brush.width / size);
  const counts = new Uint32Array(columns * Math.ceil(brush.height / size));
  let most = 1;
  for (const index of seen) {
    if (table.grade[index] === KILLER) continue;
    const x = (table.start[index] - view.from) * perUm;
    const y = (1 - table.cd[index] / width_um) * brush.height;
    if (x < 0 || y < 0 || x >= brush.width || y >= brush.height) continue;
    const bin = Math.floor(y / size) * columns + Math.floor(x / size);
    counts[bin] += 1;
    most = Math.max(most, counts[bin]);
  }
  for (let bin = 0; bin < counts.length; bin += 1) {
    if (!counts[bin]) continue;
    const alpha = 40 + Math.round((200 * counts[bin]) / most);
    const x = (bin % columns) * size;
    const y = Math.floor(bin / columns) * size;
    box(brush, x, y, x + size - 1, y + size - 1, ((palette.mark & 0xffffff) | (alpha << 24)) >>> 0);
  }
}

/** A filled diamond with an outline, or an outlined bar when the defect is long. */
function killer(brush, x0, x1, y, scale, palette) {
  const radius = Math.round(5 * scale);
  if (x1 - x0 > 2 * radius) {
    box(brush, x0 - scale, y - 3 * scale, x1 + scale, y + 3 * scale, palette.outline);
    box(brush, x0, y - 2 * scale, x1, y + 2 * scale, palette.killer);
    return;
  }
  const x = Math.round((x0 + x1) / 2);
  for (let row = -radius; row <= radius; row += 1) {
    const half = radius - Math.abs(row);
    box(brush, x - half, y + row, x + half, y + row, palette.outline);
    const inner = half - Math.ceil(1.4 * scale);
    if (inner >= 0) box(brush, x - inner, y + row, x + inner, y + row, palette.killer);
  }
}

/** A hollow square, or a hollow bar when the defect is long. */
function ring(brush, x0, x1, y, scale, colour) {
  const half = Math.round(3 * scale);
  const left = x0 - half;
  const right = Math.max(x1, x0) + half;
  const line = Math.max(1, Math.round(1.4 * scale)) - 1;
  box(brush, left, y - half, right, y - half + line, colour);
  box(brush, left, y + half - line, right, y + half, colour);
  box(brush, left, y - half, left + line, y + half, colour);
  box(brush, right - line, y - half, right, y + half, colour);
}

function box(brush, x0, y0, x1, y1, colour) {
  const left = Math.max(0, Math.round(x0));
  const right = Math.min(brush.width - 1, Math.round(x1));
  const top = Math.max(0, Math.round(y0));
  const bottom = Math.min(brush.height - 1, Math.round(y1));
  for (let y = top; y <= bottom; y += 1) brush.pixels.fill(colour, y * brush.width + left, y * brush.width + Math.max(left, right + 1));
}

/**
 * The defect nearest to a place, killers first; -1 when none is within reach.
 * @param {import("./defects.js").DefectTable} table @param {number[]} seen
 * @param {import("./view.js").View} view @param {import("./view.js").Plot} plot @param {number} width_um
 * @param {number} x @param {number} y @param {number} reach_px
 */
export function nearest(table, seen, view, plot, width_um, x, y, reach_px) {
  let best = -1;
  let least = Infinity;
  for (const index of seen) {
    const x0 = xOf(view, plot, table.start[index]);
    const x1 = xOf(view, plot, table.end[index]);
    const dx = x < x0 ? x0 - x : x > x1 ? x - x1 : 0;
    const distance = Math.hypot(dx, y - yOf(width_um, plot, table.cd[index]));
    if (distance > reach_px) continue;
    const rank = distance - (table.grade[index] === KILLER ? reach_px : 0);
    if (rank < least) {
      least = rank;
      best = index;
    }
  }
  return best;
}
