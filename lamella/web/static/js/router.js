// The address is the state: a link in a chat shows the same roll, window and defect.
import { signal } from "./dom.js";

const AROUND_UM = 500_000;

/** @returns {{page: string, id: string, query: URLSearchParams}} */
function here() {
  const [, page = "", ...rest] = location.pathname.split("/");
  return { page: page || "line", id: decodeURIComponent(rest.join("/")), query: new URLSearchParams(location.search) };
}

export const route = signal(here());

/** @param {string} address */
export function go(address) {
  history.pushState(null, "", address);
  route.value = here();
  scrollTo(0, 0);
}

/**
 * Change parts of the query without a new entry in the history; null takes a part away.
 * @param {Object<string, string | null>} parts
 */
export function setQuery(parts) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(parts)) {
    if (value === null) query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
  route.value = here();
}

export const rollAddress = (roll, parts = {}) => address("rolls", roll, parts);
/** A stretch of a roll with room on either side. @param {string} roll @param {number} from_um @param {number} to_um */
export const stretchAddress = (roll, from_um, to_um, parts = {}) =>
  rollAddress(roll, { from: (Math.max(0, from_um - AROUND_UM) / 1e6).toFixed(3), to: ((to_um + AROUND_UM) / 1e6).toFixed(3), ...parts });
export const cellAddress = (unit) => address("cells", unit, {});

function address(page, id, parts) {
  const query = new URLSearchParams(parts).toString();
  return `/${page}/${encodeURIComponent(id)}${query ? `?${query}` : ""}`;
}

/** Follow links of our own pages without loading the document again. */
export function followLinks() {
  addEventListener("popstate", () => {
    route.value = here();
  });
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[href^='/']") : null;
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || link.hasAttribute("target") || link.getAttribute("href").startsWith("/api")) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  });
}
