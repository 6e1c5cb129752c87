// Thickness across the web, from transmission: one profile of a roll, its edge beads, and the gauge on the same film.
import { html } from "../dom.js";
import { metres, micrometres, millimetres, minute, number, percent, signedPercent } from "../format.js";
import { t } from "../i18n.js";
import { names } from "../store.js";
import { Empty, Panel } from "./common.js";
import { Alarm, Glyph } from "./glyphs.js";
import { ProfileChart } from "./profile_chart.js";

/** Profiles along the roll: the order in which the twin gives the gauge's values, which deltas do not keep. */
export const inOrder = (profiles) =>
  [...profiles].sort((a, b) => a.md_start_um - b.md_start_um || (a.camera < b.camera ? -1 : 1));

/**
 * The profile of a roll at a place, else the latest, with its neighbours and the gauge beside it; null without any.
 * @param {object} roll as the API gives it
 * @param {object[]} all its profiles, in order
 * @param {string | null} at_m where the wanted one begins
 */
export function profileAt(roll, all, at_m) {
  if (!all.length) return null;
  const wanted = at_m === null ? -1 : all.findIndex((row) => (row.md_start_um / 1e6).toFixed(3) === at_m);
  const place = wanted < 0 ? all.length - 1 : wanted;
  return {
    profile: all[place], all, gauge: roll.gauge_mass_fraction[place] ?? null, lanes: roll.lanes, width_um: roll.width_um, place, count: all.length,
    before: all[place - 1] ?? null, after: all[place + 1] ?? null,
  };
}

export function ProfilePanel({ measured, onProfile }) {
  if (!measured) return html`<${Panel} title=${t("profile.title")} testid="profile"><${Empty}>${t("profile.none")}<//><//>`;
  const { profile, gauge, lanes, before, after } = measured;
  const steer = html`
    <div class="row" role="toolbar" aria-label=${t("profile.tools")}>
      <button data-testid="profile-before" disabled=${!before} onClick=${() => onProfile(before)}>◂ ${t("profile.before")}</button>
      <span class="muted small" data-testid="profile-place">MD ${number(profile.md_start_um / 1e6, 2)}–${metres(profile.md_end_um)} · ${t("count.of", { part: measured.place + 1, whole: measured.count })}</span>
      <button data-testid="profile-after" disabled=${!after} onClick=${() => onProfile(after)}>${t("profile.after")} ▸</button>
      <button data-testid="profile-latest" disabled=${!after} onClick=${() => onProfile(null)}>${t("profile.latest")}</button>
    </div>`;
  return html`
    <${Panel} title=${t("profile.title")} testid="profile" extra=${steer}>
      <div class="profile">
        <${ProfileChart} profile=${profile} gauge=${gauge} lanes=${lanes} width_um=${measured.width_um} />
        <${Figures} profile=${profile} gauge=${gauge} lanes=${lanes} />
      </div>
    <//>`;
}

/** Bins whose middle lies in a lane, which is the film that is used. */
function usedBins(profile, lanes) {
  const isUsed = (cd_um) => lanes.some((lane) => cd_um >= lane.cd_low_um && cd_um < lane.cd_high_um);
  return profile.mass_fraction
    .map((value, index) => ({ value, cd_um: profile.cd_start_um + (index + 0.5) * profile.cd_step_um }))
    .filter((bin) => bin.value !== null && isUsed(bin.cd_um));
}

