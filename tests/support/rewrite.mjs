// Preloaded into Node by tests: what goes to Replicate goes to the server in REPLICATE_BASE_URL.
const own = globalThis.fetch;
globalThis.fetch = (url, options) =>
  own(String(url).replace("https://api.replicate.com", process.env.REPLICATE_BASE_URL), options);
