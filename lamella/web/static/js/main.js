// Starts the console in the browser.
import { html, render, useEffect } from "./dom.js";
import { t } from "./i18n.js";
import { beat, connect, connection } from "./live.js";
import { CellPage } from "./pages/cell.js";
import { CellsPage } from "./pages/cells.js";
import { LinePage } from "./pages/line.js";
import { RollPage } from "./pages/roll.js";
import { RollsPage } from "./pages/rolls.js";
import { YieldPage } from "./pages/yield.js";
import { Header, StaleBanner } from "./parts/header.js";
import { followLinks, route } from "./router.js";
import { chooseLanguage, loadNames, remembered, staleReasons } from "./store.js";

/** For tests and for people at the browser's console: whether the page is up and what it shows. */
window.__ui = {
  ready: false,
  get state() {
    return {
      page: route.value.page,
      id: route.value.id,
      connection: connection.value,
      beat: beat.value,
      stale: staleReasons.value,
      ...window.__ui.page,
    };
  },
  page: {},
};

function Page() {
  const { page, id } = route.value;
  if (page === "line") return html`<${LinePage} />`;
  if (page === "rolls") return id ? html`<${RollPage} key=${id} roll=${id} />` : html`<${RollsPage} />`;
  if (page === "cells") return id ? html`<${CellPage} key=${id} unit=${id} />` : html`<${CellsPage} />`;
  if (page === "yield") return html`<${YieldPage} />`;
  return html`<div class="notice"><h1>${t("page.unknown")}</h1><a href="/">${t("nav.line")}</a></div>`;
}

function Console() {
  const { page, id } = route.value;
  const title = id || t(`nav.${page}`);
  useEffect(() => {
    document.title = `${title} · Lamella`;
  }, [title]);
  return html`
    <${Header} />
    <${StaleBanner} />
    <main id="main" data-testid=${`page-${page}`}><${Page} /></main>`;
}

await chooseLanguage(remembered("lamella.language") ?? "en");
followLinks();
connect();
loadNames();
const root = document.getElementById("app");
root.replaceChildren();
render(html`<${Console} />`, root);
window.__ui.ready = true;
