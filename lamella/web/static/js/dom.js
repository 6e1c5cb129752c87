// The one place that knows which library draws the pages.
import htm from "../vendor/htm.js";
import { Fragment, h, render } from "../vendor/preact.js";

export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact-hooks.js";
export { batch, computed, effect, signal, untracked } from "../vendor/signals.js";
export { Fragment, h, render };

export const html = htm.bind(h);
