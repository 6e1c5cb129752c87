// What stands on every page: where we are, how old it is, whether it is real.
import { html } from "../dom.js";
import { useChannel } from "../hooks.js";
import { age, clock, day } from "../format.js";
import { LANGUAGES, language, t } from "../i18n.js";
import { beat, connection } from "../live.js";
import { rollAddress, route } from "../router.js";
import { THEMES, chooseLanguage, chooseTheme, dataAge_s, staleReasons, theme } from "../store.js";
import { Glyph, stateGlyph } from "./glyphs.js";
import { Simulation } from "./simulation.js";

const PAGES = [["line", "/"], ["rolls", "/rolls"], ["cells", "/cells"], ["yield", "/yield"]];
/** Words from worst to best: the line's own word is the worst of the stations that make the web. */
const WORST_FIRST = ["Aborted", "Aborting", "Stopped", "Stopping", "Held", "Holding", "Suspended", "Suspending"];

/** One word for the line. @param {object[]} stations */
export function lineState(stations) {
  const states = stations.map((row) => row.state?.state).filter(Boolean);
  if (!states.length) return undefined;
  if (states.includes("Execute")) return "Execute";
  return WORST_FIRST.find((word) => states.includes(word)) ?? states[0];
}

export function Header() {
  const line = useChannel("line");
  return html`
    <header class="head">
      <div class="top">
        <a class="brand" href="/" data-testid="brand"><img src="/static/icon.svg" alt="" />Lamella</a>
        <nav aria-label=${t("nav.label")}>
          ${PAGES.map(([name, address]) => html`
            <a href=${address} data-testid=${`nav-${name}`} aria-current=${route.value.page === name ? "page" : null}>
              ${t(`nav.${name}`)}
            </a>`)}
        </nav>
        <span class="grow"></span>
        ${(beat.value?.simulated ?? line?.fresh?.simulated) && html`<${Simulation} />`}
        <select aria-label=${t("theme.label")} title=${t("theme.label")} data-testid="theme" value=${theme.value}
          onChange=${(event) => chooseTheme(event.target.value)}>
          ${THEMES.map((name) => html`<option value=${name} selected=${name === theme.value}>${t(`theme.${name}`)}</option>`)}
        </select>
        <select aria-label=${t("language.label")} title=${t("language.label")} data-testid="language" value=${language.value}
          onChange=${(event) => chooseLanguage(event.target.value)}>
          ${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code}>${name}</option>`)}
        </select>
        <span class="muted small" data-testid="user" title=${t("user.explained")}>${t("user.anonymous")}</span>
      </div>
      <${Status} line=${line} />
    </header>`;
}

function Status({ line }) {
  const state = lineState(line?.stations ?? []);
  const stale = staleReasons.value.length > 0;
  const open = connection.value === "open";
  return html`
    <div class="status">
      <${Fact} name=${t("status.line")}><b class="nowrap">${line?.line ?? "–"}</b><//>
      <${Fact} name=${t("status.state")}>
        <${Glyph} name=${stateGlyph(state)} /><b data-testid="line-state">${(state ?? t("state.unknown")).toUpperCase()}</b>
      <//>
      <${Fact} name=${t("status.recipe")}>${line?.current_recipe || "–"}<//>
      <${Fact} name=${t("status.roll")}>
        ${line?.current_roll ? html`<a href=${rollAddress(line.current_roll)}>${line.current_roll}</a>` : "–"}
      <//>
      <span class="grow"></span>
      <${Fact} name=${t("status.age")} warned=${stale}>
        ${stale && html`<${Glyph} name="warn" />`}<span data-testid="data-age">${age(dataAge_s.value)}</span>
      <//>
      <${Fact} name=${t("status.link")} warned=${!open}>
        <${Glyph} name=${open ? "link" : "warn"} /><span data-testid="link">${t(`link.${connection.value}`)}</span>
      <//>
      <${Fact} name=${t("status.clock")}>
        <span title=${t("clock.explained")} data-testid="clock">
          ${day(beat.value?.plant)} <b>${clock(beat.value?.plant)}</b> UTC
        </span>
      <//>
    </div>`;
}

const Fact = ({ name, warned = false, children }) => html`
  <span class=${warned ? "fact warned" : "fact"}><span class="name">${name}</span><span class="value row nowrap">${children}</span></span>`;

/** Says that what is shown may be old, and why. */
export function StaleBanner() {
  const reasons = staleReasons.value;
  document.body.classList.toggle("is-stale", reasons.length > 0);
  if (!reasons.length) return null;
  const texts = reasons.map((reason) => {
    const [kind, name] = reason.split(":");
    return t(`stale.${kind}`, { name });
  });
  return html`
    <div class="stale" role="alert" data-testid="stale">
      <${Glyph} name="warn" />
      <span>${t("stale.title", { age: age(dataAge_s.value) })}</span>
      <span class="small">${texts.join(" ")}</span>
    </div>`;
}
