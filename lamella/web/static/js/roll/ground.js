// What lies under the defects: film, lanes, sheets, uninspected stretches, streaks, axes.
import { metres, millimetres, number } from "../format.js";
import { t } from "../i18n.js";
import { whyText } from "../parts/film_words.js";
import { step, ticks, xOf, yOf } from "./view.js";

const SHEET_PX = 6;
const SHEET_NAME_PX = 58;

/**
 * @param {CanvasRenderingContext2D} context scaled to CSS pixels
 * @param {object} roll as the API gives it
 * @param {import("./view.js").View} view
 * @param {import("./view.js").Plot} plot
 * @param {Object<string, string>} colours
 * @param {{compact: boolean, lost: Set<string>}} options `lost` names the sheets that hold a killer
 */
export function drawGround(context, roll, view, plot, colours, { compact, lost }) {
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  context.fillStyle = colours.sunken;
  context.fillRect(plot.left, plot.top, plot.width, plot.height);
  const left = Math.max(plot.left, xOf(view, plot, 0));
  const right = Math.min(plot.left + plot.width, xOf(view, plot, roll.length_um));
  context.fillStyle = colours.film;
  context.fillRect(left, plot.top, Math.max(0, right - left), plot.height);
  context.save();
  context.beginPath();
  context.rect(plot.left, plot.top, plot.width, plot.height);
  context.clip();
  for (const span of roll.uninspected) hatched(context, span, view, plot, colours);
  if (!compact) sheets(context, roll, view, plot, colours, lost);
  lanes(context, roll, view, plot, colours, compact);
  for (const span of roll.uninspected) hatchedLabel(context, span, view, plot, colours);
  context.restore();
  streaks(context, roll, view, plot, colours, compact);
  axes(context, roll, view, plot, colours, compact);
}

function hatched(context, span, view, plot, colours) {
  const from = Math.max(plot.left, xOf(view, plot, span.start_um));
  const to = Math.min(plot.left + plot.width, xOf(view, plot, span.end_um));
  if (to <= from) return;
  context.save();
  context.beginPath();
  context.rect(from, plot.top, Math.max(1, to - from), plot.height);
  context.clip();
  // A gap narrower than a pixel is paler than one, so that many small gaps do not look like one large one.
  context.globalAlpha = Math.max(0.3, Math.min(1, to - from));
  context.fillStyle = colours.sunken;
  context.fillRect(from, plot.top, to - from, plot.height);
  context.strokeStyle = colours.hatch;
  context.lineWidth = 1;
  context.beginPath();
  // Lines stand on the film, so that they do not swim when it is moved.
  const origin = xOf(view, plot, 0) % 8;
  for (let x = from - plot.height - ((from - plot.height - origin) % 8); x < to; x += 8) {
    context.moveTo(x, plot.top + plot.height);
    context.lineTo(x + plot.height, plot.top);
  }
  context.stroke();
  context.restore();
}

function hatchedLabel(context, span, view, plot, colours) {
  const from = Math.max(plot.left, xOf(view, plot, span.start_um));
  const to = Math.min(plot.left + plot.width, xOf(view, plot, span.end_um));
  context.font = colours.font_small;
  const why = whyText(span.label);
  const text = why !== t("roll.uninspected_short") ? t("roll.uninspected", { why }) : "";
  for (const each of [text, t("roll.uninspected_short")]) {
    if (each && context.measureText(each).width + 14 < to - from) {
      label(context, each, (from + to) / 2, plot.top + plot.height / 2, colours);
      break;
    }
  }
}

function lanes(context, roll, view, plot, colours, compact) {
  context.strokeStyle = colours.edge;
  context.lineWidth = 1;
  context.setLineDash([6, 4]);
  for (const lane of roll.lanes) {
    for (const um of [lane.cd_low_um, lane.cd_high_um]) {
      const y = Math.round(yOf(roll.width_um, plot, um)) + 0.5;
      context.beginPath();
      context.moveTo(plot.left, y);
      context.lineTo(plot.left + plot.width, y);
      context.stroke();
    }
    if (!compact) {
      const middle = yOf(roll.width_um, plot, lane.cd_high_um) + 11;
      label(context, t("roll.lane", { lane: lane.number }), plot.left + 30, middle, colours);
    }
  }
  context.setLineDash([]);
}

