// Paints a punk with Replicate's JavaScript client: node examples/replicate.mjs OWNER/MODEL [FILE]
// npm install --prefix examples, and REPLICATE_API_TOKEN in the environment.
import { writeFile } from "node:fs/promises";
import Replicate from "replicate";

const [name, file = "punk.png"] = process.argv.slice(2);
const replicate = new Replicate({ useFileOutput: false }); // addresses as text: files inside an object are text anyway
const { latest_version: version } = await replicate.models.get(...name.split("/"));
const input = { prompt: "lady, red hair, green eyes", seed: 7 };
const output = await replicate.run(`${name}:${version.id}`, { input });
const image = await fetch(output.images[0]);
await writeFile(file, Buffer.from(await image.arrayBuffer()));
console.log(file, output.seeds[0], ...output.palettes[0].split(",").slice(0, 6));
