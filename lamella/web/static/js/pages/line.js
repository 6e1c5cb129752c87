// The line at a glance: what every station does, what is abnormal, the roll under way, what will come of it.
import { html, useMemo } from "../dom.js";
import { clock, metres, minute, number, percent, pace } from "../format.js";
import { useChannel } from "../hooks.js";
import { has, t } from "../i18n.js";
import { beat } from "../live.js";
import { Abnormal } from "../parts/abnormal.js";
import { Empty, Interval, Panel, barStart, forecastCells, waiting } from "../parts/common.js";
import { cameraPriority, cameraSentence } from "../parts/film_words.js";
import { Alarm, Glyph, stateGlyph, statePriority } from "../parts/glyphs.js";
import { RollMap } from "../parts/roll_map.js";
import { DefectTable } from "../roll/defects.js";
import { fitted } from "../roll/view.js";
import { go, rollAddress } from "../router.js";
import { defectTitle, stationName } from "../store.js";

/** How the stations stand together; a station that no group names stands in the last. */
const GROUPS = [
  [["room", ["S00"]], ["film", ["S01", "S03", "S04", "S05"]], ["anode", ["S06"]], ["cathode", ["S02"]], ["laminate", ["S07", "S08"]]],
  [["sheet", ["S09", "S10"]], ["stack", ["S11", "S12", "S13"]], ["cell", ["S14", "S15", "S16", "S17", "S18"]]],
];

export function LinePage() {
  const line = useChannel("line");
  const word = waiting(line);
  if (word) return word;
  return html`
    <${Flow} stations=${line.stations} cameras=${line.cameras} />
    <div class="line-middle">
      <${CurrentRoll} line=${line} />
      <${Forecast} line=${line} />
    </div>
    <div class="line-bottom">
      <${Abnormal} line=${line} />
      <${Happened} />
      <${Services} line=${line} />
    </div>`;
}

function Flow({ stations, cameras }) {
  const unwell = new Map(cameras.filter((row) => cameraPriority(row.state)).map((row) => [row.station, row]));
  const known = new Map(stations.map((row) => [row.code, row]));
  const named = new Set(GROUPS.flat().flatMap(([, codes]) => codes));
  const others = stations.filter((row) => !named.has(row.code)).map((row) => row.code);
  const rows = others.length ? [...GROUPS, [["rest", others]]] : GROUPS;
  return html`
    <section class="flow panel" aria-label=${t("flow.title")} data-testid="flow">
      <span class="legend small muted" aria-hidden="true">${t("tile.legend")}</span>
      ${rows.map((groups) => html`
        <div class="flow-row">
          ${groups.map(([name, codes]) => html`
            <div class="flow-group" style=${{ flexGrow: codes.length }}>
              <h2>${t(`flow.${name}`)}</h2>
              <ol>${codes.filter((code) => known.has(code)).map((code) => html`<${Tile} station=${known.get(code)} camera=${unwell.get(code)} key=${code} />`)}</ol>
            </div>`)}
        </div>`)}
    </section>`;
}

