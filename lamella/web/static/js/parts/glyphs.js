// Small drawings. A state is never colour alone: it has a shape and a word.
import { html } from "../dom.js";

const PATHS = {
  run: "M3 1.5v13l11-6.5z",
  idle: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13m0 2.2a4.3 4.3 0 1 1 0 8.6 4.3 4.3 0 0 1 0-8.6",
  held: "M2.5 1.5h4v13h-4zM9.5 1.5h4v13h-4z",
  suspended: "M1.5 1.5h13v13h-13zM3.7 3.7v8.6h3.2V3.7zM9.1 3.7v8.6h3.2V3.7z",
  stopped: "M2 2h12v12H2z",
  aborted: "M3.4 1 8 5.6 12.6 1 15 3.4 10.4 8l4.6 4.6-2.4 2.4L8 10.4 3.4 15 1 12.6 5.6 8 1 3.4z",
  complete: "M6.2 13.6 1 8.4l2-2 3.2 3.2L13 2.8l2 2z",
  changing: "M8 1.5a6.5 6.5 0 0 1 6.2 4.6l1.5-.4-2.2 4-4-2.2 2.2-.6A4.2 4.2 0 0 0 4 6.6l-2-.9A6.5 6.5 0 0 1 8 1.5m0 13a6.5 6.5 0 0 1-6.2-4.6l-1.5.4 2.2-4 4 2.2-2.2.6A4.2 4.2 0 0 0 12 9.4l2 .9a6.5 6.5 0 0 1-6 4.2",
  unknown: "M8 1 15 8 8 15 1 8zm0 3.2L4.2 8 8 11.8 11.8 8z",
  square: "M1.5 1.5h13v13h-13z",
  diamond: "M8 0 16 8 8 16 0 8z",
  warn: "M8 1 15.5 15H.5zM7 6v4.5h2V6zm0 5.7v1.8h2v-1.8z",
  hollow: "M2 2h12v12H2zM4.2 4.2v7.6h7.6V4.2z",
  dot: "M8 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8",
  disc: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1",
  cluster: "M3 2a2 2 0 1 0 0 4 2 2 0 0 0 0-4m9 1a2 2 0 1 0 0 4 2 2 0 0 0 0-4M6 9a2 2 0 1 0 0 4 2 2 0 0 0 0-4m7 2a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2",
  repeat: "M1 3h2v10H1zM5.6 3h2v10h-2zM10.2 3h2v10h-2zM14 7h2v2h-2z",
  rate: "M1 12h3v3H1zM6.5 8h3v7h-3zM12 1h3v14h-3z",
  link: "M1 9.5h3v5H1zM6.5 6h3v8.5h-3zM12 1.5h3v13h-3z",
};

/** @param {{name: keyof PATHS}} props */
export const Glyph = ({ name }) =>
  html`<svg class="glyph" viewBox="0 0 16 16" aria-hidden="true"><path fill-rule="evenodd" d=${PATHS[name]} /></svg>`;

const STATES = {
  Execute: "run", Idle: "idle", Held: "held", Suspended: "suspended", Stopped: "stopped", Aborted: "aborted",
  Complete: "complete",
};

/** Drawing of a PackML state. @param {string | undefined} state */
export const stateGlyph = (state) => (state ? (STATES[state] ?? "changing") : "unknown");

const ABNORMAL = { Aborted: 1, Aborting: 1, Held: 2, Holding: 2, Stopped: 2, Stopping: 2 };

/** Priority of a PackML state as an alarm; 0 is none. @param {string | undefined} state */
export const statePriority = (state) => ABNORMAL[state] ?? 0;

const SHAPES = { 1: "square", 2: "diamond", 3: "disc" };

/** @param {{priority: 1 | 2 | 3, children: any}} props */
export const Alarm = ({ priority, children }) =>
  html`<span class=${`alarm p${priority}`}><${Glyph} name=${SHAPES[priority]} /><span class="cut">${priority} ${children}</span></span>`;

const VERDICTS = { reject: "diamond", mark: "hollow", review: "hollow", pass: "dot", uninspected: "unknown" };

/** Drawing of a defect's verdict, as on the roll map. @param {string} verdict */
export const verdictGlyph = (verdict) => VERDICTS[verdict] ?? "unknown";
