// Hooks that pages share.
import { useEffect, useMemo, useState } from "./dom.js";
import { watch } from "./live.js";

/**
 * The value of a channel, null while there is none.
 * @param {string | null} name
 */
export function useChannel(name) {
  const watched = useMemo(() => (name ? watch(name) : null), [name]);
  useEffect(() => watched?.leave, [watched]);
  return watched ? watched.signal.value : null;
}

/**
 * What an address of the API answers: `{data}`, `{problem}`, or neither while it is fetched.
 * @param {string | null} path
 */
export function useAnswer(path) {
  const [answer, setAnswer] = useState({ path: null, data: null, problem: null });
  useEffect(() => {
    if (!path) return undefined;
    const leaving = new AbortController();
    fetchJson(path, { signal: leaving.signal })
      .then((data) => setAnswer({ path, data, problem: null }))
      .catch((error) => {
        if (error.name !== "AbortError") setAnswer({ path, data: null, problem: error.message });
      });
    return () => leaving.abort();
  }, [path]);
  return answer.path === path ? answer : { path, data: null, problem: null };
}

/**
 * JSON from the API; a problem becomes an Error with its detail.
 * @param {string} path
 * @param {RequestInit} [options]
 */
export async function fetchJson(path, options = {}) {
  const response = await fetch(path, options);
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.detail ?? `${response.status} ${response.statusText}`);
  return body;
}

/** @param {string} path @param {object} body */
export function postJson(path, body) {
  return fetchJson(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}
