// Numbers, lengths and times as people read them, each with its unit. Plant time is shown in UTC, 24 h.
import { language } from "./i18n.js";

const NBSP = "\u00a0";
const NONE = "–";

/** @param {number | null | undefined} value @param {number} digits */
export function number(value, digits = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(language.value, options).format(value);
}

const withUnit = (text, unit) => (text === NONE ? NONE : `${text}${NBSP}${unit}`);

/** Metres from micrometres. @param {number} um */
export const metres = (um, digits = 2) => withUnit(number(um / 1e6, digits), "m");
/** Millimetres from micrometres. @param {number} um */
export const millimetres = (um, digits = 1) => withUnit(number(um / 1e3, digits), "mm");
/** @param {number} um */
export const micrometres = (um) => withUnit(number(um), "µm");
/** Per cent from a fraction. @param {number | null} fraction */
export const percent = (fraction, digits = 1) =>
  withUnit(number(fraction === null || fraction === undefined ? null : 100 * fraction, digits), "%");

/** Per cent with its sign, from a fraction. @param {number | null} fraction */
export const signedPercent = (fraction, digits = 1) => `${fraction > 0 ? "+" : ""}${percent(fraction, digits)}`.replace("-", "−");

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const LEAST_CHANCE = 1e-12;

/** A small probability, `2·10⁻⁵`. @param {number | null | undefined} p */
export function chance(p) {
  if (p === null || p === undefined) return NONE;
  if (p >= 0.001) return number(p, 3);
  const [, digit, power] = /^(\d)e(-\d+)$/.exec(Math.max(p, LEAST_CHANCE).toExponential(0));
  const small = `${digit}·10${[...power].map((each) => SUPERSCRIPTS[each]).join("")}`;
  return p < LEAST_CHANCE ? `< ${small}` : small;
}

/** Wall seconds, coarse when long. @param {number | null} seconds */
export function age(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 120) return withUnit(number(seconds, seconds < 10 ? 1 : 0), "s");
  if (seconds < 7200) return withUnit(number(seconds / 60), "min");
  return withUnit(number(seconds / 3600, 1), "h");
}

/** How long from one moment to another. @param {string} from @param {string} to */
export const between = (from, to) => age((Date.parse(to) - Date.parse(from)) / 1000);

const two = (value) => String(value).padStart(2, "0");

/** `06:41:07` UTC. @param {string | number | null} moment ISO text or milliseconds */
export function clock(moment) {
  if (moment === null || moment === undefined) return NONE;
  const at = new Date(moment);
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
}

/** `2026-11-24`. @param {string | number | null} moment */
export function day(moment) {
  if (moment === null || moment === undefined) return NONE;
  const at = new Date(moment);
  return `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
}

/** `2026-11-24 06:41`. @param {string | number | null} moment */
export const minute = (moment) => (moment === null || moment === undefined ? NONE : `${day(moment)} ${clock(moment).slice(0, 5)}`);

/** `60×` from plant seconds per wall second. @param {number | null} speed */
export function pace(speed) {
  if (speed === null || speed === undefined) return "";
  return `${number(speed, speed < 3 ? 1 : 0).replace(/[.,]0$/, "")}×`;
}
