// The grid: only what is on the screen exists. Tiles are whole multiples of 24 px, so that every cell is a square.
const grid = byId("grid"), tiles = new Map(), spare = [];
const shown = { list: null, order: "job", at: 0, scale: 7, columns: 1, step: 0, row: 0 };
const many = (count) => count.toLocaleString("en");
const count = () => (shown.list ? shown.list.length : head.count);
const punkAt = (place) => (shown.list ? shown.list[place] : punks[place]);
const filtered = () => wanted.words.length > 0 || wanted.values.size > 0 || wanted.color !== null;

function measure() {
  const width = grid.clientWidth, small = shown.scale < 4, gap = small ? 2 * shown.scale : width < 600 ? 12 : 16;
  const columns = Math.max(1, Math.floor((width + gap) / (shown.scale * CELLS + gap)));
  // as many columns as the zoom asks for, and then the largest tiles that leave them room
  const side = Math.max(1, Math.floor(((width + gap) / columns - gap) / CELLS)) * CELLS;
  shown.columns = columns;
  shown.step = shown.columns > 1 ? (width - side) / (shown.columns - 1) : 0;
  shown.row = side + (small ? Math.round(shown.columns > 1 ? shown.step - side : gap) : gap + 36);
  grid.style.setProperty("--side", `${side}px`);
  grid.classList.toggle("small", small);
  grid.style.height = `${Math.ceil(count() / shown.columns) * shown.row}px`;
}

function arrange() {
  const top = window.scrollY - grid.offsetTop, spareRows = 2;
  const from = Math.max(0, Math.floor(top / shown.row) - spareRows) * shown.columns;
  const to = Math.min(count(), (Math.ceil((top + window.innerHeight) / shown.row) + spareRows) * shown.columns);
  const keep = grid.contains(document.activeElement) ? shown.at : -1;
  for (const [place, tile] of tiles) {
    if ((place < from || place >= to) && place !== keep) {
      tiles.delete(place);
      tile.remove();
      spare.push(tile);
    }
  }
  pages.first = [];
  for (let place = from; place < to; place++) fill(place, tiles.get(place) ?? put(place));
  if (keep >= from && keep < to) return;
  if (keep >= 0 && keep < count()) fill(keep, tiles.get(keep) ?? put(keep));
}

function put(place) {
  const tile = spare.pop() ?? makeTile();
  tiles.set(place, tile);
  const after = tiles.get(place + 1);
  grid.insertBefore(tile, after ?? null);
  return tile;
}

function makeTile() {
  const tile = document.createElement("li"), button = document.createElement("button");
  const canvas = document.createElement("canvas"), label = document.createElement("span");
  canvas.width = canvas.height = CELLS;
  button.type = "button";
  label.append(document.createElement("b"), document.createElement("i"));
  button.append(canvas, label);
  tile.append(button);
  return tile;
}

function fill(place, tile) {
  const punk = punkAt(place), button = tile.firstChild, [canvas, label] = button.children;
  const column = place % shown.columns, row = Math.floor(place / shown.columns);
  tile.style.transform = `translate(${Math.round(column * shown.step)}px, ${row * shown.row}px)`;
  tile.setAttribute("aria-setsize", count());
  tile.setAttribute("aria-posinset", place + 1);
  button.dataset.place = place;
  button.tabIndex = place === shown.at ? 0 : -1;
  if (tile.punk === punk && punk) return;
  tile.punk = punk;
  if (!punk) {
    pages.first.push(Math.floor(place / PAGE));
    canvas.punk = null;
    canvas.classList.remove("painted");
    label.firstChild.textContent = label.lastChild.textContent = "";
    return;
  }
  const sure = `${Math.round(100 * punk.confidence)}%`;
  button.setAttribute("aria-label", `${punk.name}, seed ${punk.seed}, confidence ${sure}: ${punk.text}`);
  button.title = punk.text;
  label.firstChild.textContent = punk.name;
  label.lastChild.textContent = `seed ${punk.seed} · ${sure}`;
  label.lastChild.title = `The 24x24 grid was found with ${sure} confidence`;
  draw(canvas, punk);
}

/** Moves the focus to a place; the page scrolls as far as it must. */
function focusOn(place) {
  if (count() === 0) return;
  shown.at = Math.min(Math.max(place, 0), count() - 1);
  const top = grid.offsetTop + Math.floor(shown.at / shown.columns) * shown.row;
  const bar = document.querySelector(".bar").offsetHeight + 12;
  if (top - bar < window.scrollY) window.scrollTo(0, top - bar);
  else if (top + shown.row > window.scrollY + window.innerHeight) window.scrollTo(0, top + shown.row - window.innerHeight);
  for (const [one, tile] of tiles) tile.firstChild.tabIndex = one === shown.at ? 0 : -1;
  arrange();
  (tiles.get(shown.at) ?? put(shown.at)).firstChild.focus({ preventScroll: true });
}

function refresh() {
  const { found, counts } = matching(shown.order);
  shown.list = filtered() || shown.order !== "job" ? found : null;
  shown.at = Math.min(shown.at, Math.max(0, count() - 1));
  const focused = grid.contains(document.activeElement);
  for (const tile of tiles.values()) { tile.remove(); spare.push(tile); }
  tiles.clear();
  measure();
  arrange();
  if (focused) focusOn(shown.at);
  describe();
  byId("nothing").hidden = count() > 0 || loaded < head.count;
  byId("clear").disabled = !filtered();
  for (const box of document.querySelectorAll("#facets input[type=checkbox]")) {
    const label = box.parentElement, total = filtered() || loaded < head.count ? counts[box.value] : valueOf[box.value].count;
    label.lastChild.textContent = many(loaded < head.count && !filtered() ? valueOf[box.value].count : total);
    label.classList.toggle("none", total === 0 && !box.checked);
  }
  byId("hide-filters").textContent = `Show ${many(count())} punk${count() === 1 ? "" : "s"}`;
}