function Tile({ station, camera }) {
  const { state } = station;
  const priority = statePriority(state?.state);
  const flags = [state?.blocked && t("state.blocked"), state?.starved && t("state.starved")].filter(Boolean);
  const counts = t("tile.counts", { here: number(station.units_count), done: number(state?.processed_count) });
  const hint = [station.title, state?.stop_reason, ...station.abnormal_tags, camera && `${camera.camera}: ${cameraSentence(camera)}`].filter(Boolean).join(" · ");
  return html`
    <li class=${priority ? `tile abnormal p${priority}` : "tile"} title=${hint} data-testid=${`station-${station.code}`}>
      <div class="row spread"><span class="code">${station.code}</span><b class="cut">${stationName(station.code)}</b></div>
      <div class="state"><${Glyph} name=${stateGlyph(state?.state)} /><span class="cut">${state ? state.state.toUpperCase() : t("state.unknown")}</span></div>
      <div class="counts small muted cut">
        ${station.abnormal_tags.length > 0
          ? html`<${Alarm} priority=${2}>${tagsOff(station.abnormal_tags)}<//>`
          : camera ? html`<${Alarm} priority=${cameraPriority(camera.state)}>${camera.camera}<//>`
          : flags.length > 0 ? flags.join(", ")
          : html`<span role="img" title=${counts} aria-label=${counts}>${number(station.units_count)} / ${number(state?.processed_count)}</span>`}
      </div>
    </li>`;
}

const inspected_um = (roll) => roll.uninspected.reduce((rest, span) => rest - (span.end_um - span.start_um), roll.length_um);

const withoutStation = (tag) => tag.split(".").pop();

/** The first abnormal tag without its station, and how many more there are. */
function tagsOff(tags) {
  const first = withoutStation(tags[0]);
  return tags.length > 1 ? t("tile.more_tags", { tag: first, more: tags.length - 1 }) : first;
}

function CurrentRoll({ line }) {
  const roll = useChannel(line.current_roll ? `roll:${line.current_roll}` : null);
  const table = useMemo(() => new DefectTable(roll?.defects ?? []), [roll?.defects]);
  const link = line.current_roll && html`<a href=${rollAddress(line.current_roll)} data-testid="open-roll">${t("roll.open")}</a>`;
  return html`
    <${Panel} title=${t("line.roll", { roll: line.current_roll || "–" })} testid="current-roll" extra=${link}>
      ${roll?.defects
        ? html`
          <${RollMap} roll=${roll} table=${table} view=${fitted(Math.max(roll.length_um, 1e6))} height=${142} compact
            onSelect=${(defect) => go(rollAddress(roll.roll, defect ? { defect } : {}))} />
          <div class="figures">
            <span><b data-testid="coated">${metres(roll.length_um, 1)}</b> ${t("roll.coated")}</span>
            <span><b>${metres(inspected_um(roll), 1)}</b> ${t("roll.inspected")}</span>
            <span><b data-testid="defects-count">${number(table.rows.length)}</b> ${t("roll.defects", { count: table.rows.length })}</span>
            <span><b>${number(table.killers.length)}</b> ${t("roll.killers")}</span>
            <span class="cut"><b>${number(roll.streaks.length)}</b> ${t("roll.streaks", { count: roll.streaks.length })}${roll.streaks.length ? `: ${[...new Set(roll.streaks.map((span) => span.label))].join("; ")}` : ""}</span>
          </div>`
        : html`<${Empty}>${t("line.no_roll")}<//>`}
    <//>`;
}

function Forecast({ line }) {
  const forecast = line.forecast;
  const link = html`<a href="/yield">${t("yield.open")}</a>`;
  return html`
    <${Panel} title=${t("yield.forecast")} testid="forecast" extra=${link}>
      ${forecast
        ? html`
          <div class="row forecast-head">
            <span class="big" data-testid="forecast-value">${percent(forecast.expected_fraction)}</span>
            <span class="small muted">${t("yield.interval", { low: percent(forecast.low_fraction), high: percent(forecast.high_fraction), coverage: percent(forecast.coverage, 0) })}<br />
              ${forecastCells(forecast)}</span>
          </div>
          <${Interval} value=${forecast.expected_fraction} low=${forecast.low_fraction} high=${forecast.high_fraction}
            from=${barStart(forecast.low_fraction)} label=${t("yield.forecast")} />`
        : html`<${Empty}>${t("yield.none")}<//>`}
      <dl class="facts">
        <dt>${t("yield.open_cells")}</dt><dd>${number(line.cells_open_count)}</dd>
        <dt title=${t("yield.tested_explained")}>${t("yield.tested")}</dt><dd><span data-testid="passed">${t("yield.verdicts", { cells: number(line.cells_tested_count), passed: number(line.cells_passed_count) })}</span></dd>
        ${forecast && html`<dt>${t("yield.model")}</dt><dd class="small">${forecast.model}, ${t("yield.labels", { count: number(forecast.labels_count) })}</dd>`}
      </dl>
    <//>`;
}

