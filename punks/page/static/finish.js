// The finish of the punk on the stage: each change is shown at once, and saved when it settles.
import { chips, element, get, post } from "./api.js";

const $ = (id) => document.getElementById(id);
const SAVE = 400;  // ms without another change
const FORMATS = { "png": "PNG", "png-indexed": "PNG with color table", "webp": "WebP", "svg": "SVG", "gpl": "Palette, GIMP .gpl", "hex": "Palette .hex", "pal": "Palette .pal", "ase": "Palette .ase" };

export class Finish {
  // show(cells, warnings) draws what was finished; refused(message) says what was not
  constructor(options, show, refused) {
    this.show = show;
    this.refused = refused;
    const eyes = { keep: null, ...options.eyes };
    this.background = chips("Background", ["keep", "solid", "transparent", ...Object.keys(options.colors)], { colors: options.colors, dots: true, none: null, onchange: ([word]) => this.change({ background: word }) });
    const own = element("input", { type: "color", ariaLabel: "Another background color", title: "Another color" });
    own.oninput = () => { this.background.pick([]); this.background.querySelectorAll("input").forEach((input) => { input.checked = false; }); this.change({ background: own.value }); };
    this.background.querySelector(".chips").append(own);
    this.eyes = chips("Eyes", Object.keys(eyes), { colors: options.eyes, none: null, onchange: ([word]) => this.change({ eyes: word }) });
    this.colors = element("input", { type: "range", min: 2, max: 65, value: 65, id: "colors" });
    this.colorsSaid = element("output", { textContent: "all" });
    this.colors.oninput = () => this.change({ colors: this.colors.value === "65" ? null : Number(this.colors.value) });
    this.palette = element("input", { id: "palette", placeholder: "auto, or #6ae745, teal, black", spellcheck: false });
    this.palette.onchange = () => this.change({ palette: this.palette.value.trim() || "auto" });
    const file = element("input", { type: "file", accept: ".gpl,.hex,.pal,.txt,.ase,.png,.gif" });
    file.onchange = async () => {
      const sent = await fetch(`api/palette?name=${encodeURIComponent(file.files[0].name)}`, { method: "POST", body: file.files[0] });
      const body = await sent.json();
      if (!sent.ok) this.refused(body.error); else { this.palette.value = body.palette; this.change({ palette: body.palette }); }
    };
    this.dither = element("input", { type: "checkbox", id: "dither" });
    this.dither.onchange = () => this.change({ dither: this.dither.checked });
    this.swatches = element("div", { className: "swatches", ariaLabel: "Colors of the punk" });
    const reset = element("button", { type: "button", textContent: "As painted" });
    reset.onclick = () => this.change({ background: "keep", eyes: "keep", colors: null, palette: "auto", dither: false });
    $("finishes").append(
      this.background, this.eyes,
      element("label", { className: "field" }, "Colors: ", this.colorsSaid, this.colors),
      element("label", { className: "field" }, "Palette", this.palette),
      element("p", { className: "note" }, element("label", { className: "file" }, "Load a palette file", file), " · ", element("label", {}, this.dither, " dither")),
      this.swatches, element("div", { className: "row" }, reset),
    );
    for (const size of [24, 96, 256, 512, 1024, 2048, 4096]) $("size").append(new Option(`${size} px`, size, size === 1024, size === 1024));
    for (const [value, text] of Object.entries(FORMATS)) $("format").append(new Option(text, value));
    $("size").onchange = $("format").onchange = () => this.link();
  }

  // the punk that is on the stage
  open(punk) {
    this.flush();
    this.punk = punk;
    $("finish").hidden = !punk;
    if (!punk) return;
    this.values = {};
    this.controls(punk.values);
    this.drawPalette(punk.palette);
    $("size").value = punk.values.output_size;
    this.link();
  }

  controls({ background, eyes, colors, palette, dither }) {
    this.background.pick([background]);
    const known = this.background.querySelectorAll("input");
    const named = [...known].find((input) => input.parentNode.querySelector("i")?.style.background && rgb(input.parentNode.querySelector("i").style.background) === background);
    if (named) named.checked = true; else if (background.startsWith("#")) { known.forEach((input) => { input.checked = false; }); this.background.querySelector("[type=color]").value = background; }
    this.eyes.pick([eyes]);
    this.colors.value = colors === null ? 65 : Math.min(colors, 64);
    this.colorsSaid.textContent = colors === null ? "all" : colors;
    this.palette.value = palette === "auto" ? "" : palette;
    this.dither.checked = dither;
  }

  async change(values) {
    if (!this.punk) return;
    Object.assign(this.values, values);
    this.late = true;
    if (this.asking) return;  // one question at a time; the latest values follow
    this.asking = true;
    const punk = this.punk;
    while (this.late && this.punk === punk) {
      this.late = false;
      try {
        const found = await post(`api/punks/${punk.number}/finish`, { values: this.values });
        if (this.punk !== punk) break;
        this.show(found.cells, found.warnings);
        this.controls(found.finish);
        this.drawPalette(found.palette);
        clearTimeout(this.saving);
        this.saving = setTimeout(() => this.flush(), SAVE);
      } catch (error) { this.refused(error.message); }
    }
    this.asking = false;
  }

  // keeps the changes in the folder
  async flush() {
    clearTimeout(this.saving);
    const { punk, values } = this;
    if (!punk || !values || !Object.keys(values).length) return;
    this.values = {};
    await post(`api/punks/${punk.number}/finish`, { values, save: true }).catch((error) => this.refused(error.message));
  }

  drawPalette(palette) {
    this.swatches.replaceChildren(...palette.map((color) => { const dot = element("i", { title: color }); dot.style.background = color; return dot; }));
    this.swatches.setAttribute("aria-label", `${palette.length} colors`);
  }

  link() {
    const [suffix, indexed] = $("format").value.split("-");
    const query = ["png", "webp", "svg"].includes(suffix) ? `?size=${$("size").value}${indexed ? "&indexed=1" : ""}` : "";
    $("download").href = `api/punks/${this.punk.number}/punk.${suffix}${query}`;
    $("size").disabled = query === "";
  }
}

const rgb = (text) => "#" + text.match(/\d+/g).slice(0, 3).map((part) => Number(part).toString(16).padStart(2, "0")).join("");

export const more = (before) => get(`api/punks?count=120${before ? `&before=${before}` : ""}`);