function describe() {
  const all = many(head.count), some = filtered() ? `${many(count())} of ${all}` : all;
  const kind = head.count === 1 ? "punk" : "punks";
  byId("summary").textContent = `${some} ${kind}` + (loaded < head.count && shown.list ? `, ${many(loaded)} read so far` : "");
}

/** A value's rarity in words that fit into a column. */
const share = (value) => {
  const percent = (100 * valueOf[value].count) / head.count;
  return `${percent >= 10 || percent === 0 ? percent.toFixed(0) : percent.toPrecision(2)}%`;
};

function makeFacets() {
  const facets = byId("facets");
  facets.append(colorFacet());
  head.types.forEach((name, type) => {
    const set = document.createElement("fieldset"), legend = document.createElement("legend");
    const box = document.createElement("div");
    legend.textContent = name;
    set.append(legend, box);
    const ids = valueOf.map((_, id) => id).filter((id) => valueOf[id].type === type);
    ids.sort((a, b) => valueOf[b].count - valueOf[a].count || (valueOf[a].value < valueOf[b].value ? -1 : 1));
    for (const id of ids) box.append(choice(id, type));
    facets.append(set);
  });
}

function colorFacet() {
  const set = document.createElement("fieldset"), legend = document.createElement("legend");
  const swatches = document.createElement("div"), picker = document.createElement("input");
  legend.textContent = "Color";
  swatches.className = "swatches";
  for (const color of head.colors) swatches.append(swatch(color, `Only with ${color}`, () => wantColor(color)));
  picker.type = "color";
  picker.id = "picker";
  picker.value = head.colors[0] ?? "#888888";
  picker.title = "Any other color";
  picker.setAttribute("aria-label", "Any other color");
  picker.onchange = () => wantColor(picker.value, true);
  swatches.append(picker);
  set.append(legend, swatches);
  return set;
}

function swatch(color, label, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.style.background = color;
  button.dataset.color = color;
  button.title = color;
  button.setAttribute("aria-label", label);
  button.onclick = act;
  return button;
}

function choice(id, type) {
  const label = document.createElement("label"), box = document.createElement("input");
  const word = document.createElement("span"), total = document.createElement("span");
  box.type = "checkbox";
  box.value = id;
  word.textContent = valueOf[id].value;
  total.textContent = many(valueOf[id].count);
  box.onchange = () => {
    const ids = wanted.values.get(type) ?? new Set();
    if (box.checked) ids.add(id); else ids.delete(id);
    if (ids.size) wanted.values.set(type, ids); else wanted.values.delete(type);
    look();
  };
  label.append(box, word, total);
  return label;
}

function wantColor(color, always = false) {
  const code = parseInt(color.slice(1), 16);
  wanted.color = wanted.color === code && !always ? null : code;
  for (const one of document.querySelectorAll("#facets [data-color]")) {
    one.setAttribute("aria-pressed", parseInt(one.dataset.color.slice(1), 16) === wanted.color);
  }
  byId("picker").classList.toggle("on", wanted.color !== null && !head.colors.includes(color));
  look();
}

/** Shows what fits now, from its beginning. */
function look() {
  shown.at = 0;
  refresh();
  const start = grid.offsetTop - document.querySelector(".bar").offsetHeight - 24;
  if (window.scrollY > start) window.scrollTo(0, Math.max(0, start));
}

function clear() {
  wanted.values.clear();
  wanted.words = [];
  wanted.color = null;
  byId("search").value = "";
  byId("picker").classList.remove("on");
  for (const box of document.querySelectorAll("#facets input[type=checkbox]")) box.checked = false;
  for (const one of document.querySelectorAll("#facets [data-color]")) one.setAttribute("aria-pressed", false);
  look();
}

function resize(scale) {
  shown.scale = Math.min(14, Math.max(1, scale));
  byId("size").value = shown.scale;
  const first = Math.floor(Math.max(0, window.scrollY - grid.offsetTop) / shown.row) * shown.columns;
  const scrolled = window.scrollY > grid.offsetTop;
  measure();
  if (scrolled) window.scrollTo(0, grid.offsetTop + Math.floor(first / shown.columns) * shown.row);
  arrange();
}

function showFilters(open) {
  document.body.classList.toggle("filtering", open);
  byId("show-filters").setAttribute("aria-expanded", open);
  (open ? byId("hide-filters") : byId("show-filters")).focus();
}

/** What went wrong of so many: those that are listed, and where the rest is. */
function list(box, total, listed, title) {
  if (!total) return;
  box.hidden = false;
  box.firstChild.textContent = title;
  for (const one of listed) {
    const line = document.createElement("li"), what = document.createElement("b");
    what.textContent = `${one.name} (job ${one.job})`;
    line.append(what, ` ${one.error}`);
    box.lastChild.append(line);
  }
  if (total > listed.length) {
    const line = document.createElement("li");
    line.textContent = `and ${many(total - listed.length)} more, in manifest.jsonl`;
    box.lastChild.append(line);
  }
}
