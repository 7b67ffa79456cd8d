// A group of chips: radio buttons for one word, checkboxes for several. Browsers bring their keys along.
import { dot, element } from "./api.js";

let groups = 0;

export class Chips {
  // colors: by word; dots: chips that are their color alone; none: the name of the empty choice, or null without one
  constructor(title, words, { many = false, colors = {}, dots = false, none = "any", onchange }) {
    this.many = many;
    this.box = element("div", { className: "chips" });
    this.node = element("fieldset", {}, element("legend", { textContent: title }), this.box);
    const name = `chips-${groups++}`;
    this.words = many || none === null ? [...words] : ["", ...words];
    this.inputs = this.words.map((word) => {
      const input = element("input", { type: many ? "checkbox" : "radio", name, value: word });
      const color = colors[word];
      const bare = dots && color;
      const chip = element("label", { className: bare ? "chip bare" : "chip", title: bare ? word : "" }, input);
      if (color) chip.append(dot(color));
      chip.append(bare ? element("span", { className: "unseen", textContent: word }) : word || none);
      this.box.append(chip);
      return input;
    });
    this.values = [];
    this.box.addEventListener("change", ({ target }) => this.inputs.includes(target) && onchange(this.values));
  }

  get values() { return this.inputs.filter((input) => input.checked && input.value).map((input) => input.value); }

  // chooses the words among these that the group has; the first chip where it has none of them
  set values(words) {
    const known = words.filter((word) => this.words.includes(word));
    for (const input of this.inputs) input.checked = known.includes(input.value);
    if (!this.many && !known.length) this.inputs[0].checked = true;
  }

  get value() { return this.values[0] ?? ""; }

  clear() { for (const input of this.inputs) input.checked = false; }

  draw() { this.values = this.many ? [] : [this.words[Math.floor(Math.random() * this.words.length)]]; }
}
