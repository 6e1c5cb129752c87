// What every page needs: names of things, theme, and what is stale.
import { computed, signal } from "./dom.js";
import { fetchJson } from "./hooks.js";
import { loadLanguage } from "./i18n.js";
import { beat, connection, isSilent, silence_ms } from "./live.js";

export const THEMES = ["light", "dark", "contrast"];
export const theme = signal(document.documentElement.dataset.theme);

/** The line model's names; null until they are fetched. */
export const names = signal(null);

/** Short name of a station, `CAST`. @param {string} code */
export const stationName = (code) => names.value?.stations.find((row) => row.code === code)?.name ?? "";
/** @param {string} code */
export const defectTitle = (code) => names.value?.defects.find((row) => row.code === code)?.title ?? code;

/** Reasons why what is shown may be old: "console", "broker", "twin", "data", "link:<name>". */
export const staleReasons = computed(() => {
  if (isSilent() || (connection.value === "lost" && silence_ms.value > 1_000)) return ["console"];
  return beat.value?.stale ?? [];
});

/** Wall seconds since the youngest thing the twin knows; grows on while nobody answers. */
export const dataAge_s = computed(() => {
  const age_s = beat.value?.data_age_s;
  return age_s === null || age_s === undefined ? null : age_s + silence_ms.value / 1000;
});

/** @param {string} chosen */
export function chooseTheme(chosen) {
  document.documentElement.dataset.theme = chosen;
  theme.value = chosen;
  remember("lamella.theme", chosen);
}

/** @param {string} chosen */
export async function chooseLanguage(chosen) {
  await loadLanguage(chosen);
  remember("lamella.language", chosen);
}

/** What was remembered on this device, or null. @param {string} key */
export function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage may be switched off; the choice then lasts as long as the page.
  }
}

/** Fetch the names, again and again until the console answers. */
export async function loadNames() {
  for (;;) {
    try {
      names.value = await fetchJson("/api/v1/names");
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}

/** A colour of the theme. @param {string} name */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
