"""Servers in front of a real Cog server: one spoils answers, one hastens paintings, one speaks Replicate's HTTP API."""

import base64
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

import httpx2

from tests.support.cog_server import file_bytes

PACE = 0.7  # seconds
SECRET = f"whsec_{base64.b64encode(b'only for tests').decode()}"
_NOW = "2026-11-30T12:00:00.000Z"
_MODEL: dict[str, Any] = {
    **dict.fromkeys(("description", "github_url", "paper_url", "license_url", "cover_image_url", "default_example")),
    "url": "https://replicate.com/owner/punks",
    "owner": "owner",
    "name": "punks",
    "visibility": "public",
    "run_count": 0,
    "latest_version": {"id": "1" * 64, "created_at": _NOW, "cog_version": "", "openapi_schema": {}},
}


def signed(body: str) -> dict[str, str]:
    """The headers of a webhook, https://replicate.com/docs/topics/webhooks/verify-webhook."""
    now = str(int(time.time()))
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.digest(key, f"msg_1.{now}.{body}".encode(), "sha256")
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": "msg_1", "webhook-timestamp": now, "webhook-signature": signature}


class Proxy(BaseHTTPRequestHandler):
    """Hands requests on to `target`; each one takes the next of `faults`, a `poison` prompt always gets a 500."""

    protocol_version = "HTTP/1.1"
    target: str
    faults: list[str]
    asked: list[tuple[str, str]]  # (path, what became of it)

    def do_GET(self) -> None:
        answer = httpx2.get(self.target + self.path, timeout=120)
        self._send(answer.status_code, answer.content)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = "500" if b"poison" in body else self.faults.pop(0) if self.faults else ""
        self.asked.append((self.path, fault))
        if fault in ("409", "500", "503"):
            return self._send(int(fault), b"{}")
        if fault == "429":
            return self._send(429, b"{}", {"Retry-After": "1"})
        if fault == "crashed":
            return self._send(200, b'{"status": "failed", "error": "Worker crashed"}')
        if fault == "garbage":
            return self._send(200, b"<html>")
        if fault == "slow":
            time.sleep(PACE)
        while (answer := self._hand_on(body)).status_code == 409:
            time.sleep(0.05)
        if fault == "lost":  # painted, and the answer never arrives
            self.close_connection = True
            return None
        if fault == "truncated":
            self.close_connection = True
            return self._send(200, answer.content[: len(answer.content) // 2], {"Content-Length": "99999"})
        return self._send(answer.status_code, answer.content)

    def _hand_on(self, body: bytes) -> httpx2.Response:
        headers = {"Content-Type": "application/json"}
        return httpx2.put(self.target + self.path, content=body, headers=headers, timeout=120)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Hastened(BaseHTTPRequestHandler):
    """Hands requests on to the Cog server at `target` with `hurry` added to the inputs; keeps those in `inputs`.

    The first prediction is refused with a 409; without a target all are, and the health is `health`.
    """

    target: str
    inputs: list[dict[str, Any]]
    hurry: dict[str, Any]
    health: str = "BUSY"

    def do_GET(self) -> None:
        assert self.path == "/health-check"
        self._send(200, json.dumps({"status": self.health}, separators=(",", ":")).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.inputs.append(dict(body["input"]))
        if len(self.inputs) == 1 or not self.target:
            return self._send(409, b'{"error": "At capacity - all prediction slots busy", "status": "failed"}')
        body["input"] |= self.hurry
        while (answer := httpx2.post(self.target + self.path, json=body, timeout=120)).status_code == 409:
            time.sleep(0.05)
        return self._send(answer.status_code, answer.content)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Replicate(BaseHTTPRequestHandler):
    """One model, `owner/punks`, painted by the Cog server at `target`; pictures are files at addresses of their own.

    `hurry` is added to the inputs; a finished prediction is posted to its webhook, signed with SECRET as on Replicate.
    """

    protocol_version = "HTTP/1.1"
    target: str
    token: str
    predictions: dict[str, dict[str, Any]]
    files: dict[str, bytes]
    hurry: Mapping[str, Any] = MappingProxyType({})

    def do_GET(self) -> None:
        if self.path.startswith("/files/"):
            assert "Authorization" not in self.headers
            found = self.files.get(self.path)
            return self._send(200 if found else 404, found or b"")
        if self.path == "/v1/models/owner/punks":
            return self._json(200, _MODEL)
        found = self.predictions.get(self.path.rpartition("/")[2])
        return self._json(200, found) if found else self._json(404, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert (self.path, body["version"]) == ("/v1/predictions", "1" * 64)
        host, name = f"http://{self.headers['Host']}", secrets.token_hex(8)
        prediction = {
            **dict.fromkeys(("output", "error", "metrics", "started_at", "completed_at")),
            "id": name,
            "status": "starting",
            "model": "owner/punks",
            "version": "1" * 64,
            "logs": "",
            "input": body["input"],
            "created_at": _NOW,
            "urls": {"get": f"{host}/v1/predictions/{name}"},
        }
        self.predictions[name] = prediction
        threading.Thread(target=self._paint, args=(prediction, host, body.get("webhook"))).start()
        return self._json(201, prediction)

    def _paint(self, prediction: dict[str, Any], host: str, webhook: str | None) -> None:
        url = f"{self.target}/predictions/{prediction['id']}"
        body = {"input": {**prediction["input"], **self.hurry}}
        while (answer := httpx2.put(url, json=body, timeout=120)).status_code == 409:
            time.sleep(0.05)
        output = answer.json().get("output") or {}
        for kind in ("images", "pixels"):
            for i, uri in enumerate(output.get(kind, ())):
                path = f"/files/{prediction['id']}/{kind}{i}.png"
                self.files[path] = file_bytes(uri)
                output[kind][i] = host + path
        prediction.update(answer.json(), output=output)
        if webhook:
            httpx2.post(webhook, content=json.dumps(prediction), headers=signed(json.dumps(prediction)))

    def _json(self, status: int, value: object) -> None:
        accepted = self.headers["Authorization"] == f"Bearer {self.token}"
        self._send(status if accepted else 401, json.dumps(value if accepted else {}).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def running(kind: type[BaseHTTPRequestHandler], **state: Any) -> Iterator[tuple[str, Any]]:
    """The address of a server of that kind, and the class that holds its state."""
    handler = type(kind.__name__, (kind,), state)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}", handler
        web.shutdown()
