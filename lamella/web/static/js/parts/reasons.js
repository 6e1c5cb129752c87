// Why a cell is expected to pass or fail: shares that add up, drawn from a middle line. An attribution, not a cause.
import { html } from "../dom.js";
import { number } from "../format.js";
import { t } from "../i18n.js";
import { stationName } from "../store.js";

/** @param {{reasons: {station: string, what: string, log_share: number, text: string}[]}} props */
export function Reasons({ reasons }) {
  if (!reasons.length) return html`<p class="empty">${t("reasons.none")}</p>`;
  const most = Math.max(...reasons.map((row) => Math.abs(row.log_share)), 0.01);
  const rows = [...reasons].sort((a, b) => a.log_share - b.log_share);
  return html`
    <h2>${t("reasons.title")}</h2>
    <ul class="reasons" data-testid="reasons">
      ${rows.map((row) => {
        const width = `${(50 * Math.abs(row.log_share)) / most}%`;
        return html`
          <li>
            <div class="row spread"><span><b>${stationName(row.station) || row.station}</b> ${row.what}</span><span class="nowrap">× ${number(Math.exp(row.log_share), 2)}</span></div>
            <div class="bar" aria-hidden="true"><div class=${row.log_share < 0 ? "less" : "more"} style=${{ width }}></div></div>
            <div class="muted small">${row.text}</div>
          </li>`;
      })}
    </ul>
    <p class="muted small">${t("reasons.explained")}</p>`;
}
