// Requests to the server, its news, and small parts that every panel uses.

export class Refused extends Error {
  constructor({ error, field }) { super(error); this.field = field; }
}

export const $ = (id) => document.getElementById(id);

export const get = async (path) => answer(await ask(path));

export const post = async (path, body) => answer(await ask(path, { method: "POST", body: JSON.stringify(body), keepalive: true }));

export const upload = async (file, path = "api/upload") =>
  answer(await ask(`${path}?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file }));

async function ask(...request) {
  try { return await fetch(...request); } catch { throw new Refused({ error: "The server does not answer." }); }
}

async function answer(response) {
  const text = await response.text();
  let body;
  try { body = JSON.parse(text); } catch { body = { error: text || `The server answered ${response.status}.` }; }
  if (!response.ok) throw new Refused(body);
  return body;
}

// hear(news) for everything that happens, connected(yes or no) when the server comes and goes
export function listen(hear, connected) {
  const source = new EventSource("api/news");
  source.onopen = () => connected(true);
  source.onerror = () => connected(false);
  source.onmessage = (event) => hear(JSON.parse(event.data));
}

// base64 of RGBA cells
export function decoded(cells) {
  const bytes = Uint8ClampedArray.from(atob(cells), (letter) => letter.charCodeAt(0));
  return new ImageData(bytes, 24, 24);
}

export const source = (punk) => `api/punks/${punk.number}/pixels.png?v=${punk.version}`;

// the cells of a punk as it lies in the folder
export async function cells(punk) {
  const picture = element("img", { src: source(punk) });
  await picture.decode();
  const context = Object.assign(document.createElement("canvas"), { width: 24, height: 24 }).getContext("2d");
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, 24, 24);
}

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export const dot = (color, name = "i") => {
  const made = element(name);
  made.style.background = color;
  return made;
};

export const hex = (data, at) => "#" + [0, 1, 2].map((k) => data[at + k].toString(16).padStart(2, "0")).join("");

export function say(id, text) {
  $(id).hidden = !text;
  $(id).textContent = text;
}
