// All film faces of a cell laid over one another, seen from above, with what was found on them.
import { html } from "../dom.js";
import { t } from "../i18n.js";
import { gradeOf, KILLER } from "../roll/defects.js";
import { rollAddress } from "../router.js";
import { defectTitle, names } from "../store.js";

const MARGIN_MM = 4;

export function TopView({ layers }) {
  const faces = layers.flatMap((layer) => layer.faces.map((face) => ({ layer: layer.layer, face })));
  if (!faces.length) return html`<p class="empty">${t("top_view.none")}</p>`;
  const long_mm = Math.max(...faces.map(({ face }) => face.end_um - face.start_um)) / 1e3;
  const lanes = names.value?.film_lanes ?? [];
  const lane = lanes.find((row) => row.number === faces[0].face.lane) ?? { cd_low_um: 0, cd_high_um: 142_000 };
  const wide_mm = (lane.cd_high_um - lane.cd_low_um) / 1e3;
  const places = faces.flatMap(({ layer, face }) => {
    const low_um = lanes.find((row) => row.number === face.lane)?.cd_low_um ?? 0;
    return face.defects.map((defect) => ({
      layer, face, defect,
      // A streak longer than the sheet is drawn across all of it.
      from: Math.max(0, (defect.md_start_um - face.start_um) / 1e3),
      to: Math.min(long_mm, (defect.md_end_um - face.start_um) / 1e3),
      across: ((defect.cd_start_um + defect.cd_end_um) / 2 - low_um) / 1e3,
    }));
  });
  return html`
    <svg class="top-view" viewBox=${`${-MARGIN_MM} ${-MARGIN_MM} ${wide_mm + 2 * MARGIN_MM} ${long_mm + 2 * MARGIN_MM}`} role="img"
      aria-label=${t("top_view.label", { count: places.length })}>
      <rect class="laminate" width=${wide_mm} height=${long_mm} />
      <rect class="cathode" x="1" y="1" width=${wide_mm - 2} height=${long_mm - 2} />
      ${places.map((place) => html`<${Spot} ...${place} key=${place.defect.defect + place.layer + place.face.face} />`)}
    </svg>
    <p class="muted small">${t("top_view.explained", { wide: Math.round(wide_mm), long: Math.round(long_mm) })}</p>`;
}

function Spot({ layer, face, defect, from, to, across }) {
  const killer = gradeOf(defect) === KILLER;
  const name = t("top_view.spot", { kind: defectTitle(defect.kind), layer, face: t(`face.${face.face}`) });
  const middle = (from + to) / 2;
  const shape = to - from > 5
    ? html`<line x1=${across} x2=${across} y1=${from} y2=${to} />`
    : killer ? html`<path d=${`M${across} ${middle - 3.5}l3.5 3.5-3.5 3.5-3.5-3.5z`} />` : html`<circle cx=${across} cy=${middle} r="1.6" />`;
  return html`<a href=${rollAddress(face.roll, { defect: defect.defect })} class=${killer ? "killer" : "spot"} aria-label=${name}><title>${name}</title>${shape}</a>`;
}
