// The finish of the punk on the stage: each change is shown at once, and saved when it settles. And what can be taken.
import { $, dot, element, post, say, upload } from "./api.js";
import { Chips } from "./chips.js";

const SAVE = 400;  // ms without another change
const ALL = 65;  // the slider's end: as many colors as there are
const PICTURES = { "PNG": "png", "PNG, indexed": "png?indexed=1", "WebP": "webp", "SVG": "svg" };
const PALETTES = ["gpl", "hex", "pal", "ase"];

export class Finish {
  // show(cells, warnings) draws what was finished; choose(yes) lets the next tile give its palette
  constructor(options, show, choose) {
    Object.assign(this, { options, show, choose });
    const { colors, eyes, sizes } = options;
    this.background = new Chips("Background", ["keep", "solid", "transparent", ...Object.keys(colors)], { colors, dots: true, none: null, onchange: ([word]) => this.change({ background: word }) });
    this.own = element("input", { type: "color", title: "Another color", ariaLabel: "Another background color" });
    this.own.oninput = () => { this.background.clear(); this.change({ background: this.own.value }); };
    this.background.box.append(this.own);
    this.eyes = new Chips("Eyes", ["keep", ...Object.keys(eyes)], { colors: eyes, none: null, onchange: ([word]) => this.change({ eyes: word }) });
    this.colors = element("input", { type: "range", id: "colors", ariaLabel: "Number of colors", min: 2, max: ALL, value: ALL });
    this.colorsSaid = element("output", { textContent: "all" });
    this.colors.oninput = () => this.change({ colors: Number(this.colors.value) === ALL ? null : Number(this.colors.value) });
    this.palette = element("input", { id: "palette", placeholder: "its own, or #6ae745, teal, black", spellcheck: false });
    this.palette.onchange = () => this.change({ palette: this.palette.value.trim() || "auto" });
    const file = element("input", { type: "file", id: "palette-file", accept: ".gpl,.hex,.pal,.txt,.ase,.act,.png,.gif,.webp" });
    file.onchange = () => { if (file.files[0]) this.load(file.files[0]); file.value = ""; };
    this.other = element("button", { type: "button", textContent: "Of another punk", id: "palette-other" });
    this.other.onclick = () => this.pick(this.other.getAttribute("aria-pressed") !== "true");
    this.dither = element("input", { type: "checkbox", id: "dither" });
    this.dither.onchange = () => this.change({ dither: this.dither.checked });
    this.swatches = element("div", { className: "swatches" });
    this.swatches.setAttribute("role", "img");
    const reset = element("button", { type: "button", id: "as-painted", textContent: "As painted" });
    reset.onclick = () => this.change({ background: "keep", eyes: "keep", colors: null, palette: "auto", dither: false });
    $("finishes").append(
      this.background.node, this.eyes.node,
      element("label", { className: "field" }, "Colors: ", this.colorsSaid, this.colors),
      element("label", { className: "field" }, "Palette", this.palette),
      element("div", { className: "row" }, element("label", { className: "button" }, "File", file), this.other,
        element("label", { className: "inline" }, this.dither, "dither")),
      this.swatches, element("div", { className: "row" }, reset),
    );
    this.takes(sizes);
  }

  takes([least, most]) {
    Object.assign($("size"), { min: least, max: most });
    for (const size of [24, 96, 256, 512, 1024, 2048, 4096]) $("sizes").append(new Option(size));
    for (const size of [24, 1024]) {
      const quick = element("button", { type: "button", textContent: size });
      quick.onclick = () => { $("size").value = size; this.link(); };
      $("quick").append(quick);
    }
    const link = (text, kind) => element("a", { className: "button", textContent: text, onclick: (event) => this.take(event, kind) });
    this.links = Object.entries(PICTURES).map(([text, kind]) => [link(text, kind), kind]);
    $("pictures").append(...this.links.map(([one]) => one));
    const palettes = PALETTES.map((kind) => [link(`.${kind}`, kind), kind]);
    $("palettes").append(element("span", { className: "note", textContent: "Palette" }), ...palettes.map(([one]) => one));
    this.links.push(...palettes);
    $("size").oninput = () => this.link();
  }

