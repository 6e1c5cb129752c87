// The map of one roll: where its defects are, what was looked at, what was cut from it, and one defect in full.
import { html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../dom.js";
import { metres, number } from "../format.js";
import { useChannel } from "../hooks.js";
import { t } from "../i18n.js";
import { Panel, waiting } from "../parts/common.js";
import { DefectCard } from "../parts/defect_card.js";
import { DefectRows } from "../parts/defect_rows.js";
import { Glyph } from "../parts/glyphs.js";
import { MassMap } from "../parts/mass_map.js";
import { PatternRows } from "../parts/pattern_rows.js";
import { ProfilePanel, inOrder, profileAt } from "../parts/profile_panel.js";
import { RollMap } from "../parts/roll_map.js";
import { RollOverview } from "../parts/roll_overview.js";
import { DefectTable } from "../roll/defects.js";
import { fitted, inside, panned, showing, zoomed } from "../roll/view.js";
import { route, setQuery } from "../router.js";

/** Height of the map: what the screen has left when the table keeps a few rows. */
const mapHeight = () => Math.round(Math.min(560, Math.max(260, innerHeight - 540)));

/** The window in the address, in metres, or null for the whole roll. */
function addressed() {
  const from = Number.parseFloat(route.value.query.get("from") ?? "");
  const to = Number.parseFloat(route.value.query.get("to") ?? "");
  return to > from ? { from: 1e6 * from, to: 1e6 * to } : null;
}

/** Zoom about the middle of the window. @param {number} factor */
const byFactor = (factor) => (now) => zoomed(now, factor, (now.from + now.to) / 2);

export function RollPage({ roll: name }) {
  const roll = useChannel(`roll:${name}`);
  const line = useChannel("line");
  const [wanted, setWanted] = useState(addressed);
  const selected = route.value.query.get("defect");
  const pattern = route.value.query.get("pattern");
  const profile_m = route.value.query.get("profile");
  const table = useMemo(() => new DefectTable(roll?.defects ?? []), [roll?.defects]);
  const length_um = roll?.length_um ?? 0;
  const view = useMemo(() => inside(wanted ?? fitted(length_um), length_um), [wanted, length_um]);

  // What comes next is reckoned from what was asked last, which may not be drawn yet: fast keys must not get lost.
  const latest = useRef(view);
  latest.current = view;
  const look = useCallback(
    (change) => {
      const asked = typeof change === "function" ? change(latest.current) : change;
      // A window that need not move stays what it was: the whole of a roll that grows, for one.
      if (asked === latest.current) return;
      const next = asked && inside(asked, length_um);
      latest.current = next ?? fitted(length_um);
      setWanted(next);
    },
    [length_um],
  );
  const select = useCallback((defect) => setQuery({ defect }), []);
  const toPattern = useCallback(
    (row) => {
      setQuery({ pattern: row.pattern });
      const margin_um = Math.max(150_000, (row.md_end_um - row.md_start_um) / 10);
      look({ from: row.md_start_um - margin_um, to: row.md_end_um + margin_um });
    },
    [look],
  );
  const toProfile = useCallback((row) => setQuery({ profile: row && (row.md_start_um / 1e6).toFixed(3) }), []);
  const toKiller = useCallback(
    (way) => {
      const here = table.rows.find((row) => row.defect === selected)?.md_start_um ?? (way > 0 ? view.from - 1 : view.to);
      const found = table.killerFrom(here, way);
      if (!found) return;
      select(found.defect);
      look((now) => showing(now, found.md_start_um));
    },
    [table, selected, view, look, select],
  );

  useEffect(() => {
    // Before the roll is known its window is not either, and the address must keep what it asks for.
    if (!length_um) return undefined;
    const later = setTimeout(() => {
      const [from, to] = wanted ? [view.from, view.to].map((um) => (um / 1e6).toFixed(3)) : [null, null];
      setQuery({ from, to });
    }, 150);
    return () => clearTimeout(later);
  }, [wanted, length_um > 0]);

  useEffect(() => {
    window.__ui.page = { roll: name, view, selected, defects_count: table.rows.length };
  }, [name, view, selected, table]);

  // In the layout phase: a key pressed right after a draw must not meet the map as it was before.
  useLayoutEffect(() => {
    const deeds = {
      "+": () => look(byFactor(0.6)),
      "=": () => look(byFactor(0.6)),
      "-": () => look(byFactor(1 / 0.6)),
      ArrowLeft: () => look((now) => panned(now, (now.from - now.to) / 5)),
      ArrowRight: () => look((now) => panned(now, (now.to - now.from) / 5)),
      Home: () => look(null),
      n: () => toKiller(1),
      p: () => toKiller(-1),
      Escape: () => setQuery({ defect: null, pattern: null }),
    };
    const press = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea")) return;
      const deed = deeds[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!deed) return;
      event.preventDefault();
      deed();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [look, toKiller]);

  const profiles = useMemo(() => inOrder(roll?.profiles ?? []), [roll?.profiles]);
  const word = waiting(roll);
  if (word) return word;
  const measured = profileAt(roll, profiles, profile_m);
  const seen = table.within(view.from, view.to);
  const chosen = table.rows.find((row) => row.defect === selected) ?? null;
  return html`
    <div class="row spread">
      <h1>${t("roll.title", { roll: name })}</h1>
      <div class="figures">
        <span><b>${metres(roll.length_um, 1)}</b> ${t(line?.current_roll === name ? "roll.so_far" : "roll.long")}</span>
        <span><b data-testid="roll-defects">${number(table.rows.length)}</b> ${t("roll.defects", { count: table.rows.length })}</span>
        <span><b>${number(table.killers.length)}</b> ${t("roll.killers")}</span>
        <span><b>${number(roll.streaks.length)}</b> ${t("roll.streaks", { count: roll.streaks.length })}</span>
      </div>
    </div>
    <div class="roll-page">
      <div class="left">
        <section class="panel" aria-label=${t("roll.map")}>
          <div class="row toolbar">
            <div class="row" role="toolbar" aria-label=${t("roll.tools")}>
              <button data-testid="zoom-in" title=${t("key.zoom_in")} onClick=${() => look(byFactor(0.5))}>+</button>
              <button data-testid="zoom-out" title=${t("key.zoom_out")} onClick=${() => look(byFactor(2))}>−</button>
              <button data-testid="fit" title=${t("key.fit")} onClick=${() => look(null)}>${t("roll.fit")}</button>
              <button data-testid="previous" title=${t("key.previous")} disabled=${!table.killers.length} onClick=${() => toKiller(-1)}>${t("roll.previous")}</button>
              <button data-testid="next" title=${t("key.next")} disabled=${!table.killers.length} onClick=${() => toKiller(1)}>${t("roll.next")}</button>
            </div>
            <span class="muted small" data-testid="window">${metres(view.from)} – ${metres(view.to)}</span>
          </div>
          <${RollOverview} roll=${roll} table=${table} view=${view} onView=${look} />
          <${RollMap} roll=${roll} table=${table} view=${view} height=${mapHeight()} selected=${selected} pattern=${pattern} profile=${measured?.profile ?? null} onView=${look} onSelect=${select} />
          ${measured && html`<${MassMap} roll=${roll} profiles=${measured.all} view=${view} chosen=${measured.profile} onProfile=${toProfile} />`}
          <${Key} />
        </section>
        ${roll.patterns.length > 0 && html`
          <${Panel} title=${t("patterns.title", { count: number(roll.patterns.length) })} testid="patterns">
            <${PatternRows} patterns=${roll.patterns} selected=${pattern} onSelect=${toPattern} />
          <//>`}
        <${Panel} title=${t("defects.title", { count: number(seen.length), shown: number(Math.min(200, seen.length)) })} testid="defects-in-view">
          <${DefectRows} table=${table} seen=${seen} selected=${selected} onSelect=${select} />
        <//>
      </div>
      <${DefectCard} id=${selected} known=${chosen} />
      <${ProfilePanel} measured=${measured} onProfile=${toProfile} />
    </div>`;
}

const Key = () => html`
  <div class="key" aria-hidden="true">
    <span class="killer"><${Glyph} name="diamond" />${t("key.killer")}</span>
    <span><${Glyph} name="hollow" />${t("key.mark")}</span>
    <span><${Glyph} name="dot" />${t("key.pass")}</span>
    <span><i class="hatched-box"></i>${t("key.uninspected")}</span>
    <span><i class="framed-box"></i>${t("key.pattern")}</span>
    <span>${t("key.keys")}</span>
  </div>`;
