// Paints a punk over HTTP with Node 18 or newer, without packages: node examples/predict.mjs [URL [FILE]]
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const [url = "http://127.0.0.1:5000", file = "punk.png"] = process.argv.slice(2);

/** The output for some inputs; waits while the server paints for somebody else. */
async function paint(input) {
  for (;;) {
    const response = await fetch(`${url}/predictions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ input }),
    });
    const answer = await response.json();
    if (response.status === 409) {
      const { status } = await (await fetch(`${url}/health-check`)).json();
      if (status === "UNHEALTHY" || status === "DEFUNCT") throw new Error("the server is unhealthy; start it again");
      await sleep(500);
    } else if (answer.status === "succeeded") {
      return answer.output;
    } else {
      throw new Error(answer.error ?? JSON.stringify(answer.detail));
    }
  }
}

const output = await paint({ prompt: "lady, red hair, green eyes", seed: 7 });
const image = await fetch(output.images[0]); // a data: URL, or an address on Replicate
await writeFile(file, Buffer.from(await image.arrayBuffer()));
console.log(file, output.seeds[0], ...output.palettes[0].split(",").slice(0, 6));
