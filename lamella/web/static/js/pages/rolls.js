// All film rolls, newest first.
import { html } from "../dom.js";
import { metres, minute, number, percent } from "../format.js";
import { useChannel } from "../hooks.js";
import { t } from "../i18n.js";
import { Empty, Panel, waiting } from "../parts/common.js";
import { rollAddress } from "../router.js";

export function RollsPage() {
  const value = useChannel("rolls");
  const word = waiting(value);
  if (word) return word;
  const rows = [...value.rolls].sort((a, b) => (a.started < b.started ? 1 : -1));
  return html`
    <${Panel} title=${t("rolls.title", { count: number(rows.length) })} testid="rolls">
      ${rows.length === 0 && html`<${Empty}>${t("rolls.none")}<//>`}
      <table>
        <thead><tr>
          <th>${t("rolls.roll")}</th><th>${t("rolls.started")}</th><th class="number">${t("rolls.length")}</th>
          <th>${t("rolls.state")}</th><th class="number">${t("rolls.inspected")}</th><th class="number">${t("rolls.defects")}</th>
          <th class="number">${t("rolls.killers")}</th><th class="number">${t("rolls.density")}</th>
        </tr></thead>
        <tbody>
          ${rows.map((row) => html`
            <tr key=${row.roll}>
              <td><a href=${rollAddress(row.roll)} data-testid=${`roll-${row.roll}`}>${row.roll}</a></td>
              <td>${minute(row.started)} UTC</td>
              <td class="number">${metres(row.length_um, 1)}</td>
              <td>${t(row.complete ? "rolls.complete" : "rolls.growing")}</td>
              <td class="number">${percent(row.inspected_fraction)}</td>
              <td class="number">${number(row.defects_count)}</td>
              <td class="number"><b>${number(row.killers_count)}</b></td>
              <td class="number">${row.length_um ? number((1e8 * row.killers_count) / row.length_um, 1) : "–"}</td>
            </tr>`)}
        </tbody>
      </table>
    <//>`;
}
