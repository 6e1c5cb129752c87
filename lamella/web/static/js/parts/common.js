// Small parts that several pages use.
import { html } from "../dom.js";
import { number, percent } from "../format.js";
import { t } from "../i18n.js";

/** A panel with a heading. */
export const Panel = ({ title, testid, className = "", children, extra = null }) => html`
  <section class=${`panel ${className}`} data-testid=${testid} aria-label=${title}>
    <div class="row spread"><h2>${title}</h2>${extra}</div>
    ${children}
  </section>`;

/** What stands where something is fetched, unknown, or not there. */
export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

/** The page's word while there is nothing to show, or null when there is. */
export function waiting(value) {
  if (!value) return html`<div class="notice" data-testid="waiting">${t("page.waiting")}</div>`;
  if (value.unknown) {
    return html`<div class="notice" role="status" data-testid="unknown"><h1>${t("page.not_known")}</h1>${value.unknown}</div>`;
  }
  return null;
}

/**
 * A probability or yield with its interval, as a number and as a bar from `from` to 1.
 * @param {{value: number, low: number, high: number, from?: number, label: string}} props
 */
export function Interval({ value, low, high, from = 0, label }) {
  const place = (fraction) => `${(100 * (Math.min(1, Math.max(from, fraction)) - from)) / (1 - from)}%`;
  const width = `${(100 * (Math.min(1, high) - Math.max(from, low))) / (1 - from)}%`;
  return html`
    <div class="interval" role="img" aria-label=${label}>
      <div class="track">
        <div class="span" style=${{ left: place(low), width }}></div>
        <div class="tick" style=${{ left: place(value) }}></div>
      </div>
      <div class="scale small muted"><span>${percent(from, 0)}</span><span>${percent((1 + from) / 2, 0)}</span><span>${percent(1, 0)}</span></div>
    </div>`;
}

/** Where the interval bar begins: the largest of 0, 50, 80 % that still shows the whole interval. */
export const barStart = (low) => [0.8, 0.5, 0].find((start) => low > start) ?? 0;

/** Which cells a forecast speaks of: those to come from the newest film, or the open ones. */
export function forecastCells(forecast) {
  const key = forecast.name.endsWith("of the newest film") ? "yield.of_film" : "yield.of_cells";
  return t(key, { cells: number(forecast.cells_count) });
}

/** `118 of 126`. */
export const outOf = (part, whole) => t("count.of", { part: number(part), whole: number(whole) });
