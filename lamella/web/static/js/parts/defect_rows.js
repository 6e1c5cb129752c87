// The accessible twin of the map: the defects in view as a table.
import { html, useState } from "../dom.js";
import { metres, micrometres, millimetres, number } from "../format.js";
import { t } from "../i18n.js";
import { gradeOf } from "../roll/defects.js";
import { defectTitle } from "../store.js";
import { Glyph, verdictGlyph } from "./glyphs.js";

const SHOWN = 200;
const ORDERS = {
  verdict: (a, b) => gradeOf(b) - gradeOf(a) || a.md_start_um - b.md_start_um,
  kind: (a, b) => a.kind.localeCompare(b.kind) || a.md_start_um - b.md_start_um,
  md: (a, b) => a.md_start_um - b.md_start_um,
  cd: (a, b) => a.cd_start_um - b.cd_start_um,
  size: (a, b) => b.size_um - a.size_um,
  lane: (a, b) => a.lane - b.lane || a.md_start_um - b.md_start_um,
};

export function DefectRows({ table, seen, selected, onSelect }) {
  const [order, setOrder] = useState("verdict");
  const rows = seen.map((index) => table.rows[index]).sort(ORDERS[order]).slice(0, SHOWN);
  const head = (name, className = "") => html`
    <th class=${className} aria-sort=${order === name ? "ascending" : null}>
      <button class="link" onClick=${() => setOrder(name)} data-testid=${`sort-${name}`}>${t(`defects.${name}`)}</button>
    </th>`;
  return html`
    <div class="scroll table-box">
      <table data-testid="defect-table">
        <thead><tr>
          ${head("verdict")}${head("kind")}${head("md", "number")}${head("cd", "number")}${head("size", "number")}${head("lane", "number")}
          <th class="number">${t("defects.score")}</th>
        </tr></thead>
        <tbody>
          ${rows.map((row) => html`
            <tr key=${row.defect} aria-selected=${row.defect === selected} onClick=${() => onSelect(row.defect)}>
              <td class=${`verdict-${row.verdict} nowrap`}><${Glyph} name=${verdictGlyph(row.verdict)} /> ${t(`verdict.${row.verdict}`)}</td>
              <td><button class="link" data-testid=${`defect-${row.defect}`} onClick=${() => onSelect(row.defect)}>${row.kind} ${defectTitle(row.kind)}</button></td>
              <td class="number">${metres(row.md_start_um, 3)}</td>
              <td class="number">${millimetres((row.cd_start_um + row.cd_end_um) / 2)}</td>
              <td class="number">${micrometres(row.size_um)} ± ${number(row.size_uncertainty_um)}</td>
              <td class="number">${row.lane || "–"}</td>
              <td class="number">${number(row.score, 2)}</td>
            </tr>`)}
        </tbody>
      </table>
    </div>`;
}
