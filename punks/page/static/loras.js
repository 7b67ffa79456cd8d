// LoRA files beside the variant's own: a line each, with its strength.
import { $, element } from "./api.js";

export class Loras {
  constructor(onchange) { this.onchange = onchange; this.values = []; }

  get values() { return this.list; }

  set values(list) {
    this.list = list.map((lora) => ({ scale: 1, ...lora }));
    $("loras").replaceChildren(...this.list.map((lora) => {
      const scale = element("input", { type: "number", min: 0, max: 2, step: 0.05, value: lora.scale, ariaLabel: `Strength of ${lora.name}` });
      const remove = element("button", { type: "button", className: "quiet", textContent: "Remove", ariaLabel: `Remove ${lora.name}` });
      scale.oninput = () => { lora.scale = Number(scale.value); this.onchange(); };
      remove.onclick = () => { this.values = this.list.filter((one) => one !== lora); this.onchange(); };
      return element("div", { className: "lora" }, element("span", { textContent: lora.name, title: lora.name }), scale, remove);
    }));
  }

  add(lora) {
    this.values = [...this.list.filter(({ sha256 }) => sha256 !== lora.sha256), lora];
    this.onchange();
  }
}