function Happened() {
  const events = useChannel("events")?.events ?? [];
  const latest = together([...events].slice(-120).reverse()).slice(0, 40);
  return html`
    <${Panel} title=${t("events.title")} testid="events" className="scroll">
      ${latest.length
        ? html`<ul class="plain" role="log">${latest.map((event) => html`
            <li key=${event.id}><span class="muted small nowrap">${clock(event.at)}</span> <${Sentence} event=${event} />${event.count > 1 && html`<b class="nowrap">×${number(event.count)}</b>`}</li>`)}</ul>`
        : html`<${Empty}>${t("events.none")}<//>`}
    <//>`;
}

/** Findings of one kind in one lane that follow one another become the latest of them, with their number. */
function together(events) {
  const rows = [];
  const alike = (a, b) => a.what === "killer" && b?.what === "killer" && ["roll", "kind", "lane"].every((key) => a.with[key] === b.with[key]);
  for (const event of events) {
    const last = rows[rows.length - 1];
    if (alike(event, last)) last.count += 1;
    else rows.push({ ...event, count: 1 });
  }
  return rows;
}

function Sentence({ event }) {
  const values = { ...event.with };
  if (values.station) values.name = stationName(values.station);
  if (values.kind) values.kind = defectTitle(values.kind);
  if (values.md_m !== undefined) values.md_m = number(values.md_m, 2);
  if (values.size_um !== undefined) values.size_um = number(values.size_um);
  if (values.length_m !== undefined) values.length_m = number(values.length_m, 1);
  const key = `event.${event.what}`;
  const text = has(key) ? t(key, values) : event.what;
  return event.page ? html`<a href=${event.page}>${text}</a>` : html`<span>${text}</span>`;
}

function Services({ line }) {
  return html`
    <${Panel} title=${t("services.title")} testid="services" className="scroll">
      <table>
        <tbody>
          ${line.roles.map((row) => html`
            <tr><td>${row.role}</td><td><${State} state=${row.state} normal="online" /></td><td class="muted small">${row.version}</td></tr>`)}
          ${line.links.map((row) => html`
            <tr title=${row.detail}><td>${t("services.link", { link: row.link })}</td><td><${State} state=${row.state} normal="up" /></td>
              <td class="muted small">${t("services.live", { live: number(row.live_count), wanted: number(row.wanted_count) })}</td></tr>`)}
          ${line.cameras.map((row) => html`
            <tr title=${row.reason}><td>${t("services.camera", { camera: row.camera })}</td><td><${CameraState} state=${row.state} /></td><td class="muted small">${validity(row)}</td></tr>`)}
          <tr><td>${t("services.twin_lag")}</td><td>${number(line.fresh.lag_ms)} ms</td><td class="muted small">${t("services.folded", { count: number(line.fresh.revision) })}</td></tr>
          ${beat.value?.speed > 0 && html`<tr><td>${t("services.pace")}</td><td>${pace(beat.value.speed)}</td><td class="muted small">${t("services.pace_explained")}</td></tr>`}
        </tbody>
      </table>
    <//>`;
}

function CameraState({ state }) {
  const priority = cameraPriority(state);
  const word = t(`camera_state.${state}`);
  return priority ? html`<${Alarm} priority=${priority}>${word}<//>` : html`<${Glyph} name="dot" /> ${word}`;
}

/** The calibration in force and until when; simulated frames need none. */
function validity(camera) {
  if (!camera.calibration) return t(camera.state === "uncalibrated" ? "services.not_calibrated" : "services.nominal");
  return camera.valid_until ? t("services.calibrated_until", { calibration: camera.calibration, until: minute(camera.valid_until) }) : camera.calibration;
}

const State = ({ state, normal }) =>
  state === normal ? html`<${Glyph} name="dot" /> ${t(`service.${state}`)}` : html`<${Alarm} priority=${2}>${t(`service.${state}`)}<//>`;
