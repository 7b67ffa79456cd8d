// Replicate calls this when a punk is done. It deletes its files after an hour, so the picture is saved here.
import { mkdir, writeFile } from "node:fs/promises";
import { validateWebhook } from "replicate";

export async function POST(request) {
  const secret = process.env.REPLICATE_WEBHOOK_SIGNING_SECRET;
  if (!(await validateWebhook(request.clone(), secret).catch(() => false))) {
    return Response.json({ error: "not signed by Replicate" }, { status: 403 });
  }
  const { id, status, output, error } = await request.json();
  if (status === "succeeded") {
    const image = await fetch(output.images[0]);
    await mkdir("public/punks", { recursive: true });
    await writeFile(`public/punks/${id}.png`, Buffer.from(await image.arrayBuffer()));
  } else {
    console.error(`punk ${id} ${status}: ${error}`);
  }
  return new Response(null, { status: 204 });
}
