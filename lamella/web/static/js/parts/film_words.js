// Sentences about film: why it was not inspected, what a pattern is, what is wrong with a camera.
import { chance, metres, millimetres, number } from "../format.js";
import { has, t } from "../i18n.js";
import { defectTitle } from "../store.js";

/** Why film was not inspected, in the reader's language. @param {string} label as the twin says it */
export function whyText(label) {
  const key = `why.${label.replaceAll(" ", "_")}`;
  return has(key) ? t(key) : label;
}

/** Film that was not inspected, by the reason, the longest first. @param {object[]} spans of a roll */
export function uninspectedByReason(spans) {
  const found = new Map();
  for (const span of spans) {
    const row = found.get(span.label) ?? { why: span.label, length_um: 0, last: span };
    found.set(span.label, { ...row, length_um: row.length_um + span.end_um - span.start_um, last: span });
  }
  return [...found.values()].sort((a, b) => b.length_um - a.length_um);
}

/** What a pattern is, without its cause: `repeat every 251.3 mm, roller idler`. */
export function patternForm(pattern) {
  return t(`pattern.${pattern.form}`, {
    period: millimetres(pattern.period_um),
    roller: pattern.roller || t("pattern.no_roller"),
    factor: number(pattern.rate_factor, pattern.rate_factor < 10 ? 1 : 0),
    along: metres(pattern.md_end_um - pattern.md_start_um, 1),
    across: millimetres(Math.max(pattern.md_end_um - pattern.md_start_um, pattern.cd_end_um - pattern.cd_start_um)),
  });
}

/** A pattern in one line, with its cause and its chance. */
export function patternSentence(pattern) {
  return t("pattern.sentence", {
    form: patternForm(pattern),
    kind: defectTitle(pattern.kind),
    defects: number(pattern.defects_count),
    p: chance(pattern.p_value),
    cause: pattern.cause || pattern.reason || t("pattern.no_cause"),
  });
}

/** A short name for the map. */
export function patternLabel(pattern) {
  return t(`pattern.${pattern.form}_short`, {
    kind: pattern.kind,
    count: number(pattern.defects_count),
    period: millimetres(pattern.period_um),
    roller: pattern.roller,
    factor: number(pattern.rate_factor, pattern.rate_factor < 10 ? 1 : 0),
  }).trim();
}

/** What follows from a camera's state. @param {{state: string, reason: string}} camera */
export const cameraSentence = (camera) =>
  t(`camera.${camera.state}`, { reason: camera.reason || t("camera.no_reason") });

/** Priority of a camera's state as an alarm; 0 is none. @param {string} state */
export const cameraPriority = (state) => ({ ok: 0, drifting: 3 })[state] ?? 2;
