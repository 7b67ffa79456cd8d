"use strict";
// What the gallery knows: the head that is part of the page, and pages of punks that come as scripts, since a page on
// disk may load scripts and pictures but may not fetch.
const PAGE = 1024, ATLAS = 32, CELLS = 24, NEAR = 45, ATLASES = 40;
const PICKS = ["pick", "rating"];  // what somebody thinks of a punk makes it no rarer
const byId = (id) => document.getElementById(id);
const head = JSON.parse(byId("head").textContent);
const punks = new Array(head.count);
const valueOf = head.values.map(([type, value, count]) => ({ type, value, count }));
const wanted = { words: [], values: new Map(), color: null };
let loaded = 0;

/** Called by gallery/NNNN.js with one page of punks in columns. */
window.punksPage = (page, data) => {
  const first = page * PAGE;
  data.names.forEach((name, i) => {
    const base = data.bases[data.base[i]], text = data.prompts[i];
    punks[first + i] = {
      index: first + i, name, text, job: data.jobs[i], seed: data.seeds[i], confidence: data.confidence[i],
      image: data.images[i], painting: data.paintings[i], palette: data.palettes[i], traits: data.traits[i],
      score: data.traits[i].reduce((sum, id) => sum + (PICKS.includes(head.types[valueOf[id].type]) ? 0 : head.count / valueOf[id].count), 0),
      seconds: data.seconds[i], warnings: data.warnings[i],
      colors: numbers(data.palettes[i]),
      haystack: `${name} ${text}`.toLowerCase(),
      recipe: () => ({ ...base, prompt: data.asked[i] ?? text, seed: data.seeds[i] }),
    };
  });
  loaded += data.names.length;
};

/** "rrggbbrrggbb" -> [0xrrggbb, 0xrrggbb] */
function numbers(palette) {
  const colors = new Uint32Array(palette.length / 6);
  for (let i = 0; i < colors.length; i++) colors[i] = parseInt(palette.slice(6 * i, 6 * i + 6), 16);
  return colors;
}

/** Loads the pages one after the other; one that is needed on the screen comes first. */
const pages = {
  waiting: Array.from({ length: Math.ceil(head.count / PAGE) }, (_, page) => page),
  first: [],
  load(onPage) {
    const page = pages.first.find((one) => pages.waiting.includes(one)) ?? pages.waiting[0];
    if (page === undefined) return;
    pages.waiting.splice(pages.waiting.indexOf(page), 1);
    const script = document.createElement("script");
    script.src = `gallery/${file(page)}.js?${head.version}`;
    script.onload = () => { script.remove(); onPage(page); pages.load(onPage); };
    script.onerror = () => onPage(page, `${script.src} is missing; the folder gallery/ belongs to this page`);
    document.head.append(script);
  },
};

const file = (page) => String(page + 1).padStart(4, "0");

/** The sheets with the 24x24 pixels of a page, those used last kept. */
const atlases = new Map();
function atlas(page) {
  let sheet = atlases.get(page);
  if (sheet) atlases.delete(page);
  else {
    const image = new Image();
    image.src = `gallery/${file(page)}.webp?${head.version}`;
    sheet = { image, ready: image.decode().then(() => { sheet.done = true; }) };
    sheet.ready.catch(() => {});
  }
  atlases.set(page, sheet);
  if (atlases.size > ATLASES) atlases.delete(atlases.keys().next().value);
  return sheet;
}

/** Draws a punk's cells on a 24x24 canvas, as soon as they are there and unless it shows another by then. */
function draw(canvas, punk) {
  const sheet = atlas(Math.floor(punk.index / PAGE)), at = punk.index % PAGE;
  const paint = () => {
    if (canvas.punk !== punk) return;
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, CELLS, CELLS);
    pen.drawImage(sheet.image, (at % ATLAS) * CELLS, Math.floor(at / ATLAS) * CELLS, CELLS, CELLS, 0, 0, CELLS, CELLS);
    canvas.classList.add("painted");
  };
  canvas.punk = punk;
  if (sheet.done) return paint();
  canvas.classList.remove("painted");
  sheet.ready.then(paint).catch(() => {});
}

/** Whether two colors look alike: "redmean" distance (Riemersma, compuphase.com/cmetric.htm) up to NEAR. */
function near(a, b) {
  const ar = a >> 16, br = b >> 16, red = (ar + br) / 2;
  const r = ar - br, g = ((a >> 8) & 255) - ((b >> 8) & 255), c = (a & 255) - (b & 255);
  return (2 + red / 256) * r * r + 4 * g * g + (2 + (255 - red) / 256) * c * c <= NEAR * NEAR;
}

/** A search as tests: every word begins a word of the prompt or the name, or is the seed or the number. */
function words(text) {
  return text.toLowerCase().split(/[\s,]+/).filter(Boolean).map((word) => ({
    word, begins: new RegExp(`(?<![\\p{L}\\p{N}])${word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`, "u"),
  }));
}

/** The punks that fit all that is wanted, in order, and for each value how many there would be with it. */
function matching(order) {
  const found = [], counts = new Uint32Array(valueOf.length);
  const types = [...wanted.values];
  for (const punk of punks) {
    if (!punk) continue;
    const numbered = (word) => word === String(punk.seed) || word === String(punk.job);
    if (wanted.words.some(({ word, begins }) => !numbered(word) && !begins.test(punk.haystack))) continue;
    if (wanted.color !== null && !punk.colors.some((color) => near(color, wanted.color))) continue;
    const missed = types.filter(([, ids]) => !punk.traits.some((id) => ids.has(id)));
    if (missed.length === 0) found.push(punk);
    if (missed.length > 1) continue;
    const only = missed.length ? missed[0][0] : null;
    for (const id of punk.traits) if (only === null || valueOf[id].type === only) counts[id]++;
  }
  if (order === "rare") found.sort((a, b) => b.score - a.score || a.index - b.index);
  if (order === "unsure") found.sort((a, b) => a.confidence - b.confidence || a.index - b.index);
  return { found, counts };
}

/** Puts text on the clipboard; the old way where a browser keeps the new one from pages on disk. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    (byId("viewer").open ? byId("viewer") : document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
