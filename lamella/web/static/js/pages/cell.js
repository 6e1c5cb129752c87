// One cell: where each layer came from, what was found on it, what is expected, what happened to it.
import { html } from "../dom.js";
import { between, clock, day, metres, micrometres, minute, number, percent } from "../format.js";
import { useChannel } from "../hooks.js";
import { t } from "../i18n.js";
import { Empty, Interval, Panel, waiting } from "../parts/common.js";
import { Alarm, Glyph } from "../parts/glyphs.js";
import { Reasons } from "../parts/reasons.js";
import { TopView } from "../parts/top_view.js";
import { rollAddress } from "../router.js";
import { defectTitle, names, stationName } from "../store.js";

/** Sideways shifts are drawn this many times larger than they are. */
const EXAGGERATION = 20;

export function CellPage({ unit }) {
  const cell = useChannel(`cell:${unit}`);
  const word = waiting(cell);
  if (word) return word;
  const name = cell.cell || cell.stack;
  const defects = cell.layers.flatMap((layer) => layer.faces.flatMap((face) => face.defects));
  return html`
    <div class="row spread">
      <h1>${t(cell.cell ? "cell.title" : "cell.stack_title", { cell: name })}</h1>
      <div class="figures">
        <span>${t("cell.stack")} <b>${cell.stack}</b></span>
        <span>${t("cell.at")} <b data-testid="cell-station">${cell.station} ${stationName(cell.station)}</b></span>
        <span><b>${number(cell.layers.length)}</b> ${t("cell.layers_of", { count: names.value?.placements_count ?? "–" })}</span>
        <span><b>${percent(cell.film_inspected_fraction)}</b> ${t("cell.film_inspected")}</span>
        <span><b>${number(defects.length)}</b> ${t("roll.defects", { count: defects.length })}</span>
      </div>
    </div>
    <${Unseen} classes=${cell.classes_uninspected} />
    <div class="cell-page">
      <${Panel} title=${t("cell.layers")} testid="layers" className="layers">
        <${Layers} layers=${cell.layers} />
      <//>
      <div class="side">
        <${Prediction} prediction=${cell.prediction} />
        <${Panel} title=${t("cell.top_view")} testid="top-view"><${TopView} layers=${cell.layers} /><//>
        <${Test} test=${cell.test} />
        <${Steps} steps=${cell.steps} />
      </div>
    </div>`;
}

/** Classes of defects that no camera could have seen: not absent, unknown. */
function Unseen({ classes }) {
  if (!classes.length) return null;
  const stages = new Map();
  for (const text of classes) {
    const [code, stage] = text.split(" by ");
    stages.set(code, [...(stages.get(code) ?? []), ...(stage ? [t(`stage.${stage}`)] : [])]);
  }
  const said = [...stages].map(([code, by]) =>
    by.length ? t("unseen.by_stage", { kind: defectTitle(code), stages: by.join(", ") }) : defectTitle(code));
  return html`
    <p class="unseen" data-testid="unseen"><${Glyph} name="unknown" /><span><b>${t("unseen.title")}</b> ${said.join("; ")}. <span class="muted">${t("unseen.explained")}</span></span></p>`;
}

function Layers({ layers }) {
  const rows = [...layers].sort((a, b) => b.layer - a.layer);
  return html`
    <div class="layer-box">
      <table data-testid="layer-table">
        <thead><tr>
          <th class="number">${t("layer.number")}</th><th>${t("layer.kind")}</th><th>${t("layer.film")}</th><th class="number">${t("layer.lane")}</th>
          <th class="number">${t("layer.metres")}</th><th class="number">${t("layer.defects")}</th><th class="number">${t("layer.overhang")}</th>
          <th>${t("layer.shift", { times: EXAGGERATION })}</th>
        </tr></thead>
        <tbody>${rows.map((layer) => html`<${Layer} layer=${layer} key=${layer.layer} />`)}</tbody>
      </table>
    </div>`;
}

function Layer({ layer }) {
  const { faces, inspection } = layer;
  const each = (draw) => faces.map((face) => html`<div>${draw(face)}</div>`);
  return html`
    <tr class=${`layer ${layer.kind}`} data-testid=${`layer-${layer.layer}`}>
      <td class="number">${layer.layer}</td>
      <td title=${layer.sheet}>${t(`kind.${layer.kind}`)}</td>
      <td>${faces.length ? each((face) => html`<span class="muted small">${t(`face.${face.face}`)}</span> <a href=${rollAddress(face.roll, around(face))}>${face.roll}</a>`) : html`<span class="muted mono small">${layer.sheet}</span>`}</td>
      <td class="number">${faces.length ? each((face) => face.lane || "–") : ""}</td>
      <td class="number">${each((face) => html`${number(face.start_um / 1e6, 2)}–${metres(face.end_um)}${face.inspected_fraction < 0.999 ? html` <span class="partly" title=${t("layer.partly", { share: percent(face.inspected_fraction, 0) })}><${Glyph} name="unknown" />${percent(face.inspected_fraction, 0)}</span>` : ""}`)}</td>
      <td class="number">${each((face) => html`<${Found} face=${face} />`)}</td>
      <td class="number"><${Overhang} inspection=${inspection} kind=${layer.kind} layer=${layer.layer} /></td>
      <td><${Shift} inspection=${inspection} kind=${layer.kind} /></td>
    </tr>`;
}

const around = (face) => ({ from: ((face.start_um - 500_000) / 1e6).toFixed(3), to: ((face.end_um + 500_000) / 1e6).toFixed(3) });

