// A sketch of what was chosen, before anything is painted: half a bust of dots, mirrored.
const HEAD = `
............ ............ ............ .......kkkkk .....kkhhhhh ....khhhhhhh ....khhhhhhh ....khhhhhhh`;
const FACES = {
  lad: `${HEAD} ....khhsssss ....khssssss ....khsskkss ...ksssswess ...kdsssssss ....kssssssn ....ksssusss ....kssssmmm
.....kssssss ......ksssss .......kdddd .......kdsss .....kkcssss ....kccccsss ...kcccccccc ...kcccccccc`,
  lady: `${HEAD} ...khhhsssss ...khhssssss ...khhsskkss ...khhsswess ...khhssssss ...khhsssssn ...khhssusss ...khhsssmmm
...khhksssss ...khhhkssss ...khhhhkddd ..khhhhkdsss ..khhhkkcsss ..khhkcccsss ...kkccccccc ...kcccccccc`,
};
const LINE = "#2a2730", CLOTHES = "#5b6472", MOUTH = "#b5565a", WHITE = "#d9dbe2";

// ground: the background, "" for none
export function sketch(canvas, { subject, hair, bald, smiles, lips, eyes, skin, ground }) {
  const side = 20, context = canvas.getContext("2d");
  canvas.width = canvas.height = 24 * side;
  const base = skin || "#e2bd97";
  const ink = { k: LINE, h: bald ? base : hair || "#8d7b6c", s: base, d: shade(base), n: shade(base), w: WHITE, e: eyes || "#4a4f57", m: lips || MOUTH, u: smiles ? lips || MOUTH : base, c: CLOTHES };
  const rows = FACES[subject].trim().split(/\s+/);
  rows.forEach((half, y) => [...half, ...[...half].reverse()].forEach((letter, x) => {
    const color = ink[letter] ?? ground;
    context.fillStyle = color || getComputedStyle(canvas).getPropertyValue("--line");
    context.beginPath();
    context.arc((x + 0.5) * side, (y + 0.5) * side, side * (color ? 0.41 : 0.12), 0, 7);
    context.fill();
  }));
}

// the same at one pixel a cell, for the logo
export function stamp(canvas) {
  const context = canvas.getContext("2d");
  const ink = { k: LINE, h: "#d2282c", s: "#f3d2a2", d: "#d5ab88", n: "#d5ab88", w: WHITE, e: "#15b01a", m: MOUTH, u: "#f3d2a2", c: CLOTHES };
  FACES.lady.trim().split(/\s+/).forEach((half, y) => [...half, ...[...half].reverse()].forEach((letter, x) => {
    context.fillStyle = ink[letter] ?? "#148a8c";
    context.fillRect(x, y, 1, 1);
  }));
}

const shade = (color) => "#" + [1, 3, 5].map((at) => Math.round(0.82 * parseInt(color.slice(at, at + 2), 16)).toString(16).padStart(2, "0")).join("");
