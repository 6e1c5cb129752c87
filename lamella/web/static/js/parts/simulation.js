// The badge that says that nothing here is real, and the controls that only a simulated line has.
import { html, useEffect, useRef, useState } from "../dom.js";
import { pace } from "../format.js";
import { postJson } from "../hooks.js";
import { t } from "../i18n.js";
import { beat } from "../live.js";

const SPEEDS = [1, 4, 60, 600];
const FAULTS = ["F01", "F02", "F03", "F04", "F05", "F06", "F07", "F09", "F10", "F11", "F12", "F13", "F15", "F16"];
const STRENGTHS = [0.5, 1, 2];

/** The speed that was asked for when the measured one is close to it, so that the badge does not flicker. */
function shownSpeed(measured) {
  if (measured === null || measured === undefined) return "";
  const near = SPEEDS.find((speed) => Math.abs(measured / speed - 1) < 0.2);
  return pace(near ?? measured);
}

export function Simulation() {
  const [open, setOpen] = useState(false);
  const [said, setSaid] = useState("");
  const [fault, setFault] = useState(FAULTS[0]);
  const [strength, setStrength] = useState(1);
  const box = useRef(null);
  const speed = beat.value?.speed;
  const near = SPEEDS.find((each) => speed && Math.abs(speed / each - 1) < 0.2);

  useEffect(() => {
    if (!open) return undefined;
    const leave = (event) => {
      const outside = event.type === "pointerdown" && !box.current?.contains(event.target);
      if (outside || event.key === "Escape") setOpen(false);
    };
    document.addEventListener("pointerdown", leave);
    document.addEventListener("keydown", leave);
    return () => {
      document.removeEventListener("pointerdown", leave);
      document.removeEventListener("keydown", leave);
    };
  }, [open]);

  const order = async (path, body, done) => {
    setSaid(t("sim.sending"));
    try {
      const answer = await postJson(path, body);
      setSaid(answer.ok ? done : t("sim.refused", { detail: answer.detail }));
    } catch (error) {
      setSaid(t("sim.failed", { detail: error.message }));
    }
  };
  const setSpeed = (each) => order("/api/v1/plant/speed", { speed: each }, t("sim.speed_set", { speed: pace(each) }));
  const inject = () =>
    order("/api/v1/plant/faults", { scenario: fault, strength }, t("sim.injected", { fault: `${fault} ${t(`fault.${fault}`)}` }));

  return html`
    <div class="sim" ref=${box}>
      <button class="simulated" data-testid="simulated" aria-expanded=${open} aria-controls="sim-panel"
        title=${t("sim.explained")} onClick=${() => setOpen(!open)}>
        ${t("sim.badge")} ${shownSpeed(speed)}
      </button>
      ${open && html`
        <div class="sim-panel" id="sim-panel" role="dialog" aria-label=${t("sim.title")} data-testid="sim-panel">
          <p class="small muted">${t("sim.explained")}</p>
          <fieldset>
            <legend>${t("sim.speed")}</legend>
            <div class="speeds">
              ${SPEEDS.map((each) => html`
                <button data-testid=${`speed-${each}`} aria-pressed=${each === near} onClick=${() => setSpeed(each)}>
                  ${pace(each)}
                </button>`)}
            </div>
          </fieldset>
          <div>
            <label for="fault">${t("sim.fault")}</label>
            <select id="fault" data-testid="fault" value=${fault} onChange=${(event) => setFault(event.target.value)}>
              ${FAULTS.map((code) => html`<option value=${code}>${code} ${t(`fault.${code}`)}</option>`)}
            </select>
          </div>
          <div class="row spread">
            <span class="row small">
              <label for="strength">${t("sim.strength")}</label>
              <select id="strength" data-testid="strength" onChange=${(event) => setStrength(Number(event.target.value))}>
                ${STRENGTHS.map((each) => html`<option value=${each} selected=${each === strength}>${pace(each)}</option>`)}
              </select>
            </span>
            <button data-testid="inject" onClick=${inject}>${t("sim.inject")}</button>
          </div>
          <p class="small" role="status" data-testid="sim-said">${said}</p>
        </div>`}
    </div>`;
}