function Figures({ profile, gauge, lanes }) {
  const bins = usedBins(profile, lanes);
  const limits = names.value ?? { film_mass_g_per_m2: 0, film_mean_limit_fraction: 0, film_spot_limit_fraction: 0, edge_bead_limit_fraction: 0 };
  const mean = bins.length ? bins.reduce((sum, bin) => sum + bin.value, 0) / bins.length : null;
  const mass = (fraction) => t("profile.mass", { value: number(fraction === null ? null : fraction * limits.film_mass_g_per_m2, 2) });
  const worst = bins.length ? bins.reduce((a, b) => (Math.abs(b.value - 1) > Math.abs(a.value - 1) ? b : a)) : null;
  return html`
    <dl class="facts">
      <dt>${t("profile.mean")}</dt>
      <dd data-testid="profile-mean"><${Limited} deviation=${mean === null ? null : mean - 1} limit=${limits.film_mean_limit_fraction}>${mass(mean)}<//>${" "}
        <div class="muted small">± ${mass(profile.mass_uncertainty_fraction)} ${t("card.k2")}, ${t("profile.allowed", { limit: percent(limits.film_mean_limit_fraction, 0) })}</div></dd>
      <dt>${t("profile.worst")}</dt>
      <dd data-testid="profile-worst">${worst ? html`<${Limited} deviation=${worst.value - 1} limit=${limits.film_spot_limit_fraction}>CD ${millimetres(worst.cd_um, 0)}<//>` : "–"}
        <div class="muted small">${t("profile.allowed", { limit: percent(limits.film_spot_limit_fraction, 0) })}</div></dd>
      <dt>${t("profile.gauge")}</dt>
      <dd data-testid="profile-gauge">${gauge === null
        ? html`<span class="muted">${t("profile.no_gauge")}</span>`
        : html`<b>${signedPercent(gauge - 1)}</b> ${mass(gauge)}<div class="muted small">${t("profile.camera_less_gauge", { value: mean === null ? "–" : signedPercent(mean - gauge) })}</div>`}</dd>
      <dt>${t("profile.bead_operator")}</dt>
      <dd data-testid="profile-bead-low"><${Bead} height=${profile.bead_low_fraction} reach_um=${profile.bead_low_um} limit=${limits.edge_bead_limit_fraction} /></dd>
      <dt>${t("profile.bead_drive")}</dt>
      <dd data-testid="profile-bead-high"><${Bead} height=${profile.bead_high_fraction} reach_um=${profile.bead_high_um} limit=${limits.edge_bead_limit_fraction} /></dd>
      <dt>${t("profile.edges")}</dt>
      <dd>CD ${number(profile.edge_low_um / 1e3, 1)}–${millimetres(profile.edge_high_um)}</dd>
      <dt>${t("defects.verdict")}</dt>
      <dd data-testid="profile-verdict">${profile.verdict === "pass" ? t("verdict.pass") : html`<b>${t(`verdict.${profile.verdict}`)}</b>`}${profile.reason && html`<span class="muted small"> ${profile.reason}</span>`}</dd>
      <dt>${t("card.seen")}</dt><dd>${profile.camera}, ${minute(profile.at)} UTC</dd>
    </dl>`;
}

/** A deviation from good film, framed when it passes its limit. */
function Limited({ deviation, limit, children }) {
  if (deviation === null) return "–";
  const text = signedPercent(deviation);
  return limit && Math.abs(deviation) > limit
    ? html`<${Alarm} priority=${2}>${text}<//> ${children}`
    : html`<b>${text}</b> ${children}`;
}

const BEAD_SCALE = 2;

/** A bead as a bar against its limit, and in figures. */
function Bead({ height, reach_um, limit }) {
  const share = limit ? Math.min(1, Math.max(0, height / (BEAD_SCALE * limit))) : 0;
  const isOver = limit > 0 && height > limit;
  return html`
    <div class="bead">
      <span class="bead-bar" role="img" aria-label=${t("profile.bead_label", { height: signedPercent(height), limit: signedPercent(limit, 0) })}>
        <i class=${isOver ? "over" : ""} style=${{ width: `${100 * share}%` }}></i><b style=${{ left: `${100 / BEAD_SCALE}%` }}></b>
      </span>
      ${isOver ? html`<${Alarm} priority=${2}>${signedPercent(height)}<//>` : html`<b>${signedPercent(height)}</b>`}${" "}
      <span class="muted small">${t("profile.bead_limit", { limit: signedPercent(limit, 0), reach: reach_um < 1000 ? micrometres(reach_um) : millimetres(reach_um) })}</span>
    </div>`;
}
