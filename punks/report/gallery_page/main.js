// Puts it together: what is clicked, typed and scrolled, and the pages as they come in.
grid.onclick = (event) => {
  const button = event.target.closest("button");
  if (button) open(Number(button.dataset.place));
};
grid.onkeydown = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !event.target.dataset.place) return;
  const at = Number(event.target.dataset.place), page = Math.max(1, Math.floor(window.innerHeight / shown.row) - 1);
  const to = {
    ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - shown.columns, ArrowDown: at + shown.columns,
    PageUp: at - page * shown.columns, PageDown: at + page * shown.columns, Home: 0, End: count() - 1,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  if (event.key.startsWith("Arrow") && (to < 0 || to >= count())) return;
  focusOn(to);
};
document.onkeydown = (event) => {
  if (viewer.open || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input[type=search], select");
  if (event.key === "Escape" && document.body.classList.contains("filtering")) showFilters(false);
  else if (typing) return;
  else if (event.key === "/") { event.preventDefault(); byId("search").focus(); }
  else if (event.key === "+" || event.key === "=") resize(shown.scale + 1);
  else if (event.key === "-") resize(shown.scale - 1);
  else if (event.key.startsWith("Arrow") && event.target === document.body) { event.preventDefault(); focusOn(shown.at); }
};
byId("search").oninput = (event) => { wanted.words = words(event.target.value); look(); };
byId("search").onkeydown = (event) => {
  if (event.key === "Escape") {
    event.preventDefault();
    event.target.value = "";
    wanted.words = [];
    look();
    focusOn(0);
  }
  if (event.key === "Enter" || event.key === "ArrowDown") { event.preventDefault(); focusOn(0); }
};
byId("sort").onchange = (event) => { shown.order = event.target.value; look(); };
byId("size").oninput = (event) => resize(Number(event.target.value));
byId("clear").onclick = clear;
byId("show-filters").onclick = () => showFilters(true);
byId("hide-filters").onclick = () => showFilters(false);

let due = 0;
const soon = () => { due ||= requestAnimationFrame(() => { due = 0; arrange(); }); };
window.addEventListener("scroll", soon, { passive: true });
new ResizeObserver(() => { measure(); arrange(); if (viewer.open) zoomTo(view.zoom); }).observe(grid);

byId("rarest").hidden = byId("rarest").disabled = head.types.length === 0;
if (head.count === 0) byId("nothing").textContent = "No punk is painted yet.";
makeFacets();
list(byId("failures"), head.failed, head.failures, `${many(head.failed)} job${head.failed === 1 ? "" : "s"} failed`);
list(byId("warnings"), head.warned, head.warnings, `${many(head.warned)} ${head.warned === 1 ? "punk with a warning" : "punks with warnings"}`);
const room = grid.clientWidth;
resize(room < 600 ? Math.max(4, Math.floor((room - 12) / 2 / CELLS)) : 7);
refresh();
let later = 0;
pages.load((page, problem) => {
  if (problem) {
    byId("nothing").textContent = problem;
    byId("nothing").hidden = false;
    return;
  }
  if (!shown.list && loaded < head.count) { soon(); describe(); }
  else later ||= setTimeout(() => { later = 0; refresh(); }, loaded < head.count ? 300 : 0);
});