function sheets(context, roll, view, plot, colours, lost) {
  const first = roll.sheets[0];
  if (!first) return;
  const width_px = ((first.end_um - first.start_um) / (view.to - view.from)) * plot.width;
  const bounds = new Map(roll.lanes.map((lane) => [lane.number, lane]));
  for (const sheet of roll.sheets) {
    const isLost = lost.has(sheet.sheet);
    if (sheet.end_um < view.from || sheet.start_um > view.to || (width_px < SHEET_PX && !isLost)) continue;
    const lane = bounds.get(sheet.lane);
    if (!lane) continue;
    const x = xOf(view, plot, sheet.start_um);
    const y = yOf(roll.width_um, plot, lane.cd_high_um);
    const height = yOf(roll.width_um, plot, lane.cd_low_um) - y;
    context.strokeStyle = isLost ? colours.p1 : colours["film-line"];
    context.lineWidth = isLost ? 2 : 1;
    context.strokeRect(x + 0.5, y + (isLost ? 2 : 0.5), Math.max(2, width_px - 1), height - (isLost ? 4 : 1));
    if (width_px > SHEET_NAME_PX) {
      context.fillStyle = colours.muted;
      context.textAlign = "center";
      context.font = colours.font_small;
      context.fillText(sheet.unit ? fitting(context, sheet.unit, width_px - 8) : t("roll.waiting"), x + width_px / 2, y + height - 18);
      if (sheet.unit) context.fillText(t("roll.layer", { layer: sheet.layer }), x + width_px / 2, y + height - 5);
    }
  }
}

/** The end of a name, which tells it from its neighbours, as long as there is room. */
function fitting(context, name, room_px) {
  if (context.measureText(name).width <= room_px) return name;
  for (let start = 1; start < name.length; start += 1) {
    const text = `…${name.slice(start)}`;
    if (context.measureText(text).width <= room_px) return text;
  }
  return "";
}

function streaks(context, roll, view, plot, colours, compact) {
  context.font = colours.font_small;
  context.textAlign = "left";
  let free = plot.left;
  for (const span of roll.streaks) {
    const from = Math.max(plot.left, xOf(view, plot, span.start_um));
    const to = Math.min(plot.left + plot.width, xOf(view, plot, span.end_um));
    if (to <= from) continue;
    context.fillStyle = colours.mark;
    context.fillRect(from, plot.top - 5, Math.max(3, to - from), 3);
    context.fillRect(from, plot.top - 8, 2, 8);
    context.fillRect(Math.max(from, to - 2), plot.top - 8, 2, 8);
    if (compact) continue;
    const width = context.measureText(span.label).width;
    const at = Math.min(from + 5, plot.left + plot.width - width);
    // A label that has no room before its neighbour is left out; the bars above the film remain.
    if (at < free) continue;
    context.fillText(span.label, at, plot.top - 10);
    free = at + width + 12;
  }
}

function axes(context, roll, view, plot, colours, compact) {
  context.strokeStyle = colours.edge;
  context.lineWidth = 1;
  context.strokeRect(plot.left + 0.5, plot.top + 0.5, plot.width - 1, plot.height - 1);
  context.fillStyle = colours.muted;
  context.font = colours.font_small;
  context.textAlign = "center";
  const by = step((view.to - view.from) / 1e6, plot.width, 90);
  const digits = Math.max(0, -Math.floor(Math.log10(by)));
  const bottom = plot.top + plot.height;
  for (const m of ticks(view.from / 1e6, view.to / 1e6, by)) {
    const x = Math.round(xOf(view, plot, 1e6 * m)) + 0.5;
    context.beginPath();
    context.moveTo(x, bottom);
    context.lineTo(x, bottom + 4);
    context.stroke();
    if (x < plot.left + plot.width - 14) context.fillText(metres(1e6 * m, digits), x, bottom + 15);
  }
  context.textAlign = "right";
  const cd_by = plot.height > 180 ? 50 : 100;
  for (let mm = 0; mm <= roll.width_um / 1e3; mm += cd_by) {
    const y = Math.round(yOf(roll.width_um, plot, 1e3 * mm)) + 0.5;
    context.beginPath();
    context.moveTo(plot.left - 4, y);
    context.lineTo(plot.left, y);
    context.stroke();
    context.fillText(compact ? millimetres(1e3 * mm, 0) : number(mm), plot.left - 7, y + 4);
  }
  if (compact) return;
  context.save();
  context.translate(11, plot.top + plot.height / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(t("roll.cd_axis"), 0, 0);
  context.restore();
}

/** A word on a ground of its own. */
export function label(context, text, x, y, colours) {
  context.font = colours.font_small;
  context.textAlign = "center";
  const width = context.measureText(text).width + 10;
  context.fillStyle = colours.panel;
  context.globalAlpha = 0.88;
  context.fillRect(x - width / 2, y - 9, width, 17);
  context.globalAlpha = 1;
  context.fillStyle = colours.ink;
  context.fillText(text, x, y + 4);
}