  // a link waits until the folder has what the page shows
  async take(event, kind) {
    if (PICTURES[event.target.textContent] && !$("size").reportValidity()) { event.preventDefault(); return; }
    if (!this.unsaved && !this.writing) return;
    event.preventDefault();
    await this.flush();
    if (!this.unsaved) event.target.click();
  }

  link() {
    for (const [one, kind] of this.links) {
      const sized = PALETTES.includes(kind) ? "" : `${kind.includes("?") ? "&" : "?"}size=${$("size").value}`;
      one.href = `api/punks/${this.punk.number}/take/punk.${kind}${sized}`;
      one.download = "";
    }
  }

  // the punk that is on the stage
  open(punk) {
    if (this.punk && this.punk.name !== punk.name) this.flush();
    this.punk = punk;
    $("finish-none").hidden = true;
    $("finishes").hidden = $("takes").hidden = false;
    say("finish-error", "");
    this.values = this.fine = {};  // all changes since it was opened, and those that the server took
    this.unsaved = false;
    this.controls(punk.values);
    this.draw(punk.palette);
    $("size").value = punk.values.output_size;
    this.link();
  }

  controls({ background, eyes, colors, palette, dither }) {
    const named = Object.keys(this.options.colors).find((word) => this.options.colors[word] === background) ?? background;
    this.background.values = [named];
    if (background.startsWith("#") && named === background) { this.background.clear(); this.own.value = background; }
    this.own.classList.toggle("on", named.startsWith("#"));
    this.eyes.values = [eyes];
    this.colors.value = colors ?? ALL;
    this.colorsSaid.textContent = colors ?? "all";
    if (document.activeElement !== this.palette) this.palette.value = palette === "auto" ? "" : palette;
    this.dither.checked = dither;
    this.dither.disabled = palette === "auto" && !dither;
  }

  async change(values) {
    if (!this.punk) return;
    if (values.palette === "auto") values.dither = false;
    this.values = { ...this.values, ...values };
    this.late = true;
    if (this.asking) return;  // one question at a time; the latest values follow
    this.asking = true;
    while (this.late) {
      this.late = false;
      const { punk, values: asked } = this;
      try {
        const found = await post(`api/punks/${punk.number}/finish`, { values: asked });
        if (this.punk.name !== punk.name) { await this.save(punk, asked); continue; }
        this.fine = asked;
        this.unsaved = true;
        if (this.late) continue;  // what was chosen since must not spring back
        say("finish-error", "");
        this.show(found.cells, found.warnings);
        this.controls(found.finish);
        this.draw(found.palette);
        clearTimeout(this.saving);
        this.saving = setTimeout(() => this.flush(), SAVE);
      } catch (error) { this.refuse(error); }
    }
    this.asking = false;
  }

  refuse(error) {
    this.values = this.fine;
    say("finish-error", error.message);
  }

  // keeps the changes in the folder
  flush() {
    clearTimeout(this.saving);
    if (this.unsaved) this.save(this.punk, this.fine);
    this.unsaved = false;
    return this.writing;
  }

  // one after the other
  save(punk, values) {
    const mine = (this.writing ?? Promise.resolve())
      .then(() => post(`api/punks/${punk.number}/finish`, { values, save: true }))
      .catch((error) => this.refuse(error))
      .finally(() => { if (this.writing === mine) this.writing = null; });
    this.writing = mine;
    return mine;
  }

  async load(file) {
    try {
      const { palette } = await upload(file, "api/palette");
      this.give(palette);
    } catch (error) { this.refuse({ message: `${file.name}: ${error.message}` }); }
  }

  give(palette) {
    this.palette.blur();
    this.change({ palette });
  }

  pick(on) {
    this.other.setAttribute("aria-pressed", on);
    this.other.textContent = on ? "Choose a punk below" : "Of another punk";
    this.choose(on);
  }

  draw(palette) {
    this.swatches.replaceChildren(...palette.map((color) => Object.assign(dot(color), { title: color })));
    this.swatches.setAttribute("aria-label", `${palette.length} colors: ${palette.join(", ")}`);
  }
}
