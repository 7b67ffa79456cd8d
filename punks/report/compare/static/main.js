"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const make = (tag, fields = {}, ...inside) => {
  const element = Object.assign(document.createElement(tag), fields);
  element.append(...inside);
  return element;
};
const at = (column, row) => data.pictures[column][row];

// Ratings: what the file beside this page had when it was written, and on top what this browser keeps.
const KEEP = "punks-compare-" + data.id;
let own = { pictures: {}, columns: {} };
let keeps = true;
try { own = JSON.parse(localStorage.getItem(KEEP)) || own; } catch { keeps = false; }
const rating = (kind, key) => (key in own[kind] ? own[kind][key] : data.ratings[kind][key]) ?? null;
const unsaved = () => ["pictures", "columns"].reduce((sum, kind) => sum + Object.keys(own[kind]).filter(
  (key) => own[kind][key] !== (data.ratings[kind][key] ?? null)).length, 0);
const selects = new Map(); // "kind key" -> the selects that show it
let file = null; // where they are saved, once chosen

function rate(kind, key, value) {
  own[kind][key] = value;
  if (keeps) { try { localStorage.setItem(KEEP, JSON.stringify(own)); } catch { keeps = false; } }
  for (const select of selects.get(kind + " " + key) || []) select.value = value ?? "";
  if (file) write(); else state();
}
function all() {
  const both = {};
  for (const kind of ["pictures", "columns"]) {
    both[kind] = Object.fromEntries(Object.entries({ ...data.ratings[kind], ...own[kind] }).filter((pair) => pair[1] !== null));
  }
  return JSON.stringify(both, null, 2) + "\n";
}
function say(text) { $("said").textContent = text; }
function state(text) {
  const count = unsaved();
  $("save").classList.toggle("unsaved", count > 0);
  const where = keeps ? "kept in this browser, in no file yet" : "lost when this page closes: save them";
  say(text || (count ? `${count} rating${count > 1 ? "s" : ""} ${where}` : ""));
}
async function write() {
  const stream = await file.createWritable();
  await stream.write(all());
  await stream.close();
  data.ratings = JSON.parse(all());
  state(`Saved in ${file.name}; every change goes there from now on. The same command again shows it in the scorecard.`);
}
async function save() {
  if (!file && window.showSaveFilePicker) {
    try {
      file = await window.showSaveFilePicker({ suggestedName: "ratings.json", types: [{ accept: { "application/json": [".json"] } }] });
    } catch (error) {
      if (error.name === "AbortError") return; // changed their mind
      file = null; // not allowed here: download instead
    }
  }
  if (file) return write();
  const link = make("a", { download: "ratings.json", href: URL.createObjectURL(new Blob([all()], { type: "application/json" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  state("ratings.json is downloaded. Put it beside this page, or name it: punks compare ... --ratings FILE");
}
function chooser(kind, key, label) {
  const select = make("select", { ariaLabel: label });
  fill(select, kind, key);
  select.addEventListener("change", () => rate(kind, key, select.value === "" ? null : Number(select.value)));
  selects.set(kind + " " + key, [...(selects.get(kind + " " + key) || []), select]);
  return select;
}
function fill(select, kind, key) {
  const value = rating(kind, key);
  const values = [...Array(11).keys()];
  if (value !== null && !values.includes(value)) values.push(value);
  select.replaceChildren(make("option", { value: "", textContent: "–" }), ...values.map((one) => make("option", { value: one, textContent: one })));
  select.value = value ?? "";
}
const digit = (event) => (event.ctrlKey || event.metaKey || event.altKey ? null : event.key === "+" ? 10 : /^\d$/.test(event.key) ? Number(event.key) : null);

// What was measured.
for (const reason of data.reasons) $("reasons").append(make("li", { textContent: reason }));
const [head, ...lines] = data.table;
$("scores").append(make("caption", { className: "unseen", textContent: "Scorecard" }));
$("scores").append(make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col", textContent: text })), make("th", { scope: "col", textContent: "by eye" }))));
const body = make("tbody");
lines.forEach((line, column) => {
  const row = make("tr", { className: column === data.best ? "best" : "" });
  row.append(make("th", { scope: "row", textContent: data.columns[column].title + (column === data.best ? " (recommended)" : "") }));
  for (const text of line.slice(1)) row.append(make("td", { textContent: text }));
  row.append(make("td", {}, chooser("columns", data.columns[column].title, `Rating of ${data.columns[column].title}`)));
  body.append(row);
});
$("scores").append(body);
if (data.plotted) { $("plot").src = "plot.png"; $("plots").hidden = false; }

// The pictures: the column without LoRA first, as what the others started from.
const order = data.columns.map((_, column) => column).sort((a, b) => data.columns[b].base - data.columns[a].base || a - b);
const images = (one) => {
  const found = [make("img", { className: "art", src: one.pixels, alt: "", loading: "lazy", width: 24, height: 24 })];
  if (one.painting) found.unshift(make("img", { className: "painting", src: one.painting, alt: "", loading: "lazy", width: 512, height: 512 }));
  return found;
};
const buttons = data.rows.map((title, row) => {
  const cells = order.map((column) => {
    const one = at(column, row), name = data.columns[column].title;
    const label = make("b", { textContent: name, className: data.columns[column].base ? "base" : "" });
    if (!one) {
      return [make("div", { className: "cell" }, make("div", { className: "none", textContent: "not painted" }), make("div", { className: "under" }, label)), null];
    }
    const button = make("button", { type: "button", ariaLabel: `${name}: ${title}` }, ...images(one));
    button.addEventListener("click", () => blink(column, row));
    button.addEventListener("keydown", (event) => { const value = digit(event); if (value !== null) rate("pictures", one.cells, value); });
    const notes = make("p", { className: "notes" });
    one.facts.filter((fact) => !fact[3]).forEach(([part, read, asked], place) => notes.append(
      place ? ", " : "", make("span", { className: "wrong", textContent: `${part} ${read}`, title: `${asked} was asked for` })));
    if (!notes.childNodes.length) notes.textContent = one.facts.length ? "as asked" : "";
    const under = make("div", { className: "under" }, label, chooser("pictures", one.cells, `Rating of ${name}: ${title}`));
    return [make("div", { className: "cell" }, button, under, notes), button];
  });
  $("rows").append(make("div", { className: "row" }, make("h3", { textContent: title }), make("div", { className: "cells" }, ...cells.map((pair) => pair[0]))));
  return cells.map((pair) => pair[1]);
});
$("rows").addEventListener("keydown", (event) => {
  const row = buttons.findIndex((line) => line.includes(event.target));
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (row < 0 || !step) return;
  const next = buttons[row + step[0]]?.[buttons[row].indexOf(event.target) + step[1]];
  if (next) { next.focus(); event.preventDefault(); }
});
function view() {
  $("rows").className = { art: "art-only", painting: "painting-only", both: "both" }[$("view").value];
}
const painted = data.pictures.flat().some((one) => one?.painting);
if (!painted) for (const value of ["painting", "both"]) $("view").querySelector(`[value=${value}]`).disabled = true;
$("view").addEventListener("change", view);
view();

// Blink: two columns on top of each other.
const now = { row: 0, pair: [0, 0], shown: 0, painting: false, timer: 0 };
function blink(column, row) {
  const best = data.best ?? 0;
  const other = column !== best ? best : column > 0 ? column - 1 : Math.min(1, data.columns.length - 1);
  Object.assign(now, { row, pair: [column, other], shown: 0 });
  for (const id of ["first", "second"]) {
    $(id).replaceChildren(...order.map((one) => make("option", { value: one, textContent: data.columns[one].title })));
  }
  $("blink").showModal();
  draw();
  $("swap").focus();
}
function draw() {
  $("first").value = now.pair[0];
  $("second").value = now.pair[1];
  $("stage").querySelectorAll("img").forEach((image) => image.remove());
  now.pair.forEach((column) => {
    const one = at(column, now.row);
    const source = one && (now.painting ? one.painting : one.pixels);
    $("stage").append(make("img", { className: now.painting ? "painting" : "art", src: source || "data:,", alt: "" }));
  });
  fit();
  turn(now.shown);
}
function turn(shown) {
  now.shown = shown;
  const column = now.pair[shown], one = at(column, now.row);
  $("stage").querySelectorAll("img").forEach((image, place) => image.classList.toggle("seen", place === shown && Boolean(one)));
  $("absent").hidden = Boolean(one);
  $("blink-title").textContent = data.columns[column].title;
  $("blink-prompt").textContent = data.rows[now.row];
  $("place").textContent = `${now.row + 1} of ${data.rows.length}`;
  $("rate").disabled = !one;
  fill($("rate"), "pictures", one ? one.cells : "");
  const facts = one ? [...one.facts.map(([part, read, asked, right]) => [part, read + (right ? "" : `, asked ${asked}`), right]),
    ["strays", String(one.strays), true], ["points", one.points.toFixed(3), true], ["seed", String(one.seed), true]] : [];
  $("read").replaceChildren(...facts.map(([name, text, right]) => make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: text, className: right ? "" : "wrong" }))));
}
function fit() {
  const box = $("stage").getBoundingClientRect();
  const room = Math.min(box.width, box.height) - 32;
  $("stage").style.setProperty("--side", (room >= 48 ? Math.floor(room / 24) * 24 : 48) + "px");
}
function walk(step) { now.row = Math.min(Math.max(now.row + step, 0), data.rows.length - 1); draw(); }
function auto(on) {
  clearInterval(now.timer);
  now.timer = on ? setInterval(() => turn(1 - now.shown), 600) : 0;
  $("auto").ariaPressed = String(on);
}
function layer() {
  now.painting = !now.painting && painted;
  $("layer").ariaPressed = String(now.painting);
  draw();
}
$("layer").disabled = !painted;
$("swap").addEventListener("click", () => turn(1 - now.shown));
$("auto").addEventListener("click", () => auto(!now.timer));
$("layer").addEventListener("click", layer);
$("up").addEventListener("click", () => walk(-1));
$("down").addEventListener("click", () => walk(1));
$("stage").addEventListener("click", () => turn(1 - now.shown));
for (const [place, id] of ["first", "second"].entries()) $(id).addEventListener("change", () => { now.pair[place] = Number($(id).value); now.shown = place; draw(); });
$("rate").addEventListener("change", () => rate("pictures", at(now.pair[now.shown], now.row).cells, $("rate").value === "" ? null : Number($("rate").value)));
$("close").addEventListener("click", () => $("blink").close());
$("blink").addEventListener("close", () => { auto(false); buttons[now.row][order.indexOf(now.pair[now.shown])]?.focus(); });
$("blink").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const inside = event.target.tagName === "SELECT";
  const value = digit(event), one = at(now.pair[now.shown], now.row);
  if (event.key === " " && !inside) turn(1 - now.shown);
  else if (event.key === "ArrowUp" && !inside) walk(-1);
  else if (event.key === "ArrowDown" && !inside) walk(1);
  else if (event.key === "a" && !inside) auto(!now.timer);
  else if (event.key === "p" && !inside && painted) layer();
  else if (value !== null && one && !inside) { rate("pictures", one.cells, value); turn(now.shown); }
  else return;
  event.preventDefault();
});
// a button under the keyboard would be clicked by the space bar too
$("blink").addEventListener("keyup", (event) => { if (event.key === " " && event.target.tagName === "BUTTON") event.preventDefault(); });
document.addEventListener("keydown", (event) => {
  if (event.key === "b" && !event.ctrlKey && !event.metaKey && !event.altKey && !$("blink").open && event.target.tagName !== "SELECT") { event.preventDefault(); start(); }
});
function start() {
  const row = Math.max(buttons.findIndex((line) => line.includes(document.activeElement)), 0);
  const column = order[buttons[row].indexOf(document.activeElement)] ?? data.best ?? 0;
  blink(column, row);
}
$("open-blink").addEventListener("click", start);
$("save").addEventListener("click", save);
addEventListener("resize", () => $("blink").open && fit());
addEventListener("beforeunload", (event) => { if (!keeps && unsaved()) event.preventDefault(); });
state();
