// One punk, close up: painting and art side by side under one zoom, its facts, and what can be copied.
const viewer = byId("viewer"), panes = [byId("painting-pane"), byId("art-pane")];
const view = { place: 0, zoom: 1, quiet: 0 };
const path = (text) => text.split("/").map(encodeURIComponent).join("/");
const quoted = (text) => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The command that repaints it, for a shell in this folder. */
function command(punk) {
  const picture = punk.recipe().image ? " --image PICTURE" : "";
  return `punks generate --recipe ${quoted(punk.image)}${picture}`;
}

function show(place) {
  const punk = punkAt(place);
  if (!punk) return;
  view.place = shown.at = place;
  byId("view-place").textContent = `${many(place + 1)} of ${many(count())}`;
  byId("view-name").textContent = punk.name;
  byId("view-prompt").textContent = punk.text;
  byId("view-warnings").textContent = punk.warnings;
  byId("view-command").textContent = command(punk);
  byId("view-recipe").textContent = JSON.stringify(punk.recipe(), null, 2);
  byId("view-file").href = path(punk.image);
  byId("previous").disabled = place === 0;
  byId("next").disabled = place === count() - 1;
  const art = byId("view-art"), painting = byId("view-painting");
  art.setAttribute("aria-label", `${punk.name}: ${punk.text}`);
  draw(art, punk);
  panes[0].hidden = !punk.painting;
  if (punk.painting) {
    painting.src = path(punk.painting);
    painting.alt = `The painting that became ${punk.name}`;
  } else painting.removeAttribute("src");
  facts(byId("view-facts"), [
    ["Seed", punk.seed], ["Confidence", `${(100 * punk.confidence).toFixed(1)}%`], ["Job", many(punk.job)],
    ["Colors", punk.colors.length], ...(punk.seconds === null ? [] : [["Seconds", punk.seconds.toFixed(2)]]),
    ...(punk.traits.length ? [["Rarity", punk.score.toFixed(1)]] : []),
  ]);
  facts(byId("view-traits"), punk.traits.map((id) => [head.types[valueOf[id].type], valueOf[id].value, share(id)]));
  byId("traits-title").hidden = punk.traits.length === 0;
  const colors = punk.palette.match(/.{6}/g) ?? [];
  byId("view-palette").replaceChildren(...colors.map((code) => swatch(`#${code}`, `Copy #${code}`, () => say(`#${code}`))));
  byId("said").textContent = "";
  zoomTo(1);
}

function facts(list, rows) {
  list.replaceChildren(...rows.map(([name, value, note]) => {
    const row = document.createElement("div"), term = document.createElement("dt"), what = document.createElement("dd");
    term.textContent = name;
    what.textContent = value;
    row.append(term, what);
    if (note) {
      const aside = document.createElement("dd");
      aside.textContent = note;
      row.append(aside);
    }
    return row;
  }));
}

/** Side of a picture at zoom 1: the largest multiple of 24 px that fits. */
function fit() {
  const stage = byId("stage"), wide = stage.clientWidth >= stage.clientHeight, both = !panes[0].hidden;
  const space = getComputedStyle(stage), label = 28;
  const width = stage.clientWidth - 2 * parseFloat(space.paddingLeft), height = stage.clientHeight - 2 * parseFloat(space.paddingTop);
  const gap = parseFloat(space.columnGap) || 0;
  const room = both && wide ? Math.min((width - gap) / 2, height - label)
    : both ? Math.min(width, (height - gap) / 2 - label) : Math.min(width, height - label);
  stage.classList.toggle("stacked", both && !wide);
  return Math.max(CELLS, Math.floor(room / CELLS) * CELLS);
}

/** Zooms to a factor of the fitted size; the point (x, y), in parts of the picture, stays in the middle. */
function zoomTo(zoom, x = null, y = null) {
  const side = fit(), pane = panes[1];
  x ??= (pane.scrollLeft + side / 2) / (side * view.zoom);
  y ??= (pane.scrollTop + side / 2) / (side * view.zoom);
  view.zoom = Math.min(8, Math.max(1, zoom));
  viewer.style.setProperty("--fit", `${side}px`);
  viewer.style.setProperty("--zoom", view.zoom);
  viewer.classList.toggle("near", view.zoom > 1);
  byId("zoom").textContent = `${view.zoom}×`;
  byId("zoom-out").disabled = view.zoom === 1;
  byId("zoom-in").disabled = view.zoom === 8;
  for (const one of panes) {
    one.scrollLeft = x * side * view.zoom - side / 2;
    one.scrollTop = y * side * view.zoom - side / 2;
  }
}

async function say(text, button = null) {
  const done = await copy(text);
  byId("said").textContent = done ? `Copied: ${text.length > 60 ? "the recipe" : text}` : "This browser would not copy; select the text instead.";
  clearTimeout(view.quiet);
  view.quiet = setTimeout(() => { byId("said").textContent = ""; }, 4000);
  if (!button || !done) return;
  button.classList.add("done");
  setTimeout(() => button.classList.remove("done"), 1200);
}

const copyRecipe = () => say(JSON.stringify(punkAt(view.place).recipe()), byId("copy-recipe"));
const copyCommand = () => say(command(punkAt(view.place)), byId("copy-command"));

function open(place) {
  if (!punkAt(place)) return;
  viewer.showModal();
  show(place);
  byId("close").focus({ preventScroll: true });
}

for (const pane of panes) {
  pane.onscroll = () => {
    for (const other of panes) {
      if (other === pane) continue;
      other.scrollLeft = pane.scrollLeft;
      other.scrollTop = pane.scrollTop;
    }
  };
  pane.onclick = (event) => {
    const box = pane.firstElementChild.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
    if (x >= 0 && x <= 1 && y >= 0 && y <= 1) zoomTo(view.zoom < 8 ? view.zoom * 2 : 1, x, y);
  };
}
byId("previous").onclick = () => show(view.place - 1);
byId("next").onclick = () => show(view.place + 1);
byId("zoom-in").onclick = () => zoomTo(view.zoom * 2);
byId("zoom-out").onclick = () => zoomTo(view.zoom / 2);
byId("close").onclick = () => viewer.close();
byId("copy-recipe").onclick = copyRecipe;
byId("copy-command").onclick = copyCommand;
viewer.onclose = () => focusOn(view.place);
viewer.onkeydown = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const acts = {
    ArrowLeft: () => view.place > 0 && show(view.place - 1),
    ArrowRight: () => view.place < count() - 1 && show(view.place + 1),
    "+": () => zoomTo(view.zoom * 2), "=": () => zoomTo(view.zoom * 2), "-": () => zoomTo(view.zoom / 2), 0: () => zoomTo(1),
    c: copyCommand, r: copyRecipe,
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
};
