// The page: form, stage, finish and history, tied together by news from the server.
import { $, decoded, element, get, listen, post, say, upload } from "./api.js";
import { Form, draft, loadOptions } from "./choose.js";
import { Finish } from "./finish.js";
import { History } from "./history.js";
import { keys } from "./keys.js";
import { stamp } from "./sketch.js";
import { Stage } from "./stage.js";

const TABS = { choose: "Choose", finish: "Finish", history: "Punks" };
const OPEN = "punks-open";
let queue = [];
let following = false;  // the stage shows what is painted, until another punk is opened by hand
let picking = false;  // the next tile gives its palette

const options = await loadOptions();
const form = new Form(options);
const stage = new Stage();
const finish = new Finish(options, (cells, warnings) => { stage.show(decoded(cells)); say("warnings", warnings); }, (on) => { picking = on; if (on) tab("history"); });
const history = new History(chosen);
stamp($("logo"));
$("folder").textContent = options.folder;
$("rating").append(new Option("Rate", ""), ...Array.from({ length: 11 }, (_, rate) => new Option(`${rate}/10`, rate)));
form.sketched = () => { if (!stage.punk && $("stage").classList.contains("sketching")) draft($("canvas"), form); };
$("stage").classList.add("sketching");
form.sketched();
history.loaded = () => {
  if (stage.punk || queue.length) return;
  const kept = history.punks.get(localStorage.getItem(OPEN)) ?? history.punks.values().next().value;
  if (kept) open(kept);
};
history.load();

let lost = false;
listen(hear, (connected) => {
  if (connected && lost) history.reload();  // what happened meanwhile
  lost = !connected;
  $("status").classList.toggle("alarm", lost);
  $("status").textContent = lost ? "The server has stopped. Start it again with: punks studio" : "";
});

function chosen(punk) {
  if (picking) { finish.pick(false); finish.give(punk.palette.join(",")); tab("finish"); return; }
  following = false;
  open(punk);
}

async function open(punk) {
  localStorage.setItem(OPEN, punk.name);
  history.select(punk);
  if (!await stage.open(punk)) return;
  finish.open(punk);
  describe(punk);
}

function describe(punk) {
  stage.describe(punk, (prompt) => again({ prompt }));
  form.seed = punk.values.seed;
  const row = options.variants.find(({ name }) => name === punk.values.variant);
  const others = (row?.epochs ?? []).filter((epoch) => epoch !== punk.values.epoch);
  $("again").replaceChildren(new Option("Epoch…", ""), ...others.map((epoch) => new Option(`Epoch ${epoch}`, epoch)));
  $("again").disabled = !others.length;
}

const HEAR = {
  queue({ names }) {
    queue = names;
    names.forEach((name, at) => history.wait(name, at ? "waits" : "paints"));
    $("cancel").hidden = $("bar").hidden = !names.length;
    if (!names.length) { $("status").textContent = ""; $("bar").value = 0; }
  },
  step({ name, step, steps, seconds }) {
    if (!queue.includes(name)) return;
    history.wait(name, step ? `${Math.round((100 * step) / steps)}%` : "loads");
    $("bar").hidden = false;
    if (step) $("bar").value = step / steps; else $("bar").removeAttribute("value");
    const left = step && step < steps ? `, ${Math.ceil((seconds / step) * (steps - step))} s left` : "";
    const waiting = queue.length > 1 ? ` · ${queue.length - 1} waiting` : "";
    $("status").textContent = (step ? `Painting, step ${step} of ${steps}${left}` : "Loading the model") + waiting;
  },
  preview({ name, cells }) { if (following && queue.includes(name)) { $("welcome").hidden = true; stage.preview(cells); } },
  done({ punk }) { history.add(punk); if (following || !stage.punk) open(punk); },
  changed({ punk }) {
    history.add(punk);
    if (stage.punk?.name !== punk.name) return;
    finish.punk = punk;
    finish.link();
    describe(punk);
  },
  canceled({ name }) { history.drop(name); restore(); },
  failed({ name, error }) { history.drop(name); restore(); form.refuse(new Error(error)); },
};

function hear({ event, ...news }) { HEAR[event]?.(news); }

function restore() {
  if (stage.data) { stage.draw(stage.data); return; }
  $("welcome").hidden = false;
  $("stage").classList.add("sketching");
  form.sketched();
}

