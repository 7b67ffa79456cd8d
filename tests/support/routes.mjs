// Serves the Next.js routes of a folder as Next does, by Web Requests and Responses: node routes.mjs APP; prints its address.
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const app = process.argv[2];
const server = createServer(async (incoming, outgoing) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const { method, headers, url } = incoming;
  const request = new Request(`http://localhost${url}`, { method, headers, body: Buffer.concat(chunks) });
  const route = await import(pathToFileURL(`${app}${url}/route.js`));
  const response = await route[method](request);
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(Buffer.from(await response.arrayBuffer()));
});
server.listen(0, "127.0.0.1", () => {
  process.env.PUBLIC_URL = `http://127.0.0.1:${server.address().port}`;
  console.log(process.env.PUBLIC_URL);
});
