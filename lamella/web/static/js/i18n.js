// Texts by key. English is the fallback of every other catalogue.
import { signal } from "./dom.js";

/** Languages that have a catalogue in `static/i18n`. */
export const LANGUAGES = { en: "English" };

const catalogue = signal({});
export const language = signal("en");

/** @param {string} wanted */
export async function loadLanguage(wanted) {
  const chosen = wanted in LANGUAGES ? wanted : "en";
  const english = await texts("en");
  catalogue.value = chosen === "en" ? english : { ...english, ...(await texts(chosen)) };
  language.value = chosen;
  document.documentElement.lang = chosen;
}

async function texts(name) {
  return (await fetch(`/static/i18n/${name}.json`)).json();
}

/**
 * The text of a key with `{name}` filled in; the key itself when there is none. With a numeric `count`, the form that
 * the language has for it (`key.one`) goes first.
 * @param {string} key
 * @param {Object<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const form = typeof values.count === "number" ? new Intl.PluralRules(language.value).select(values.count) : "other";
  const text = catalogue.value[`${key}.${form}`] ?? catalogue.value[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** Whether the catalogue has a key. @param {string} key */
export const has = (key) => key in catalogue.value;
