// The stage: the punk, what is painted meanwhile, its cells, and blinking between two pictures.
import { $, cells, decoded, dot, element, hex, say, source } from "./api.js";

const canvas = $("canvas");

export class Stage {
  constructor() {
    this.punk = null;
    this.data = null;  // its cells as they are finished
    this.other = null;  // marked, to compare
    this.place = [12, 12];
    canvas.onclick = (event) => this.cell(...[event.offsetX, event.offsetY].map((at) => Math.min(23, Math.floor((24 * at) / canvas.clientWidth))));
    canvas.onkeydown = (event) => this.move(event);
    canvas.onblur = () => this.data && this.draw(this.data);
    new ResizeObserver(() => this.fit()).observe($("room"));
  }

  // whole pixels a cell
  fit() {
    const { clientWidth, clientHeight } = $("room");
    const side = Math.max(168, 24 * Math.floor(Math.min(clientWidth, clientHeight || Infinity, 720) / 24));
    $("frame").style.width = $("frame").style.height = `${side}px`;
  }

  async open(punk) {
    this.punk = punk;
    const picture = await cells(punk);
    if (this.punk !== punk) return false;
    this.hold(false);
    this.show(picture);
    $("welcome").hidden = true;
    $("facts").hidden = false;
    $("stage").classList.remove("sketching");
    return true;
  }

  show(picture) {
    this.data = picture;
    this.draw(picture);
    $("cell").replaceChildren();
    this.tint();
  }

  draw(picture) {
    if (canvas.width !== 24) canvas.width = canvas.height = 24;
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  preview(encoded) {
    $("stage").classList.remove("sketching");
    this.draw(decoded(encoded));
  }

  // the room takes on a little of the punk's background
  tint() {
    const clear = this.data.data[3] === 0;
    document.documentElement.style.setProperty("--tint", clear ? "transparent" : hex(this.data.data, 0));
  }

  describe(punk, edit) {
    this.punk = punk;
    const { seed, variant, epoch, fast, loras } = punk.values;
    const sure = element("abbr", { textContent: `grid ${Math.round(100 * punk.confidence)}%`, title: "How surely the 24x24 grid was found in the painting" });
    const facts = [`seed ${seed}`, `${punk.palette.length} colors`, [`${variant}, epoch ${epoch}`, ...loras.map(({ name }) => name), ...(fast ? ["fast"] : [])].join(" + "), ...(punk.seconds ? [`${punk.seconds} s`] : [])];
    $("about").replaceChildren(element("b", { textContent: `#${punk.number}` }), ` · ${facts.join(" · ")} · `, sure);
    $("tags").replaceChildren(...punk.prompt.split(",").map((text, at, all) => {
      const tag = element("button", { type: "button", className: "tag", textContent: text.trim(), title: "Change it, and paint again with the same seed" });
      tag.onclick = () => this.edit(tag, (changed) => edit(all.map((old, k) => (k === at ? changed : old.trim())).filter(Boolean).join(", ")));
      return tag;
    }));
    say("warnings", punk.warnings);
    $("rating").value = punk.rating ?? "";
    for (const choice of ["keep", "reject"]) document.querySelector(`[data-do=${choice}]`).ariaPressed = punk.choice === choice;
    document.querySelector("[data-hold=painting]").disabled = !punk.painting;
    canvas.ariaLabel = `Punk ${punk.number}: ${punk.prompt}. Arrow keys tell the color of each cell.`;
    this.marked();
  }

  // a part of the prompt becomes a field; Enter paints
  edit(tag, done) {
    const input = element("input", { value: tag.textContent, ariaLabel: "Part of the prompt", size: tag.textContent.length + 4, maxLength: 400 });
    const close = () => { input.onblur = null; input.replaceWith(tag); };
    input.onblur = close;
    input.onkeydown = (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      close();
      tag.focus();
      if (event.key === "Enter" && input.value.trim() !== tag.textContent) done(input.value.trim());
    };
    tag.replaceWith(input);
    input.select();
  }

  // shows the painting, or the marked punk, as long as it is held
  async hold(on, what = "painting") {
    const { punk, other } = this;
    this.held = on && (what === "painting" ? punk?.painting : other && other.name !== punk.name) ? what : null;
    document.querySelector("[data-hold=painting]").ariaPressed = this.held === "painting";
    $("marked").ariaPressed = this.held === "other";
    $("painting").hidden = this.held !== "painting";
    if (this.held === "painting") $("painting").src = `api/punks/${punk.number}/painting.png`;
    if (this.held !== "other") { if (this.data) this.draw(this.data); return; }
    const picture = await cells(other);
    if (this.held === "other" && this.punk === punk) this.draw(picture);
  }

  mark() {
    this.other = this.other?.name === this.punk.name ? null : this.punk;
    this.marked();
  }

  marked() {
    const { other, punk } = this, apart = other && other.name !== punk?.name;
    document.querySelector("[data-do=mark]").ariaPressed = Boolean(other) && !apart;
    $("marked").hidden = !apart;
    if (apart) $("marked").replaceChildren(element("img", { src: source(other), alt: `Compare with punk ${other.number}` }), element("kbd", { textContent: "c" }));
    if (other && !apart) $("cell").textContent = `#${other.number} is marked. Open another punk and hold c to blink between them.`;
  }

  move(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Enter: [0, 0] }[event.key];
    if (!step || !this.data) return;
    event.preventDefault();
    event.stopPropagation();
    this.cell(...this.place.map((at, k) => Math.max(0, Math.min(23, at + step[k]))));
  }

  // says the color of a cell, and dims those that do not share it
  cell(x, y) {
    if (!this.data || $("stage").classList.contains("sketching")) return;
    this.place = [x, y];
    const { data } = this.data, at = 4 * (24 * y + x);
    const shown = new ImageData(Uint8ClampedArray.from(data), 24, 24);
    let shared = 0;
    for (let k = 0; k < data.length; k += 4) {
      const same = [0, 1, 2, 3].every((part) => data[k + part] === data[at + part]);
      shared += same;
      if (!same) shown.data[k + 3] = Math.min(data[k + 3], 60);
    }
    this.draw(shown);
    const color = data[at + 3] === 0 ? "transparent" : hex(data, at);
    $("cell").replaceChildren(dot(color), ` ${color} · column ${x + 1}, row ${y + 1} · ${shared} ${shared === 1 ? "cell" : "cells"}`);
  }
}
