// Everything by keys, and the list of them.
import { $, element } from "./api.js";

const KEYS = {
  "Ctrl+Enter": "paint", "Esc": "cancel painting", "r": "surprise me", "/": "to the prompt", "e": "load the recipe into the form",
  "← →": "the newer punk, the older one", "↑ ↓": "a row up, down", "g": "larger history", "p": "keep", "x": "reject",
  "0 to 9": "rate", "v": "four variations", "b": "hold: see the painting", "m": "mark, to compare", "c": "hold: see the marked punk", "?": "these keys",
};
const TYPED = "input:not([type=radio], [type=checkbox], [type=range], [type=color]), textarea, select";

export function keys(act, { punk, busy, picking }) {
  $("keylist").append(...Object.entries(KEYS).flatMap(([key, text]) => [element("dt", {}, element("kbd", { textContent: key })), element("dd", { textContent: text })]));
  $("help").onclick = () => $("keys").showModal();
  const simple = {
    "?": () => $("keys").showModal(), "/": () => { $("prompt").focus(); }, r: act.surprise, g: act.larger,
  };
  const ofPunk = { p: act.keep, x: act.reject, v: act.vary, e: act.load, m: act.mark };
  const held = { b: "painting", c: "other" };

  addEventListener("keydown", (event) => {
    const { key, target } = event;
    if ($("keys").open) return;
    if ((event.ctrlKey || event.metaKey) && key === "Enter") { event.preventDefault(); act.paint(); return; }
    if (key === "Escape") { if (!picking() && busy()) act.cancel(); return; }
    if (target.matches(TYPED) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (simple[key]) { event.preventDefault(); simple[key](); return; }
    if (!punk()) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -act.row(), ArrowDown: act.row() }[key];
    if (steps && !target.matches("input")) { event.preventDefault(); act.beside(steps); return; }
    if (/^\d$/.test(key)) act.rate(Number(key));
    if (event.repeat) return;
    if (ofPunk[key]) { event.preventDefault(); ofPunk[key](); }
    if (held[key]) act.hold(true, held[key]);
  });
  addEventListener("keyup", ({ key }) => { if (held[key] && punk()) act.hold(false); });
}
