"""A punk with the `replicate` client: examples/predict.py OWNER/MODEL, or the URL of a server of your own.

On Replicate: pip install replicate, and REPLICATE_API_TOKEN in the environment.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import replicate


class OwnServer(httpx.HTTPTransport):
    """Lets Replicate's client talk to a Cog server, which has no /v1 and knows nothing of versions."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1")
        body = json.loads(request.read() or b"{}")
        body.pop("version", None)
        headers = {"Content-Type": "application/json"}
        own = httpx.Request(request.method, request.url.copy_with(path=path), headers=headers, json=body)
        answer = super().handle_request(own)
        answer.read()
        if answer.status_code == 409:  # at capacity, which the client knows as "try again"
            return httpx.Response(429, json={"detail": "at capacity"}, request=request)
        if not answer.is_success:
            return answer
        unknown = {"model": "punks", "version": "local", "created_at": "", "urls": {}, "input": body.get("input", {})}
        return httpx.Response(200, json=unknown | answer.json(), request=request)


def main(where: str, file: str = "punk.png") -> None:
    inputs: dict[str, Any] = {"prompt": "lady, red hair, green eyes", "seed": 7}
    if where.startswith("http"):
        client = replicate.Client(api_token="none", base_url=where, transport=OwnServer())  # noqa: S106
        prediction = client.predictions.create(version="local", input=inputs)
    else:
        prediction = replicate.predictions.create(model=where, input=inputs)
        prediction.wait()
    if prediction.status != "succeeded":
        sys.exit(prediction.error)
    print(prediction.progress)
    image = prediction.output["images"][0]
    inline = image.startswith("data:")
    Path(file).write_bytes(base64.b64decode(image.partition(",")[2]) if inline else httpx.get(image).content)
    print(file, prediction.output["seeds"][0], *prediction.output["palettes"][0].split(",")[:6])


if __name__ == "__main__":
    main(*sys.argv[1:])
