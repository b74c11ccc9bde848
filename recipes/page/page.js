"use strict";
(function () {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  function label() {
    button.textContent = isDark() ? "Light page" : "Dark page";
  }
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  prefersDark.addEventListener("change", label);
  button.hidden = false;
  label();
  // `ast`: expressions are interpreted, not compiled, so that the page needs no right to make code from text.
  const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, tooltip: { theme: "accelzoo" } };
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const drawn = specs.map((spec, index) => {
    const place = document.getElementById("chart-" + index);
    return window.accelzooEmbed(place, spec, options).catch((error) => {
      place.textContent = "This chart could not be drawn: " + error.message + ". Its numbers are below.";
      console.error(error);
    });
  });
  Promise.all(drawn).then(() => {
    root.dataset.charts = "drawn";
  });
})();
