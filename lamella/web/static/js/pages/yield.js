// What will come of the cells under way, how sure that is, what costs most, and how good past forecasts were.
import { html } from "../dom.js";
import { minute, number, percent } from "../format.js";
import { useChannel } from "../hooks.js";
import { t } from "../i18n.js";
import { Empty, Interval, Panel, barStart, forecastCells, outOf, waiting } from "../parts/common.js";
import { TrackChart } from "../parts/track_chart.js";
import { stationName } from "../store.js";

export function YieldPage() {
  const value = useChannel("yield");
  const line = useChannel("line");
  const word = waiting(value);
  if (word) return word;
  return html`
    <div class="yield-page">
      <${Now} forecast=${value.forecast} />
      <${Panel} title=${t("track.title")} testid="track-panel">
        ${value.track.length > 1 ? html`<${TrackChart} track=${value.track} />` : html`<${Empty}>${t("track.none")}<//>`}
      <//>
      <${Losses} losses=${value.losses} open=${line?.cells_open_count} />
      <${Lots} lots=${value.lots} />
      <${Record} value=${value} />
    </div>`;
}

function Now({ forecast }) {
  return html`
    <${Panel} title=${t("yield.forecast")} testid="yield-now">
      ${forecast
        ? html`
          <span class="big" data-testid="yield-value">${percent(forecast.expected_fraction)}</span>
          <p class="muted">${t("yield.interval", { low: percent(forecast.low_fraction), high: percent(forecast.high_fraction), coverage: percent(forecast.coverage, 0) })}</p>
          <${Interval} value=${forecast.expected_fraction} low=${forecast.low_fraction} high=${forecast.high_fraction}
            from=${barStart(forecast.low_fraction)} label=${t("yield.forecast")} />
          <dl class="facts">
            <dt>${t("yield.scope")}</dt><dd>${t(`scope.${forecast.scope}`)}${forecast.scope === "line" ? "" : `: ${forecast.name}`}</dd>
            <dt>${t("yield.cells")}</dt><dd>${forecastCells(forecast)}</dd>
            <dt>${t("yield.computed")}</dt><dd>${minute(forecast.at)} UTC</dd>
            <dt>${t("yield.model")}</dt><dd>${forecast.model}</dd>
            <dt>${t("yield.learnt")}</dt><dd>${t("yield.labels", { count: number(forecast.labels_count) })}</dd>
          </dl>`
        : html`<${Empty}>${t("yield.none")}<//>`}
    <//>`;
}

function Losses({ losses, open }) {
  const rows = [...losses].sort((a, b) => b.cells - a.cells);
  const most = Math.max(...rows.map((row) => row.cells), 0.01);
  const total = rows.reduce((sum, row) => sum + row.cells, 0);
  return html`
    <${Panel} title=${t("losses.title")} testid="losses" extra=${html`<span class="muted small">${t("yield.of_cells", { cells: number(open) })}</span>`}>
      ${rows.length
        ? html`
          <table>
            <thead><tr><th>${t("losses.cause")}</th><th class="wide"></th><th class="number">${t("losses.cells")}</th><th class="number">${t("losses.share")}</th></tr></thead>
            <tbody>${rows.map((row) => html`
              <tr><td><b>${stationName(row.station) || row.station}</b> ${row.what}</td>
                <td class="wide"><div class="loss" style=${{ width: `${(100 * row.cells) / most}%` }}></div></td>
                <td class="number">${number(row.cells, 1)}</td><td class="number muted">${percent(row.cells / total, 0)}</td></tr>`)}
            </tbody>
          </table>`
        : html`<${Empty}>${t("losses.none")}<//>`}
    <//>`;
}

function Lots({ lots }) {
  const rows = [...lots].sort((a, b) => (a.ended < b.ended ? 1 : -1));
  return html`
    <${Panel} title=${t("lots.title")} testid="lots">
      ${rows.length
        ? html`
          <div class="scroll lots-box"><table>
            <thead><tr><th>${t("lots.lot")}</th><th>${t("lots.ended")}</th><th class="number">${t("lots.passed")}</th><th class="number">${t("lots.yield")}</th></tr></thead>
            <tbody>${rows.map((row) => html`
              <tr><td>${row.name}</td><td class="nowrap">${minute(row.ended)} UTC</td><td class="number">${outOf(row.passed_count, row.tested_count)}</td>
                <td class="number"><b>${percent(row.tested_count ? row.passed_count / row.tested_count : null)}</b></td></tr>`)}
            </tbody>
          </table></div>`
        : html`<${Empty}>${t("lots.none")}<//>`}
      <p class="muted small">${t("lots.explained")}</p>
    <//>`;
}

function Record({ value }) {
  const coverage = value.forecast?.coverage ?? 0.9;
  return html`
    <${Panel} title=${t("record.title")} testid="record">
      ${value.scored_count
        ? html`
          <div class="row forecast-head">
            <span class="big">${percent(value.inside_count / value.scored_count, 0)}</span>
            <span class="muted">${t("record.inside", { inside: number(value.inside_count), scored: number(value.scored_count) })}<br />${t("record.promise", { coverage: percent(coverage, 0) })}</span>
          </div>`
        : html`<${Empty}>${t("record.none")}<//>`}
      <p class="muted small">${t("record.explained")}</p>
    <//>`;
}
