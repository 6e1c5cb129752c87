// Arithmetic of the window on a roll. Pure. Positions are micrometres, MD along the roll, CD across it.

export const LEAST_SPAN_UM = 200_000;

/**
 * @typedef {{from: number, to: number}} View what of the roll is seen, MD
 * @typedef {{left: number, top: number, width: number, height: number}} Plot where it is drawn, pixels
 */

/** The whole roll. @param {number} length_um @returns {View} */
export const fitted = (length_um) => ({ from: 0, to: Math.max(length_um, LEAST_SPAN_UM) });

/** @param {View} view @param {number} length_um @returns {View} */
export function inside(view, length_um) {
  const most = Math.max(length_um, LEAST_SPAN_UM);
  const span = Math.min(Math.max(view.to - view.from, LEAST_SPAN_UM), most);
  const from = Math.min(Math.max(0, view.from), most - span);
  return { from, to: from + span };
}

/** @param {View} view @param {number} factor below 1 zooms in @param {number} at_um stays where it is */
export const zoomed = (view, factor, at_um) => ({
  from: at_um - (at_um - view.from) * factor,
  to: at_um + (view.to - at_um) * factor,
});

/** @param {View} view @param {number} by_um */
export const panned = (view, by_um) => ({ from: view.from + by_um, to: view.to + by_um });

/** The window moved so that a place is seen, with room around it. @param {View} view @param {number} at_um */
export function showing(view, at_um) {
  const span = view.to - view.from;
  const isSeen = at_um > view.from + 0.05 * span && at_um < view.to - 0.05 * span;
  return isSeen ? view : { from: at_um - span / 2, to: at_um + span / 2 };
}

/** Pixel of an MD position. @param {View} view @param {Plot} plot @param {number} um */
export const xOf = (view, plot, um) => plot.left + ((um - view.from) / (view.to - view.from)) * plot.width;

/** MD position of a pixel. @param {View} view @param {Plot} plot @param {number} x */
export const mdOf = (view, plot, x) => view.from + ((x - plot.left) / plot.width) * (view.to - view.from);

/** Pixel of a CD position; the operator side is at the bottom. @param {number} width_um @param {Plot} plot @param {number} um */
export const yOf = (width_um, plot, um) => plot.top + (1 - um / width_um) * plot.height;

/** A round step that leaves at least `least_px` between ticks. @param {number} span @param {number} pixels @param {number} least_px */
export function step(span, pixels, least_px) {
  const raw = (span * least_px) / Math.max(1, pixels);
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
}

/** Multiples of a step between two values. @param {number} from @param {number} to @param {number} by */
export function ticks(from, to, by) {
  const found = [];
  for (let value = Math.ceil(from / by) * by; value <= to; value += by) found.push(value);
  return found;
}
