// The page: form, stage, finish and history, tied together.
import { decoded, element, hex, listen, pixels, post, upload } from "./api.js";
import { Form, loadOptions } from "./choose.js";
import { Finish } from "./finish.js";
import { History } from "./history.js";

const $ = (id) => document.getElementById(id);
const canvas = $("canvas");
const context = canvas.getContext("2d");
const KEYS = { "p": "keep", "x": "reject", "0 to 9": "rate", "v": "four variations", "e": "edit a copy", "b": "see the painting", "c": "compare: mark one, then hold c on another", "← →": "the punk before, the next one", "↑ ↓": "a row up, down", "/": "to the prompt", "Ctrl+Enter": "paint", "Esc": "cancel painting", "?": "these keys" };

let punk = null;  // on the stage
let data = null;  // its pixels as they are shown
let other = null;  // marked for comparing
let queue = [];
const running = new Map();  // step news by name

const options = await loadOptions();
$("folder").textContent = options.folder;
const form = new Form(options);
const finish = new Finish(options, (cells, warnings) => { draw(decoded(cells)); warn(warnings); }, warn);
const history = new History(open);
history.loaded = () => { if (!punk && !queue.length) { const kept = history.punks.get(localStorage.getItem("punks-open")) ?? history.punks.values().next().value; if (kept) open(kept); } };
for (let rate = 0; rate <= 10; rate++) $("rating").append(new Option(rate, rate));
$("rating").prepend(new Option("–", "", true, true));
$("keylist").append(...Object.entries(KEYS).flatMap(([key, text]) => [element("dt", {}, element("kbd", { textContent: key })), element("dd", { textContent: text })]));
$("frame").classList.add("empty");
history.load();
listen(hear, (gone) => { $("status").textContent = gone ? "The server has stopped. Start `punks studio` again." : ""; });

async function open(one) {
  punk = one;
  localStorage.setItem("punks-open", one.name);
  const picture = await pixels(one);
  if (punk !== one) return;
  draw(picture);
  $("frame").className = "";
  $("painting").hidden = true;
  history.select(one);
  finish.open(one);
  describe();
}

function describe() {
  const { seed, variant } = punk.values;
  $("about").replaceChildren(element("b", { textContent: `#${punk.number}` }), ` · seed ${seed} · ${punk.palette.length} colors · ${variant} · ${punk.seconds} s`, element("br"), punk.prompt);
  warn(punk.warnings);
  $("actions").hidden = false;
  $("rating").value = punk.rating ?? "";
  for (const choice of ["keep", "reject"]) document.querySelector(`[data-do=${choice}]`).setAttribute("aria-pressed", punk.choice === choice);
  document.querySelector("[data-do=blink]").disabled = !punk.painting;
  canvas.setAttribute("aria-label", `Punk ${punk.number}: ${punk.prompt}`);
}

function draw(picture) { data = picture; context.putImageData(picture, 0, 0); $("cell").textContent = ""; }

function warn(text) { $("warnings").hidden = !text; $("warnings").textContent = text; }

function hear(news) {
  const { event, name } = news;
  if (event === "queue") {
    for (const gone of queue.filter((one) => !news.names.includes(one))) running.delete(gone);
    queue = news.names;
    queue.forEach((one, at) => history.wait(one, at ? "waits" : "painting"));
    $("cancel").hidden = !queue.length;
    if (!queue.length) { $("frame").classList.remove("busy"); $("status").textContent = ""; }
  } else if (event === "step") {
    running.set(name, news);
    history.wait(name, news.step ? `${Math.round((100 * news.step) / news.steps)}%` : "loading");
    if (name !== queue[0] && queue.length) return;
    $("frame").classList.add("busy");
    $("bar").firstElementChild.style.width = `${(100 * news.step) / news.steps}%`;
    const left = queue.length > 1 ? `, ${queue.length - 1} waiting` : "";
    $("status").textContent = news.step ? `Painting: step ${news.step} of ${news.steps}${left}` : `Loading the model${left}`;
  } else if (event === "preview") {
    if (following) { $("frame").classList.remove("empty"); context.putImageData(decoded(news.cells), 0, 0); }
  } else if (event === "done") {
    history.add(news.punk);
    if (following) open(news.punk);
  } else if (event === "changed") {
    history.add(news.punk);
    if (punk?.name === news.punk.name) { punk = news.punk; finish.punk = punk; describe(); }
  } else if (event === "canceled") {
    history.drop(name);
    if (punk && following) open(punk);
  } else if (event === "failed") {
    history.drop(name);
    refuse(news.error);
  }
}

let following = false;  // the stage shows what is painted, until another punk is opened by hand
$("tiles").addEventListener("click", () => { following = false; }, true);

function refuse(text) { $("paint-error").hidden = !text; $("paint-error").textContent = text; }

async function paint(values, count) {
  refuse("");
  following = true;
  try {
    const { names } = await post("api/paint", { values, count });
    names.forEach((name) => history.wait(name, "waits"));
  } catch (error) { refuse(error.message); }
}

$("choose").onsubmit = (event) => { event.preventDefault(); paint(form.values(), Number($("count").value)); };
$("cancel").onclick = () => post("api/cancel", {});
$("rating").onchange = () => rate($("rating").value === "" ? null : Number($("rating").value));

