// The punks of the folder, newest first; more are loaded while one scrolls.
import { element, source } from "./api.js";
import { more } from "./finish.js";

const $ = (id) => document.getElementById(id);

export class History {
  constructor(open) {
    this.open = open;
    this.punks = new Map();  // by name
    this.tiles = new Map();
    this.box = $("tiles");
    this.box.addEventListener("click", (event) => { const tile = event.target.closest(".tile"); if (tile && this.punks.has(tile.id.slice(5))) open(this.punks.get(tile.id.slice(5))); });
    $("show").onchange = () => this.filter();
    new IntersectionObserver(([end]) => end.isIntersecting && this.load(), { rootMargin: "800px" }).observe($("end"));
  }

  async load() {
    if (this.loading || this.whole) return;
    this.loading = true;
    const { punks } = await more(this.oldest).finally(() => { this.loading = false; });
    for (const punk of punks) { this.add(punk, false); this.oldest = punk.number; }
    this.whole = punks.length < 120;
    $("end").textContent = this.whole ? (this.punks.size ? "" : "Your punks will be here. They also lie in the folder, as files.") : "…";
    this.loaded?.();
  }

  add(punk, first = true) {
    const known = this.punks.has(punk.name);
    this.punks.set(punk.name, punk);
    const tile = this.tile(punk);
    const old = this.tiles.get(punk.name);
    this.tiles.set(punk.name, tile);
    if (old) { tile.setAttribute("aria-selected", old.getAttribute("aria-selected")); old.replaceWith(tile); } else if (first) this.box.prepend(tile); else this.box.append(tile);
    if (!known && first) $("end").textContent = "";
    this.hide(tile, punk);
  }

  // a place for a punk that is painted
  wait(name, text) {
    if (this.punks.has(name)) return;
    let tile = this.tiles.get(name);
    if (!tile) {
      tile = element("button", { className: "tile", id: `tile-${name}`, type: "button", disabled: true }, element("div", { className: "wait" }), element("span", {}, name));
      this.tiles.set(name, tile);
      this.box.prepend(tile);
    }
    tile.firstChild.textContent = text;
  }

  drop(name) {
    if (this.punks.has(name)) return;
    this.tiles.get(name)?.remove();
    this.tiles.delete(name);
  }

  tile(punk) {
    const picture = element("img", { src: source(punk), loading: "lazy", alt: punk.prompt, decoding: "async" });
    const grid = element("span", {}, element("span", { textContent: `seed ${punk.values.seed}` }));
    grid.title = `How sure the 24x24 grid is: ${Math.round(punk.confidence * 100)}%`;
    const tile = element("button", { className: `tile ${punk.choice ?? ""}`, id: `tile-${punk.name}`, type: "button", title: punk.prompt }, picture, grid);
    tile.setAttribute("role", "option");
    const mark = [punk.choice === "keep" ? "✓" : "", punk.rating ?? ""].join(" ").trim();
    if (mark) tile.append(element("b", { textContent: mark, ariaLabel: `${punk.choice === "keep" ? "kept" : ""} ${punk.rating !== null ? `rated ${punk.rating}` : ""}` }));
    return tile;
  }

  select(punk) {
    this.box.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
    this.tiles.get(punk?.name)?.setAttribute("aria-selected", "true");
  }

  // the punk `steps` further on among those that are shown
  beside(punk, steps) {
    const shown = [...this.box.children].filter((tile) => !tile.hidden && !tile.disabled);
    const at = shown.indexOf(this.tiles.get(punk?.name));
    const next = shown[Math.max(0, Math.min(shown.length - 1, at + steps))];
    next?.scrollIntoView({ block: "nearest" });
    return this.punks.get(next?.id.slice(5));
  }

  columns() { return getComputedStyle(this.box).gridTemplateColumns.split(" ").length; }

  filter() { for (const [name, tile] of this.tiles) if (this.punks.has(name)) this.hide(tile, this.punks.get(name)); }

  hide(tile, punk) { const want = $("show").value; tile.hidden = want !== "" && (punk.choice ?? "none") !== want; }
}