function Found({ face }) {
  const killers = face.defects.filter((defect) => defect.verdict === "reject");
  if (!face.defects.length) return html`<span class="muted">0</span>`;
  const first = killers[0] ?? face.defects[0];
  const link = html`<a href=${rollAddress(face.roll, { ...around(face), defect: first.defect })}>${number(face.defects.length)}</a>`;
  return killers.length ? html`<${Alarm} priority=${1}>${killers.length > 1 ? t("layer.killers", { count: killers.length }) : t("verdict.reject")}<//> ${link}` : link;
}

function Overhang({ inspection, kind, layer }) {
  if (kind === "laminate") return html`<span class="on-cathode muted small">${layer < names.value?.placements_count ? t("layer.on_cathode") : "–"}</span>`;
  if (!inspection) return html`<span class="muted" title=${t("layer.not_seen")}><${Glyph} name="unknown" /> ${t("verdict.uninspected")}</span>`;
  if (!inspection.overhangs.length) return html`<span class="muted">–</span>`;
  const least = inspection.overhangs.reduce((a, b) => (b.value_um < a.value_um ? b : a));
  const limit = names.value?.overhang_low_um ?? 0;
  const text = `${micrometres(least.value_um)} ± ${number(least.uncertainty_um)}`;
  const title = t("layer.overhang_at", { place: least.place, limit: micrometres(limit) });
  return least.value_um < limit ? html`<span title=${title}><${Alarm} priority=${1}>${text}<//></span>` : html`<span title=${title}>${text}</span>`;
}

/** The layer as a bar, shifted sideways as it lies, exaggerated. */
function Shift({ inspection, kind }) {
  const width = kind === "cathode" ? 80 : 88;
  const shift = inspection ? Math.max(-14, Math.min(14, (inspection.offset_x_um * EXAGGERATION) / 1000)) : 0;
  return html`
    <svg class=${`shift ${kind}`} viewBox="0 0 120 10" role="img" aria-label=${inspection ? micrometres(inspection.offset_x_um) : t("verdict.uninspected")}>
      <line x1="60" x2="60" y1="0" y2="10" />
      <rect x=${60 - width / 2 + shift} y="1.5" width=${width} height="7" class=${inspection ? "" : "unseen"} />
    </svg>`;
}

function Prediction({ prediction }) {
  return html`
    <${Panel} title=${t("cell.p_pass")} testid="prediction">
      ${prediction
        ? html`
          <div class="row forecast-head">
            <span class="big" data-testid="p-pass">${percent(prediction.p_pass, 0)}</span>
            <span class="small muted">${t("cell.interval", { low: percent(prediction.p_low, 0), high: percent(prediction.p_high, 0) })}<br />
              ${prediction.model}, ${t("yield.labels", { count: number(prediction.labels_count) })}</span>
          </div>
          <${Interval} value=${prediction.p_pass} low=${prediction.p_low} high=${prediction.p_high} label=${t("cell.p_pass")} />
          <${Reasons} reasons=${prediction.reasons} />`
        : html`<${Empty}>${t("cell.no_prediction")}<//>`}
    <//>`;
}

function Test({ test }) {
  return html`
    <${Panel} title=${t("cell.test")} testid="eol">
      ${test
        ? html`
          <p>${test.passed ? html`<b class="row"><${Glyph} name="complete" />${t("cells.passed")}, ${t("cell.grade", { grade: test.grade })}</b>` : html`<${Alarm} priority=${1}>${t("cells.failed")}: ${test.fail_codes.join(", ")}<//>`}
            <span class="muted small"> ${day(test.at)} ${clock(test.at)} UTC</span></p>
          <dl class="facts">
            <dt>${t("eol.capacity")}</dt><dd>${number(test.capacity_ah, 2)} Ah</dd>
            <dt>${t("eol.dcir")}</dt><dd>${number(test.dcir_mohm, 2)} mΩ</dd>
            <dt>${t("eol.ocv_drop")}</dt><dd>${number(test.ocv_drop_mv_per_d, 2)} mV/d</dd>
            <dt>${t("eol.first")}</dt><dd>${percent(test.first_coulombic_fraction)}</dd>
            <dt>${t("eol.insulation")}</dt><dd>${number(test.insulation_mohm)} MΩ</dd>
            <dt>${t("eol.thickness")}</dt><dd>${number(test.thickness_mm, 2)} mm</dd>
            <dt>${t("eol.mass")}</dt><dd>${number(test.mass_g, 1)} g</dd>
          </dl>`
        : html`<${Empty}>${t("cell.no_test")}<//>`}
    <//>`;
}

function Steps({ steps }) {
  return html`
    <${Panel} title=${t("cell.steps")} testid="steps">
      ${steps.length
        ? html`
          <table>
            <thead><tr><th>${t("step.station")}</th><th>${t("step.entered")}</th><th class="number">${t("step.stay")}</th><th>${t("step.place")}</th></tr></thead>
            <tbody>${steps.map((step) => html`
              <tr title=${step.readings.map(([tag, value]) => `${tag} ${number(value, 2)}`).join(" · ")}>
                <td class="nowrap">${step.station} ${stationName(step.station)}</td><td class="nowrap">${minute(step.entered)}</td>
                <td class="number">${step.left ? between(step.entered, step.left) : html`<b>${t("step.here")}</b>`}</td>
                <td>${step.place}${step.outcome === "ok" ? "" : html` <${Alarm} priority=${2}>${t(`outcome.${step.outcome}`)}<//>`}</td>
              </tr>`)}
            </tbody>
          </table>`
        : html`<${Empty}>${t("cell.no_steps")}<//>`}
    <//>`;
}
