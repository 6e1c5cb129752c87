// The newest stacks and cells, and what is expected of them.
import { html } from "../dom.js";
import { minute, number, percent } from "../format.js";
import { useChannel } from "../hooks.js";
import { t } from "../i18n.js";
import { Empty, Panel, waiting } from "../parts/common.js";
import { Glyph } from "../parts/glyphs.js";
import { cellAddress } from "../router.js";
import { stationName } from "../store.js";

export function CellsPage() {
  const value = useChannel("cells");
  const word = waiting(value);
  if (word) return word;
  const rows = [...value.cells].sort((a, b) => (a.started < b.started ? 1 : -1));
  return html`
    <${Panel} title=${t("cells.title", { count: number(rows.length) })} testid="cells">
      ${rows.length === 0 && html`<${Empty}>${t("cells.none")}<//>`}
      <table>
        <thead><tr>
          <th>${t("cells.cell")}</th><th>${t("cells.stack")}</th><th>${t("cells.station")}</th><th>${t("cells.started")}</th>
          <th class="number">${t("cells.layers")}</th><th class="number">${t("cells.p_pass")}</th><th></th><th>${t("cells.verdict")}</th>
        </tr></thead>
        <tbody>
          ${rows.map((row) => html`
            <tr key=${row.unit}>
              <td><a href=${cellAddress(row.unit)} data-testid=${`cell-${row.unit}`}>${row.unit}</a></td>
              <td class="muted">${row.stack}</td>
              <td>${row.station} ${stationName(row.station)}</td>
              <td>${minute(row.started)} UTC</td>
              <td class="number">${number(row.layers_count)}</td>
              <td class="number">${percent(row.p_pass)}</td>
              <td class="meter"><${Meter} value=${row.p_pass} /></td>
              <td><${Verdict} passed=${row.passed} /></td>
            </tr>`)}
        </tbody>
      </table>
    <//>`;
}

const Meter = ({ value }) =>
  value === null ? "" : html`<div class="meter-track" aria-hidden="true"><div style=${{ width: `${100 * value}%` }}></div></div>`;

const Verdict = ({ passed }) => {
  if (passed === null) return html`<span class="muted">${t("cells.open")}</span>`;
  return passed
    ? html`<span><${Glyph} name="complete" /> ${t("cells.passed")}</span>`
    : html`<b><${Glyph} name="aborted" /> ${t("cells.failed")}</b>`;
};