const rate = (rating) => punk && post(`api/punks/${punk.number}/pick`, { rating });
const choose = (choice) => punk && post(`api/punks/${punk.number}/pick`, { choice: punk.choice === choice ? null : choice });

function see(on) {
  if (!punk?.painting) return;
  const painting = $("painting");
  painting.src = `api/punks/${punk.number}/painting.png`;
  painting.hidden = !on;
}

async function compare(on) {
  if (!other || other === punk) { other = other === punk ? null : punk; mark(); return; }
  const one = punk;
  const picture = on ? await pixels(other) : data;
  if (punk === one) context.putImageData(picture, 0, 0);
}

function mark() {
  document.querySelector("[data-do=compare]").setAttribute("aria-pressed", Boolean(other));
  $("cell").textContent = other ? `#${other.number} is marked: open another punk and hold c to compare` : "";
}

const DO = {
  keep: () => choose("keep"),
  reject: () => choose("reject"),
  vary: () => paint({ ...recipe(), vary: 0.2, vary_seed: (punk.values.vary_seed ?? punk.values.seed) + 1 }, 4),
  load: () => { form.load(punk.values); $("prompt").focus(); },
  blink: () => see($("painting").hidden),
  compare: () => { if (other && other !== punk) { other = punk; } else other = other ? null : punk; mark(); },
};

// what of the punk on the stage can be sent to be painted again
function recipe() { const { traits, ...values } = punk.values; return { ...values, ...(traits ? { traits } : {}) }; }

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button && punk) DO[button.dataset.do]();
  const copy = event.target.closest("[data-copy]");
  if (copy && punk) {
    const text = { command: punk.command, api: punk.api, recipe: JSON.stringify(punk.values, null, 1) }[copy.dataset.copy];
    navigator.clipboard.writeText(text).then(() => { $("status").textContent = "Copied."; }, () => { $("status").textContent = text; });
  }
});

// a cell says its color and which others share it
canvas.onclick = (event) => cell(Math.floor((24 * event.offsetX) / canvas.clientWidth), Math.floor((24 * event.offsetY) / canvas.clientHeight));
let place = [12, 12];
canvas.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Enter: [0, 0] }[event.key];
  if (!step) return;
  event.preventDefault(); event.stopPropagation();
  place = place.map((at, k) => Math.max(0, Math.min(23, at + step[k])));
  cell(...place);
});
canvas.addEventListener("blur", () => data && draw(data));

function cell(x, y) {
  if (!data) return;
  place = [x, y];
  const at = 4 * (24 * y + x);
  const shown = new ImageData(Uint8ClampedArray.from(data.data), 24, 24);
  let shared = 0;
  for (let k = 0; k < shown.data.length; k += 4) {
    const same = [0, 1, 2, 3].every((part) => data.data[k + part] === data.data[at + part]);
    shared += same;
    if (!same) shown.data[k + 3] = Math.min(shown.data[k + 3], 60);
  }
  context.putImageData(shown, 0, 0);
  const clear = data.data[at + 3] === 0;
  const dot = element("i");
  dot.style.background = clear ? "none" : hex(data.data, at);
  $("cell").replaceChildren(dot, ` ${clear ? "transparent" : hex(data.data, at)} at column ${x + 1}, row ${y + 1}: ${shared} ${shared === 1 ? "cell" : "cells"}`);
}

// files that are dropped or chosen
async function take(file) {
  refuse("");
  try {
    const found = await upload(file);
    if (found.values) form.load(found.values); else form.start(found.image_sha256, URL.createObjectURL(file));
  } catch (error) { refuse(`${file.name}: ${error.message}`); }
}
$("file").onchange = () => { if ($("file").files[0]) take($("file").files[0]); $("file").value = ""; };
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("drop"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("drop"); });
addEventListener("drop", (event) => { event.preventDefault(); document.body.classList.remove("drop"); if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]); });

$("help").onclick = () => $("keys").showModal();
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") { event.preventDefault(); $("choose").requestSubmit(); return; }
  if (event.key === "Escape" && queue.length && !$("keys").open) { post("api/cancel", {}); return; }
  if (event.target.matches("input:not([type=radio]):not([type=checkbox]):not([type=range]), textarea, select") || event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  if (event.key === "?") { $("keys").showModal(); return; }
  if (event.key === "/") { event.preventDefault(); $("prompt").focus(); return; }
  if (!punk) return;
  const rows = history.columns();
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -rows, ArrowDown: rows }[event.key];
  if (step && !event.target.matches("input")) { event.preventDefault(); following = false; const next = history.beside(punk, step); if (next) open(next); return; }
  if (/^\d$/.test(event.key)) { rate(Number(event.key)); return; }
  const action = { p: "keep", x: "reject", v: "vary", e: "load" }[event.key];
  if (action) { event.preventDefault(); DO[action](); }
  if (event.repeat) return;
  if (event.key === "b") see(true);
  if (event.key === "c") compare(true);
});
addEventListener("keyup", (event) => {
  if (event.key === "b") see(false);
  if (event.key === "c" && other && other !== punk && data) context.putImageData(data, 0, 0);
});
addEventListener("pagehide", () => finish.flush());