async function paint(request) {
  form.refuse(null);
  following = true;
  try {
    const { names } = await post("api/paint", request);
    names.forEach((name) => history.wait(name, "waits"));
    $("stage").scrollIntoView({ block: "nearest" });
  } catch (error) { form.refuse(error); tab("choose"); }
}

// the punk on the stage once more, with some values changed
const again = (values, count = 1) => paint({ of: stage.punk.number, values, count });
const pick = (values) => post(`api/punks/${stage.punk.number}/pick`, values).catch((error) => say("warnings", error.message));
const choose = (choice) => pick({ values: { choice: stage.punk.choice === choice ? null : choice } });
const submit = () => paint({ values: form.values(), count: Number($("count").value) });
const surprise = () => { form.surprise(); };

const DO = {
  keep: () => choose("keep"),
  reject: () => choose("reject"),
  rate: (rating) => pick({ values: { rating } }),
  vary: () => again({ vary: 0.2, vary_seed: Math.floor(Math.random() * 2 ** 31) }, 4),
  load: () => { form.load(stage.punk.values); tab("choose"); $("prompt").focus(); },
  mark: () => stage.mark(),
  hold: (on, what) => stage.hold(on, what),
  beside: (steps) => { const next = history.beside(stage.punk, steps); if (next) { following = false; open(next); } },
  row: () => history.columns(),
  cancel: () => post("api/cancel", {}),
  larger: () => { $("larger").ariaPressed = document.body.classList.toggle("large"); stage.fit(); },
  paint: () => $("choose").requestSubmit(),
  surprise,
};
keys(DO, { punk: () => stage.punk, busy: () => queue.length > 0, picking: () => picking && finish.pick(false) });

$("choose").onsubmit = (event) => { event.preventDefault(); submit(); };
$("cancel").onclick = DO.cancel;
$("first").onclick = submit;
$("surprise").onclick = surprise;
$("first-surprise").onclick = () => { surprise(); submit(); };
$("larger").onclick = DO.larger;
$("rating").onchange = () => DO.rate($("rating").value === "" ? null : Number($("rating").value));
$("again").onchange = () => { again({ epoch: Number($("again").value) }); $("again").value = ""; };
$("marked").onpointerdown = () => stage.hold(true, "other");
$("marked").onpointerup = $("marked").onpointerleave = () => stage.hold(false);

document.addEventListener("click", ({ target }) => {
  const { punk } = stage, button = target.closest("button");
  if (!punk || !button) return;
  const { do: action, hold, copy } = button.dataset;
  if (action) DO[action]();
  if (hold) stage.hold(!stage.held, hold);
  if (button.id === "marked" && target.matches(":focus-visible")) stage.hold(stage.held !== "other", "other");
  if (copy) take(copy);
});

async function take(what) {
  await finish.flush();
  const { punk } = stage;
  const text = what === "recipe" ? JSON.stringify(punk.values, null, 1) : (await get(`api/punks/${punk.number}/calls`))[what];
  await navigator.clipboard.writeText(text).then(() => say("status", "Copied."), () => say("status", text));
}

// files that are dropped or chosen
async function receive(file) {
  form.refuse(null);
  try {
    const { values, palette, image_sha256: image, ...rest } = await upload(file);
    if (palette && !stage.punk) throw new Error("a palette needs a punk to finish; paint one first");
    if (palette) { finish.give(palette); tab("finish"); } else { if (values) form.load(values); else if (rest.lora) form.lora(rest); else form.start(image); tab("choose"); }
  } catch (error) { form.refuse(new Error(`${file.name}: ${error.message}`)); tab("choose"); }
}
for (const input of [$("file"), $("lora")]) input.onchange = () => { if (input.files[0]) receive(input.files[0]); input.value = ""; };
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("drop"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("drop"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("drop");
  if (event.dataTransfer.files[0]) receive(event.dataTransfer.files[0]);
});

// on narrow windows one panel at a time
$("tabs").append(...Object.entries(TABS).map(([name, text]) => Object.assign(element("button", { type: "button", textContent: text, onclick: () => tab(name) }), { id: `tab-${name}` })));
function tab(name) {
  document.body.dataset.tab = name;
  for (const one of Object.keys(TABS)) $(`tab-${one}`).ariaPressed = one === name;
}
tab("choose");
addEventListener("pagehide", () => finish.flush());
