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
