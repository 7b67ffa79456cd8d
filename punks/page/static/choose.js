// The form: traits as chips, the prompt they make, the settings, and what is sent to be painted.
import { $, element, get, post, say } from "./api.js";
import { Chips } from "./chips.js";
import { Loras } from "./loras.js";
import { sketch } from "./sketch.js";

const STORED = "punks-form";
const FIELDS = ["more", "prompt", "seed", "count", "variant", "epoch", "fast", "strength"];

export class Form {
  constructor(options) {
    this.options = options;
    this.edited = false;  // the prompt, by hand
    const onchange = () => this.changed();
    const group = (title, words, more = {}) => new Chips(title, words, { onchange, ...more });
    const colored = (title, colors, more) => group(title, Object.keys(colors), { colors, ...more });
    this.groups = {
      subject: group("Who", options.subjects, { none: null }),
      color: colored("Hair color", options.hair),
      style: group("Hair style", options.styles),
      expression: group("Expression", options.expressions),
      lips: colored("Lips", options.lips),
      eyes: colored("Eyes", options.eyes),
      skin: colored("Skin", options.skin),
      ground: colored("Background", options.colors, { dots: true }),
      pattern: group("Pattern", options.patterns, { none: "solid" }),
      wear: group("Wears", options.wear, { many: true }),
    };
    $("traits").append(...Object.values(this.groups).map((one) => one.node));
    for (const { name, verdict } of options.variants) $("variant").append(new Option(name, name, name === options.default, name === options.default));
    this.settings = options.settings.map((setting) => this.setting(setting));
    this.loras = new Loras(onchange);
    $("count").max = options.most;
    $("variant").onchange = () => this.variant();
    $("fast").onchange = () => this.usual();
    $("more").oninput = $("seed").oninput = onchange;
    $("lock").onclick = () => this.lock();
    $("strength").oninput = () => this.said();
    $("prompt").oninput = () => { this.edited = $("prompt").value.trim() !== ""; this.changed(); };
    $("start-clear").onclick = () => this.start(null);
    $("choose").addEventListener("change", () => this.store());
    this.variant();
    this.restore();
    this.changed();
  }

  // one setting as a labelled control; empty means the variant's own value
  setting({ name, label, about, kind, ge, le, whole, choices, default: usual }) {
    const input = kind === "choice" ? element("select", {}, ...choices.map((one) => new Option(one)))
      : kind === "text" ? element("textarea", { rows: 2, value: usual, spellcheck: false })
      : element("input", { type: "number", min: ge, max: le, step: whole ? 1 : 0.05, placeholder: usual ?? "" });
    Object.assign(input, { id: name, title: about });
    $("setting-fields").append(element("label", { className: kind === "number" ? "field half" : "field" }, label, input));
    return { name, kind, usual, input };
  }

  row() { return this.options.variants.find(({ name }) => name === $("variant").value); }

  variant() {
    const row = this.row();
    $("epoch").replaceChildren(...row.epochs.map((epoch) => new Option(epoch, epoch, false, epoch === row.epoch)));
    this.speed($("fast").value);
    $("model-note").textContent = [row.verdict, this.options.note].filter(Boolean).join(". ");
    this.store();
  }

  // one of the ways to paint in few steps, or "off"; one that is not installed is said when it paints
  speed(name) {
    const row = this.row(), known = ["", "off", ...row.fast.map((one) => one.name)].includes(name);
    const ways = row.fast.map((one) => new Option(`Fast: ${one.name}, ${one.num_inference_steps} steps`, one.name));
    $("fast").replaceChildren(new Option("Full", "off"), ...ways, ...(known ? [] : [new Option(`${name} (not installed)`, name)]));
    $("fast").value = name || "off";
    $("speed").hidden = $("fast").length === 1;
    this.usual();
  }

  // what a setting is when it is left empty; shown in the empty field
  usual() {
    const row = this.row(), own = row.fast.find((one) => one.name === $("fast").value);
    for (const setting of this.settings) {
      setting.now = own?.[setting.name] ?? row[setting.name] ?? setting.usual;
      setting.input.placeholder = setting.now ?? "";
    }
  }

  // the traits that are chosen, as flat values
  traits() {
    const { subject, color, style, expression, lips, eyes, skin, ground, pattern, wear } = this.groups;
    const joined = (by, ...words) => words.filter(Boolean).join(by);
    const worn = [...wear.values, ...$("more").value.split(",").map((word) => word.trim()).filter(Boolean)];
    const values = { subject: subject.value, hair: joined(", ", color.value, style.value), expression: expression.value, lips: lips.value, eyes: eyes.value, skin: skin.value, background: joined(" ", ground.value, pattern.value), wear: worn };
    return Object.fromEntries(Object.entries(values).filter(([, value]) => value.length));
  }

  values() {
    const values = this.edited ? { prompt: $("prompt").value } : this.traits();
    values.variant = $("variant").value;
    values.epoch = Number($("epoch").value);
    for (const { name, kind, usual, input } of this.settings) {
      if (input.value !== "" && input.value !== usual) values[name] = kind === "number" ? Number(input.value) : input.value;
    }
    const seed = $("seed").value.trim();
    if (seed) values.seed = /^\d+$/.test(seed) ? Number(seed) : seed;
    if ($("fast").value !== "off") values.fast = $("fast").value;
    if (this.loras.values.length) values.loras = this.loras.values;
    if (this.image) Object.assign(values, { image_sha256: this.image, prompt_strength: Number($("strength").value) });
    return values;
  }

