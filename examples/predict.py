"""Paints a punk with Replicate's Python client: examples/predict.py OWNER/MODEL|URL [FILE]

For a model on Replicate: pip install replicate, and REPLICATE_API_TOKEN in the environment.
"""

import base64
import json
import sys
import time
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
        while True:
            answer = super().handle_request(own)
            answer.read()
            if answer.status_code != 409:  # it paints for somebody else
                break
            self._stop_if_unhealthy(request)
            time.sleep(0.5)
        if not answer.is_success:
            return answer
        unknown = {"model": "punks", "version": "local", "created_at": "", "urls": {}, "input": body.get("input", {})}
        return httpx.Response(200, json=unknown | answer.json(), request=request)

    def _stop_if_unhealthy(self, request: httpx.Request) -> None:
        health = super().handle_request(httpx.Request("GET", request.url.copy_with(path="/health-check")))
        if json.loads(health.read())["status"] in ("UNHEALTHY", "DEFUNCT"):
            sys.exit("the server is unhealthy; start it again")


def main(where: str, file: str = "punk.png") -> None:
    inputs: dict[str, Any] = {"prompt": "lady, red hair, green eyes", "seed": 7}
    if where.startswith("http"):
        client = replicate.Client(api_token="none", base_url=where, transport=OwnServer())  # noqa: S106
        prediction = client.predictions.create(version="local", input=inputs)
    else:
        version = replicate.models.get(where).latest_version
        assert version, f"{where} has no version; push one with `cog push`"
        prediction = replicate.predictions.create(version=version, input=inputs)
        prediction.wait()
    if prediction.status != "succeeded":
        sys.exit(prediction.error)
    output: Any = prediction.output
    image = output["images"][0]
    inline = image.startswith("data:")
    Path(file).write_bytes(base64.b64decode(image.partition(",")[2]) if inline else httpx.get(image).content)
    print(file, output["seeds"][0], *output["palettes"][0].split(",")[:6])


if __name__ == "__main__":
    main(*sys.argv[1:])
