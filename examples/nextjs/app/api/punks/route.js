// POST /api/punks {"prompt": "lady, red hair"} starts a punk on Replicate, which calls ./webhook when it is done.
import Replicate from "replicate";

const replicate = new Replicate(); // REPLICATE_API_TOKEN

export async function POST(request) {
  const { prompt } = await request.json();
  if (typeof prompt !== "string") return Response.json({ error: "send a prompt" }, { status: 400 });
  const model = await replicate.models.get(...process.env.PUNKS_MODEL.split("/")); // OWNER/MODEL
  const prediction = await replicate.predictions.create({
    version: model.latest_version.id,
    input: { prompt },
    webhook: `${process.env.PUBLIC_URL}/api/punks/webhook`, // must be reachable from the internet
    webhook_events_filter: ["completed"],
  });
  return Response.json({ id: prediction.id, image: `/punks/${prediction.id}.png` }, { status: 202 });
}
