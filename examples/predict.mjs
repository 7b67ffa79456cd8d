// A punk from JavaScript, with nothing but Node 18 or a browser: node examples/predict.mjs http://127.0.0.1:5000 punk.png
import { writeFile } from "node:fs/promises";

const [url = "http://127.0.0.1:5000", file = "punk.png"] = process.argv.slice(2);
const input = { prompt: "lady, red hair, green eyes", seed: 7 };

/** The answer to a prediction; asks again while the server is at capacity. */
async function predict(input) {
  for (;;) {
    const response = await fetch(`${url}/predictions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ input }),
    });
    if (response.status === 409) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      continue;
    }
    const answer = await response.json();
    if (!response.ok) throw new Error(JSON.stringify(answer.detail));
    if (answer.status !== "succeeded") throw new Error(answer.error);
    return answer;
  }
}

const { output } = await predict(input);
await writeFile(file, Buffer.from(await (await fetch(output.images[0])).arrayBuffer()));
console.log(file, output.seeds[0], ...output.palettes[0].split(",").slice(0, 6));
