// Patterns of a roll as a table: what repeats, where, how sure, and what usually does it.
import { html } from "../dom.js";
import { chance, metres, millimetres, number } from "../format.js";
import { t } from "../i18n.js";
import { defectTitle } from "../store.js";
import { patternForm } from "./film_words.js";
import { Glyph, verdictGlyph } from "./glyphs.js";

export function PatternRows({ patterns, selected, onSelect }) {
  return html`
    <div class="scroll pattern-box">
      <table data-testid="pattern-table">
        <thead><tr>
          <th>${t("patterns.form")}</th><th>${t("defects.kind")}</th><th class="number">${t("patterns.count")}</th>
          <th>${t("patterns.place")}</th>
          <th class="number" title=${t("patterns.p_explained")}>${t("patterns.p")}</th><th>${t("defects.verdict")}</th><th>${t("patterns.cause")}</th>
        </tr></thead>
        <tbody>
          ${patterns.map((row) => html`
            <tr key=${row.pattern} aria-selected=${row.pattern === selected} onClick=${() => onSelect(row)}>
              <td><span class="form"><${Glyph} name=${row.form} /><button class="link" data-testid=${`pattern-${row.pattern}`}>${patternForm(row)}</button></span>
                ${row.reason && html`<div class="muted small">${row.reason}</div>`}</td>
              <td>${defectTitle(row.kind)}</td>
              <td class="number">${number(row.defects_count)}</td>
              <td class="nowrap">MD ${number(row.md_start_um / 1e6, 2)}–${metres(row.md_end_um)}<div class="muted small">CD ${number(row.cd_start_um / 1e3, 1)}–${millimetres(row.cd_end_um)}</div></td>
              <td class="number">${chance(row.p_value)}</td>
              <td class=${`verdict-${row.verdict} nowrap`}><${Glyph} name=${verdictGlyph(row.verdict)} /> ${t(`verdict.${row.verdict}`)}</td>
              <td>${row.cause || t("pattern.no_cause")}</td>
            </tr>`)}
        </tbody>
      </table>
    </div>`;
}
