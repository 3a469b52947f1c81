
// Sorting of the gallery, and keys while a picture is large. Without this script pictures still open: they are targets.
(function () {
  "use strict";
  const gallery = document.querySelector(".gallery");
  const sorting = document.querySelector(".sort");
  addEventListener("beforeprint", function () {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
  if (!gallery || !sorting) return;
  sorting.hidden = false;

  const place = (figure) => Number(figure.dataset.place);
  const byText = (key) => (a, b) => a.dataset[key].localeCompare(b.dataset[key], undefined, { numeric: true });
  const orders = {
    worst: (a, b) => place(a) - place(b),
    best: (a, b) => b.dataset.scored.localeCompare(a.dataset.scored) || place(b) - place(a),
    name: byText("name"),
    group: (a, b) => byText("group")(a, b) || place(a) - place(b),
  };
  sorting.addEventListener("click", function (event) {
    const order = orders[event.target.dataset.sort];
    if (!order) return;
    gallery.append(...[...gallery.children].sort(order));
    for (const button of sorting.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button === event.target));
    }
  });

  addEventListener("keydown", function (event) {
    const large = gallery.querySelector("figure:target");
    if (!large) return;
    const next = { ArrowRight: large.nextElementSibling, ArrowLeft: large.previousElementSibling }[event.key];
    if (next) location.replace("#" + next.id);
    if (event.key === "Escape") location.hash = "at-" + large.dataset.place;
  });
})();
