// Paper: a dark page prints light, and what is folded is printed open; afterwards everything is as it was.
(function () {
  const root = document.documentElement;
  const folds = ".bd-article details:not(.above-input):not([open])"; // code that is folded stays folded
  let theme = null;
  let opened = [];
  function before() {
    if (theme !== null) return;
    theme = root.dataset.theme;
    root.dataset.theme = "light";
    opened = [...document.querySelectorAll(folds)].filter((fold) => !fold.closest("figure.moving"));
    opened.forEach((fold) => { fold.open = true; });
  }
  function after() {
    if (theme === null) return;
    root.dataset.theme = theme;
    opened.forEach((fold) => { fold.open = false; });
    theme = null;
  }
  window.addEventListener("beforeprint", before);
  window.addEventListener("afterprint", after);
  window.matchMedia("print").addEventListener("change", (media) => (media.matches ? before() : after()));
})();

// The reference was one page: the address of an entry there leads to the page that has it now.
document.addEventListener("DOMContentLoaded", () => {
  const entry = location.hash.slice(1);
  if (!location.pathname.endsWith("appendix-helpers.html") || !entry || document.getElementById(entry)) return;
  const link = document.querySelector(`.bd-article a[href$="#${CSS.escape(entry)}"]`);
  if (link) location.replace(link.href);
});
