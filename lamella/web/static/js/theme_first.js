// Runs before the first paint, so that a dark control room does not flash white.
(function () {
  const known = ["light", "dark", "contrast"];
  let theme = null;
  try {
    theme = localStorage.getItem("lamella.theme");
  } catch {
    // Storage may be switched off; the system's wish is good enough.
  }
  if (!known.includes(theme)) theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = theme;
})();
