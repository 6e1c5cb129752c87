// What is abnormal now: stations, tags, cameras, patterns of the current roll, film that was not inspected.
import { html } from "../dom.js";
import { metres, millimetres } from "../format.js";
import { useChannel } from "../hooks.js";
import { t } from "../i18n.js";
import { stretchAddress } from "../router.js";
import { stationName } from "../store.js";
import { Empty, Panel } from "./common.js";
import { cameraPriority, cameraSentence, patternSentence, uninspectedByReason, whyText } from "./film_words.js";
import { Alarm, statePriority } from "./glyphs.js";

/** Less film than one strip in all is what dropped lines cost every day. */
const LEAST_UNINSPECTED_UM = 5_000;

/**
 * @typedef {{id: string, priority: 1 | 2 | 3, badge: string, text: string, page?: string}} Row
 * What every row has, whatever it is about: nothing here may lean on a station.
 */

export function Abnormal({ line }) {
  const roll = useChannel(line.current_roll ? `roll:${line.current_roll}` : null);
  const rows = [...stationRows(line.stations), ...cameraRows(line.cameras), ...patternRows(line.patterns), ...filmRows(roll)];
  rows.sort((a, b) => a.priority - b.priority);
  return html`
    <${Panel} title=${t("abnormal.title")} testid="abnormal" className="scroll">
      ${rows.length
        ? html`<ul class="plain">${rows.map((row) => html`
            <li key=${row.id} data-testid=${`abnormal-${row.id}`}>
              <${Alarm} priority=${row.priority}>${row.badge}<//>
              ${row.page ? html`<a href=${row.page}>${row.text}</a>` : html`<span>${row.text}</span>`}
            </li>`)}</ul>`
        : html`<${Empty}>${t("abnormal.none")}<//>`}
    <//>`;
}

/** @returns {Row[]} */
function stationRows(stations) {
  return stations.flatMap((station) => {
    const { code, state } = station;
    const name = stationName(code);
    const found = station.abnormal_tags.map((tag) => (
      { id: tag, priority: 2, badge: code, text: t("abnormal.tag", { station: name, tag: tag.split(".").pop() }) }));
    const priority = statePriority(state?.state);
    if (priority) {
      const reason = state.stop_reason ? `: ${state.stop_reason}` : "";
      found.push({ id: code, priority, badge: code, text: `${name} ${state.state.toUpperCase()}${reason}` });
    }
    return found;
  });
}

/** @returns {Row[]} */
const cameraRows = (cameras) =>
  cameras.filter((camera) => cameraPriority(camera.state)).map((camera) => ({
    id: camera.camera, priority: cameraPriority(camera.state), badge: camera.station,
    text: `${camera.camera}: ${cameraSentence(camera)}`,
  }));

/** @returns {Row[]} */
const patternRows = (patterns) =>
  patterns.filter((pattern) => pattern.verdict !== "pass").map((pattern) => ({
    id: pattern.pattern, priority: pattern.verdict === "reject" ? 2 : 3, badge: pattern.station,
    text: t("abnormal.pattern", { pattern: patternSentence(pattern), md: metres(pattern.md_end_um) }),
    page: stretchAddress(pattern.roll, pattern.md_start_um, pattern.md_end_um, { pattern: pattern.pattern }),
  }));

/** @param {object | null} roll the current roll's channel, which may be unknown or not there yet @returns {Row[]} */
const filmRows = (roll) =>
  uninspectedByReason(roll?.uninspected ?? []).filter((row) => row.length_um >= LEAST_UNINSPECTED_UM).map((row) => ({
    id: `film-${row.why.replaceAll(" ", "-")}`, priority: 3, badge: t("abnormal.film"),
    text: t("abnormal.uninspected", {
      length: row.length_um < 1e6 ? millimetres(row.length_um, 0) : metres(row.length_um, 1), why: whyText(row.why),
    }),
    page: stretchAddress(roll.roll, row.last.start_um, row.last.end_um),
  }));
