// The punks of the folder, newest first; more are loaded while one scrolls.
import { $, element, get, say, source } from "./api.js";

const PAGE = 240;

export class History {
  constructor(open) {
    this.punks = new Map();  // by name
    this.tiles = new Map();
    this.box = $("tiles");
    this.box.addEventListener("click", (event) => {
      const punk = this.punks.get(event.target.closest(".tile")?.dataset.name);
      if (punk) open(punk);
    });
    $("show").onchange = () => this.reload();
    this.end = new IntersectionObserver(([end]) => end.isIntersecting && this.load(), { rootMargin: "600px", scrollMargin: "600px" });
  }

  async load() {
    if (this.loading || this.whole) return;
    this.loading = true;
    const want = $("show").value, before = this.oldest ? `&before=${this.oldest}` : "";
    const { punks, kept } = await get(`api/punks?count=${PAGE}&show=${want}${before}`).finally(() => { this.loading = false; });
    if (want !== $("show").value) return;
    for (const punk of punks) { this.put(punk, false); this.oldest = punk.number; }
    this.whole = punks.length < PAGE;
    this.counted(kept);
    const nothing = want ? "None." : "Your punks will be here. They also lie in the folder, as files.";
    $("end").textContent = this.whole ? (this.punks.size ? "" : nothing) : "…";
    this.loaded?.();
    this.end.unobserve($("end"));
    if (!this.whole) this.end.observe($("end"));  // which says at once whether there is room for more
  }

  // everything anew: another filter, or news that were missed
  reload() {
    this.punks.clear();
    for (const [name, tile] of this.tiles) if (!tile.disabled) { tile.remove(); this.tiles.delete(name); }
    this.oldest = this.whole = undefined;
    return this.load();
  }

  counted(kept) {
    this.kept = kept;
    $("kept").hidden = !kept;
    $("kept").textContent = `Download ${kept} kept`;
  }

  add(punk) {
    const before = this.punks.get(punk.name);
    const change = (punk.choice === "keep") - (before?.choice === "keep");
    if (before && change) this.counted(this.kept + change);
    this.put(punk, true);
  }

  put(punk, first) {
    const want = $("show").value, old = this.tiles.get(punk.name);
    this.punks.set(punk.name, punk);
    const tile = this.tile(punk, old?.querySelector("img"));
    this.tiles.set(punk.name, tile);
    if (old) old.replaceWith(tile); else if (first) this.box.prepend(tile); else $("end").before(tile);
    if (old?.ariaSelected === "true") this.select(punk);
    tile.hidden = want !== "" && (punk.choice ?? "none") !== want;
    if (first) $("end").textContent = "";
  }

  // a place for a punk that is painted
  wait(name, text) {
    if (this.punks.has(name)) return;
    let tile = this.tiles.get(name);
    if (!tile) {
      tile = element("button", { className: "tile waiting", type: "button", disabled: true }, element("span"));
      this.tiles.set(name, tile);
      this.box.prepend(tile);
    }
    tile.firstChild.textContent = text;
    $("end").textContent = "";
  }

  drop(name) {
    if (this.punks.has(name)) return;
    this.tiles.get(name)?.remove();
    this.tiles.delete(name);
  }

  // an old picture stays until the new one is there
  tile(punk, old) {
    const { name, number, choice, rating, prompt, confidence, values } = punk;
    const sure = `${Math.round(confidence * 100)}%`;
    const said = { keep: "kept", reject: "rejected" }[choice];
    const label = [`Punk ${number}`, said, rating === null ? "" : `rated ${rating}`, prompt].filter(Boolean).join(", ");
    const picture = old ?? element("img", { loading: "lazy", decoding: "async", alt: "" });
    if (picture.getAttribute("src") !== source(punk)) picture.src = source(punk);
    const tile = element("button", { className: `tile ${choice ?? ""}`, type: "button", tabIndex: -1, ariaLabel: label, ariaSelected: "false" }, picture);
    tile.title = `#${number}, seed ${values.seed}\n${prompt}\n24x24 grid found with ${sure} confidence`;
    tile.dataset.name = name;
    tile.setAttribute("role", "option");
    if (choice === "keep") tile.append(element("b", { textContent: "✓" }));
    if (rating !== null) tile.append(element("b", { className: "rated", textContent: rating }));
    return tile;
  }

  select(punk) {
    for (const old of this.box.querySelectorAll("[aria-selected=true]")) { old.ariaSelected = "false"; old.tabIndex = -1; }
    const tile = this.tiles.get(punk.name);
    if (!tile) return;
    tile.ariaSelected = "true";
    tile.tabIndex = 0;
    if (this.box.contains(document.activeElement)) tile.focus();
  }

  // the punk `steps` further on among those that are shown
  beside(punk, steps) {
    const shown = [...this.box.querySelectorAll(".tile")].filter((tile) => !tile.hidden && !tile.disabled);
    const at = shown.indexOf(this.tiles.get(punk?.name));
    const next = shown[Math.max(0, Math.min(shown.length - 1, at + steps))];
    next?.scrollIntoView({ block: "nearest" });
    return this.punks.get(next?.dataset.name);
  }

  columns() { return getComputedStyle(this.box).gridTemplateColumns.split(" ").length; }
}
