// How a snapshot and the deltas after it become a channel's value. Pure.

/** Lists whose items have an identity, and the field that is it. */
const IDENTITY = { stations: "code", defects: "defect", events: "id", rolls: "roll", cells: "unit", profiles: "id" };
/** Lists that keep only their latest items. */
const KEPT = { events: 200 };

/**
 * @typedef {{op: "snapshot", ch: string, seq: number, data: object}} Snapshot
 * @typedef {{op: "delta", ch: string, seq: number, prev: number, set: object, add: Object<string, object[]>}} Delta
 */

/**
 * The value after a delta; the old value stays as it is.
 * @param {object} value
 * @param {Delta} delta
 * @returns {object}
 */
export function applied(value, delta) {
  const next = { ...value, ...delta.set };
  for (const [key, items] of Object.entries(delta.add)) next[key] = merged(key, next[key] ?? [], items);
  return next;
}

/** @param {string} key @param {object[]} old @param {object[]} items */
function merged(key, old, items) {
  const field = IDENTITY[key];
  const table = new Map(old.map((item) => [item[field], item]));
  for (const item of items) table.set(item[field], item);
  const all = [...table.values()];
  return KEPT[key] ? all.slice(-KEPT[key]) : all;
}

/**
 * Whether a delta follows on what a page has.
 * @param {number | undefined} seen sequence number of the last message of the channel
 * @param {Delta} delta
 */
export function follows(seen, delta) {
  return seen === delta.prev;
}
