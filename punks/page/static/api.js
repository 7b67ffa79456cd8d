// Requests to the server, its news, and cells as pictures.

export class Refused extends Error {
  constructor({ error, field }) { super(error); this.field = field; }
}

export async function get(path) {
  return answer(await fetch(path));
}

export async function post(path, body) {
  return answer(await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));
}

export async function upload(file) {
  return answer(await fetch(`api/upload?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file }));
}

async function answer(response) {
  const text = await response.text();
  let body;
  try { body = JSON.parse(text); } catch { body = { error: text || `The server answered ${response.status}.` }; }
  if (!response.ok) throw new Refused(body);
  return body;
}

// calls hear(news) for everything that happens, and gone(true or false) when the server goes and comes back
export function listen(hear, gone) {
  const source = new EventSource("api/news");
  source.onopen = () => gone(false);
  source.onerror = () => gone(true);
  source.onmessage = (event) => hear(JSON.parse(event.data));
}

// base64 of RGBA, 24x24
export function decoded(cells) {
  const bytes = Uint8ClampedArray.from(atob(cells), (letter) => letter.charCodeAt(0));
  const side = Math.sqrt(bytes.length / 4);
  return new ImageData(bytes, side, side);
}

export async function pixels(punk) {
  const picture = new Image();
  picture.src = source(punk);
  await picture.decode();
  const canvas = new OffscreenCanvas(24, 24);
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, 24, 24);
}

export const source = (punk) => `api/punks/${punk.number}/pixels.png?v=${punk.version}`;

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export const hex = (data, at) => "#" + [0, 1, 2].map((k) => data[at + k].toString(16).padStart(2, "0")).join("");

// a group of chips: one of them, or several with `many`; onchange(values)
export function chips(title, words, { many = false, colors = {}, dots = false, none = "any", onchange }) {
  const name = `chips-${title.replace(/\W/g, "-")}`;
  const box = element("div", { className: "chips" });
  const all = many || none === null ? words : ["", ...words];
  for (const word of all) {
    const input = element("input", { type: many ? "checkbox" : "radio", name, value: word, checked: !many && word === all[0] });
    const color = colors[word];
    const small = dots && color;
    const label = element("label", { className: small ? "chip dot" : "chip", title: word || none }, input);
    if (color) { const dot = element("i"); dot.style.background = color; label.append(dot); }
    if (small) input.setAttribute("aria-label", word); else label.append(word || none);
    box.append(label);
  }
  const set = element("fieldset", {}, element("legend", { textContent: title }), box);
  const picked = () => [...box.querySelectorAll("input:checked")].map((input) => input.value).filter(Boolean);
  box.addEventListener("change", () => onchange(picked()));
  set.picked = picked;
  set.pick = (values) => box.querySelectorAll("input").forEach((input) => { input.checked = values.includes(input.value) || (!many && !values.some((v) => all.includes(v)) && input.value === all[0]); });
  return set;
}
