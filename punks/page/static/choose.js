// The form: traits as chips, the prompt they make, the settings, and what is sent to be painted.
import { chips, element, get, post } from "./api.js";

const $ = (id) => document.getElementById(id);
const SETTINGS = ["lora_scale", "num_inference_steps", "guidance_scale"];
const HAIR_COLORS = 11;  // the first words of the vocabulary's hair are colors, the rest styles
const STORED = "punks-form";

export class Form {
  constructor(options) {
    const kept = JSON.parse(localStorage.getItem(STORED) ?? "null");
    this.options = options;
    this.edited = false;
    this.image = null;
    const words = options.traits;
    const change = () => this.changed();
    const tones = { light: "#f3d2a2", medium: "#d5ab88", tan: "#af7e57", dark: "#7c533e" };
    const hues = { ...options.colors, blonde: "#e8c860", ginger: "#c8602a" };
    const patterns = words.background.filter((word) => !(word in options.colors) && word !== "solid");
    this.groups = {
      subject: chips("Who", words.subject, { none: null, onchange: change }),
      hairColor: chips("Hair color", words.hair.slice(0, HAIR_COLORS), { colors: hues, onchange: change }),
      hairStyle: chips("Hair style", words.hair.slice(HAIR_COLORS), { onchange: change }),
      eyes: chips("Eyes", words.eyes, { colors: options.eyes, onchange: change }),
      skin: chips("Skin", words.skin, { colors: tones, onchange: change }),
      background: chips("Background", Object.keys(options.colors), { colors: options.colors, dots: true, onchange: change }),
      pattern: chips("Pattern", patterns, { none: "solid", onchange: change }),
      wear: chips("Wears", words.wear, { many: true, onchange: change }),
    };
    $("traits").append(...Object.values(this.groups));
    for (const row of options.variants) $("variant").append(new Option(row.name, row.name, row.name === options.default, row.name === options.default));
    $("variant").onchange = () => this.variant();
    $("more").oninput = change;
    $("prompt").oninput = () => { this.edited = $("prompt").value.trim() !== ""; this.said(); if (!this.edited) this.changed(); this.store(); };
    $("start-clear").onclick = () => this.start(null);
    $("choose").addEventListener("change", () => this.store());
    this.variant();
    if (kept) this.restore(kept);
    this.changed();
  }

  variant() {
    const row = this.options.variants.find((one) => one.name === $("variant").value);
    $("epoch").replaceChildren(...row.epochs.map((epoch) => new Option(epoch, epoch, false, epoch === row.epoch)));
    $("num_inference_steps").placeholder = row.steps;
    $("guidance_scale").placeholder = row.guidance;
    $("lora_scale").placeholder = 1;
    this.store();
  }

  // the traits that are chosen, as flat values
  traits() {
    const one = (name) => this.groups[name].picked()[0];
    const values = { subject: one("subject") };
    const hair = [one("hairColor"), one("hairStyle")].filter(Boolean).join(", ");
    if (hair) values.hair = hair;
    for (const name of ["eyes", "skin"]) if (one(name)) values[name] = one(name);
    const ground = [one("background"), one("pattern")].filter(Boolean).join(" ");
    if (ground) values.background = ground;
    const wear = [...this.groups.wear.picked(), ...$("more").value.split(",").map((word) => word.trim()).filter(Boolean)];
    if (wear.length) values.wear = wear;
    return values;
  }

  values() {
    const values = this.edited ? { prompt: $("prompt").value } : this.traits();
    const row = $("variant").value;
    values.variant = row;
    if ($("epoch").value) values.epoch = Number($("epoch").value);
    for (const name of SETTINGS) if ($(name).value !== "") values[name] = Number($(name).value);
    const seed = $("seed").value.trim();
    if (seed !== "" && $("lock").checked) values.seed = /^\d+$/.test(seed) ? Number(seed) : seed;
    if (this.image) Object.assign(values, { image_sha256: this.image, prompt_strength: Number($("strength").value) });
    return values;
  }

  changed() {
    this.store();
    if (this.edited) return;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(async () => {
      const { prompt, warnings } = await post("api/prompt", { values: this.traits() });
      if (this.edited) return;
      $("prompt").value = prompt;
      this.said(warnings.join(" "));
    }, 60);
  }

  said(text = "") {
    $("prompt-note").replaceChildren(text);
    if (!this.edited) return;
    const reset = element("button", { type: "button", textContent: "Use the choices again" });
    reset.onclick = () => { this.edited = false; this.changed(); };
    $("prompt-note").replaceChildren("Edited by hand; the choices above do not count. ", reset);
  }

  start(image, picture = "") {
    this.image = image;
    $("start").hidden = !image;
    if (image) $("start-picture").src = picture;
  }

  // a recipe's values into the form
  load(values) {
    const traits = values.traits;
    this.edited = !traits;
    if (traits) {
      const hair = (traits.hair ?? "").split(",").map((word) => word.trim());
      const ground = (traits.background ?? "").split(" ");
      this.groups.subject.pick([traits.subject]);
      for (const name of ["hairColor", "hairStyle"]) this.groups[name].pick(hair);
      for (const name of ["eyes", "skin"]) this.groups[name].pick([traits[name] ?? ""]);
      this.groups.background.pick([(traits.background ?? "").replace(/ (checkered|gradient|split|striped)$/, "")]);
      this.groups.pattern.pick(ground);
      this.groups.wear.pick(traits.wear ?? []);
      const known = this.options.traits.wear;
      $("more").value = (traits.wear ?? []).filter((word) => !known.includes(word)).join(", ");
    } else $("prompt").value = values.prompt;
    if (this.options.variants.some((row) => row.name === values.variant)) { $("variant").value = values.variant; this.variant(); $("epoch").value = values.epoch; }
    const row = this.options.variants.find((one) => one.name === $("variant").value);
    const usual = { lora_scale: 1, num_inference_steps: row.steps, guidance_scale: row.guidance };
    for (const name of SETTINGS) $(name).value = values[name] === usual[name] ? "" : values[name];
    $("seed").value = values.seed;
    $("lock").checked = true;
    this.said();
    this.changed();
  }

  store() {
    const picked = Object.fromEntries(Object.entries(this.groups).map(([name, group]) => [name, group.picked()]));
    const fields = Object.fromEntries(["more", "seed", "count", "variant", ...SETTINGS].map((id) => [id, $(id).value]));
    localStorage.setItem(STORED, JSON.stringify({ picked, fields, lock: $("lock").checked, prompt: this.edited ? $("prompt").value : null }));
  }

  restore(kept) {
    for (const [name, values] of Object.entries(kept.picked)) this.groups[name]?.pick(values);
    for (const [id, value] of Object.entries(kept.fields)) if (id !== "variant" || this.options.variants.some((row) => row.name === value)) $(id).value = value;
    $("lock").checked = kept.lock;
    if (kept.prompt) { this.edited = true; $("prompt").value = kept.prompt; this.said(); }
    this.variant();
  }
}

export const loadOptions = () => get("api/options");