  changed() {
    this.said();
    this.store();
    const { subject, color, style, expression, lips, eyes, skin, ground } = this.groups;
    const { hair, lips: reds, eyes: irises, skin: tones, colors } = this.options;
    this.sketch = { subject: subject.value, hair: hair[color.value], bald: style.value === "bald", smiles: expression.value.endsWith("smile"), lips: reds[lips.value], eyes: irises[eyes.value], skin: tones[skin.value], ground: colors[ground.value] };
    this.sketched?.();
    clearTimeout(this.waiting);
    if (!this.edited) this.waiting = setTimeout(() => this.ask(), 60);
  }

  async ask() {
    try {
      const { prompt, warnings } = await post("api/prompt", { values: this.traits() });
      if (this.edited) return;
      $("prompt").value = prompt;
      $("prompt-note").textContent = warnings.join(" ");
    } catch (error) { $("prompt-note").textContent = error.message; }
  }

  said() {
    const locked = $("seed").value.trim() !== "";
    $("lock").setAttribute("aria-pressed", locked);
    $("lock").textContent = locked ? "Locked" : "Lock";
    $("strength-said").textContent = `${Math.round(100 * $("strength").value)}%`;
    if (!this.edited) { $("prompt-note").textContent = ""; return; }
    const reset = element("button", { type: "button", className: "link", textContent: "Use the choices again" });
    reset.onclick = () => { this.edited = false; this.changed(); $("prompt").focus(); };
    $("prompt-note").replaceChildren("Edited by hand; the choices above do not count. ", reset);
  }

  // keeps the seed of the punk on the stage, or a new one; pressed again, seeds are random
  lock() {
    $("seed").value = $("seed").value.trim() ? "" : this.seed ?? Math.floor(Math.random() * 2 ** 31);
    this.changed();
  }

  surprise() {
    for (const [name, group] of Object.entries(this.groups)) if (name !== "wear") group.draw();
    if (Math.random() < 0.7) this.groups.pattern.values = [];
    const { wear } = this.options;
    this.groups.wear.values = Math.random() < 0.6 ? [wear[Math.floor(Math.random() * wear.length)]] : [];
    $("more").value = "";
    this.edited = false;
    this.changed();
  }

  // a LoRA beside the variant's own; another base takes its first variant
  lora({ lora, base }) {
    const fit = this.options.variants.find((row) => row.base === base);
    if (fit && this.row().base !== base) { $("variant").value = fit.name; this.variant(); }
    this.loras.add(lora);
    $("settings").open = true;
  }

  start(image) {
    this.image = image;
    $("start").hidden = !image;
    if (image) $("start-picture").src = `api/inputs/${image}`;
    this.store();
  }

  // a recipe's values into the form
  load(values) {
    const { traits } = values;
    this.edited = !traits;
    if (traits) {
      const hair = (traits.hair ?? "").split(",").map((word) => word.trim()), ground = traits.background ?? "";
      const { colors, patterns, wear } = this.options;
      const known = { subject: [traits.subject], color: hair, style: hair, expression: [traits.expression], lips: [traits.lips], eyes: [traits.eyes], skin: [traits.skin], ground: [ground, ground.replace(/ \S+$/, "")].filter((word) => word in colors).slice(0, 1), pattern: patterns.filter((word) => ground.endsWith(word)), wear: traits.wear };
      for (const [name, words] of Object.entries(known)) this.groups[name].values = words;
      $("more").value = traits.wear.filter((word) => !wear.includes(word)).join(", ");
    } else $("prompt").value = values.prompt;
    if (this.options.variants.some(({ name }) => name === values.variant)) { $("variant").value = values.variant; this.variant(); $("epoch").value = values.epoch; }
    this.speed(values.fast ?? "off");
    this.loras.values = values.loras;
    for (const { name, kind, usual, now, input } of this.settings) input.value = values[name] !== now ? values[name] : kind === "number" ? "" : usual;
    $("seed").value = values.seed;
    if (values.image_sha256) $("strength").value = values.prompt_strength;
    this.start(values.image_sha256);
    this.changed();
  }

  store() {
    if (!this.ready) return;
    const picked = Object.fromEntries(Object.entries(this.groups).map(([name, group]) => [name, group.values]));
    const fields = Object.fromEntries([...FIELDS, ...this.settings.map(({ name }) => name)].map((id) => [id, $(id).value]));
    localStorage.setItem(STORED, JSON.stringify({ picked, fields, edited: this.edited, image: this.image, loras: this.loras.values }));
  }

  restore() {
    const kept = JSON.parse(localStorage.getItem(STORED) ?? "null");
    if (kept) {
      for (const [name, values] of Object.entries(kept.picked)) if (this.groups[name]) this.groups[name].values = values;
      this.edited = kept.edited;
      const row = this.options.variants.find(({ name }) => name === kept.fields.variant);
      if (row) { $("variant").value = row.name; this.variant(); } else for (const id of ["variant", "epoch"]) delete kept.fields[id];
      this.speed(kept.fields.fast ?? "off");
      this.loras.values = kept.loras ?? [];
      $("settings").open = this.loras.values.length > 0;
      for (const [id, value] of Object.entries(kept.fields)) if ($(id)) $(id).value = value;
      this.start(kept.image);
    }
    this.ready = true;
  }

  // says why nothing is painted, at the field that is wrong
  refuse(error) {
    say("paint-error", error?.message ?? "");
    for (const marked of document.querySelectorAll("#choose [aria-invalid]")) marked.removeAttribute("aria-invalid");
    const field = error?.field && $(error.field.split(".").at(-1));
    if (!field || !$("choose").contains(field)) return;
    field.closest("details")?.setAttribute("open", "");
    field.setAttribute("aria-invalid", true);
    field.focus();
  }
}

export const loadOptions = () => get("api/options");
export const draft = (canvas, form) => sketch(canvas, form.sketch);
