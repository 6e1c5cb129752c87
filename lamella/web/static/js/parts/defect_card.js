// One defect in full: picture, measurement, verdict, who said so, and which cells it is in.
import { html, useState } from "../dom.js";
import { clock, day, metres, micrometres, millimetres, number, percent } from "../format.js";
import { useAnswer } from "../hooks.js";
import { t } from "../i18n.js";
import { cellAddress } from "../router.js";
import { defectTitle, stationName } from "../store.js";
import { Alarm, Glyph, verdictGlyph } from "./glyphs.js";

/** @param {{id: string | null, known: object | null}} props `known` is shown until the twin has answered */
export function DefectCard({ id, known }) {
  const answer = useAnswer(id && `/api/v1/defects/${encodeURIComponent(id)}`);
  const defect = known ?? answer.data?.defect ?? null;
  if (!id) {
    return html`<aside class="panel card" aria-label=${t("card.title")}><h2>${t("card.title")}</h2><p class="muted">${t("card.none")}</p></aside>`;
  }
  if (!defect) {
    return html`<aside class="panel card" aria-label=${t("card.title")}><h2>${t("card.title")}</h2><p class="muted">${answer.problem ?? t("page.waiting")}</p></aside>`;
  }
  return html`
    <aside class="panel card" aria-label=${t("card.title")} data-testid="defect-card" aria-live="polite">
      <div class="row spread">
        <h3><${Glyph} name=${verdictGlyph(defect.verdict)} />${defectTitle(defect.kind)} <span class="muted">${defect.kind}</span></h3>
        ${defect.verdict === "reject"
          ? html`<${Alarm} priority=${1}>${t("verdict.reject")}<//>`
          : html`<b>${t(`verdict.${defect.verdict}`)}</b>`}
      </div>
      <${Picture} defect=${defect} key=${defect.image} />
      <dl class="facts">
        <dt>${t("card.reason")}</dt><dd data-testid="card-reason">${defect.reason || "–"}</dd>
        <dt>${t("card.place")}</dt><dd data-testid="card-place">MD ${metres(defect.md_start_um, 3)}${long(defect)}, CD ${millimetres((defect.cd_start_um + defect.cd_end_um) / 2)} ± ${millimetres(defect.position_uncertainty_um, 2)}, ${defect.lane ? t("roll.lane", { lane: defect.lane }) : t("roll.no_lane")}</dd>
        <dt>${t("card.size")}</dt><dd data-testid="card-size"><b>${micrometres(defect.size_um)} ± ${micrometres(defect.size_uncertainty_um)}</b> <span class="muted small">${t("card.k2")}</span></dd>
        <dt>${t("card.extent")}</dt><dd data-testid="card-extent">${extent(defect)}</dd>
        <dt>${t("card.depth")}</dt><dd data-testid="card-depth">${depth(defect)}</dd>
        <dt>${t("card.score")}</dt><dd>${percent(defect.score, 0)}</dd>
        <dt>${t("card.anomaly")}</dt><dd data-testid="card-anomaly">${defect.anomaly_score === null ? html`<span class="muted">${t("card.not_measured")}</span>` : html`${signed(defect.anomaly_score)} <span class="muted small">${t("card.spreads")}${defect.anomaly_model ? html`, <span title=${defect.anomaly_model.digest}>${defect.anomaly_model.name}@v${defect.anomaly_model.version}</span>` : ""}</span>`}</dd>
        <dt>${t("card.contrast")}</dt><dd>${["bf", "df", "tx"].filter((each) => defect[`contrast_${each}`] !== null).map((each) => `${t(`channel.${each}`)} ${signed(defect[`contrast_${each}`])}`).join(", ")}</dd>
        <dt>${t("card.severity")}</dt><dd>${defect.severity} <span class="muted small">${t(`severity.${defect.severity}`)}</span></dd>
        <dt>${t("card.seen")}</dt><dd>${defect.camera}, ${day(defect.at)} ${clock(defect.at)} UTC</dd>
        <dt>${t("card.method")}</dt><dd>${t(`method.${defect.method}`)}</dd>
        <dt>${t("card.calibration")}</dt><dd data-testid="card-calibration">${defect.calibration || html`<span class="muted">${t("card.no_calibration")}</span>`}</dd>
        <dt>${t("card.model")}</dt><dd data-testid="card-model">${defect.model.name}@v${defect.model.version} <span class="mono muted" title=${defect.model.digest}>${defect.model.digest.slice(0, 12)}</span>${defect.device ? html` <span class="muted small">${defect.device}</span>` : ""}</dd>
      </dl>
      <h2 class="units-title">${t("card.cells")}</h2>
      <${Units} answer=${answer} />
    </aside>`;
}

const signed = (value) => `${value > 0 ? "+" : ""}${number(value, 2)}`;
const long = (defect) => (defect.md_end_um - defect.md_start_um > 20_000 ? ` – ${metres(defect.md_end_um, 3)}` : "");

/** Length by width; a defect that was never measured so says so. */
const extent = (defect) =>
  defect.length_um > 0
    ? `${defect.length_um < 10_000 ? micrometres(defect.length_um) : millimetres(defect.length_um)} × ${micrometres(defect.width_um)}`
    : html`<span class="muted">${t("card.not_measured")}</span>`;

const depth = (defect) => {
  if (defect.depth_fraction === null) return html`<span class="muted">${t("card.not_measured")}</span>`;
  const uncertainty = defect.depth_uncertainty_fraction === null ? "" : ` ± ${percent(defect.depth_uncertainty_fraction, 0)}`;
  return html`${percent(defect.depth_fraction, 0)}${uncertainty} <span class="muted small">${t("card.of_thickness")}</span>`;
};

function Picture({ defect }) {
  const [failed, setFailed] = useState(false);
  if (!defect.image) return html`<div class="picture none" data-testid="no-picture">${t(defect.method === "drawn" ? "card.drawn" : "card.no_picture")}</div>`;
  if (failed) return html`<div class="picture none" data-testid="no-picture">${t("card.picture_gone")}</div>`;
  return html`
    <div class="picture">
      <img src=${`/api/v1/pictures/${defect.image}`} data-testid="card-picture" onError=${() => setFailed(true)}
        alt=${t("card.picture_of", { kind: defectTitle(defect.kind), size: micrometres(defect.size_um) })} />
    </div>`;
}

function Units({ answer }) {
  if (answer.problem) return html`<p class="muted small">${answer.problem}</p>`;
  if (!answer.data) return html`<p class="muted small">${t("page.waiting")}</p>`;
  const units = answer.data.units;
  if (!units.length) return html`<p class="muted small">${t("card.no_cells")}</p>`;
  return html`
    <ul class="units" data-testid="card-units">
      ${units.map((unit) => html`
        <li>
          ${unit.cell || unit.stack ? html`<a href=${cellAddress(unit.cell || unit.stack)}>${unit.cell || unit.stack}</a>` : html`<span class="mono">${unit.sheet}</span>`}
          <span class="muted small">${unit.layer ? t("roll.layer", { layer: unit.layer }) : t("roll.waiting")} · ${unit.station} ${stationName(unit.station)}</span>
          <span>${unit.p_pass === null ? "" : t("card.p_pass", { value: percent(unit.p_pass, 0) })}</span>
        </li>`)}
    </ul>`;
}
