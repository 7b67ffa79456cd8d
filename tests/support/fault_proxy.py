"""Servers in front of a real Cog server: one that spoils answers by turns, and one that speaks Replicate's HTTP API."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

from tests.support.cog_server import file_bytes

PACE = 0.7  # seconds


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


class Replicate(BaseHTTPRequestHandler):
    """One model, `owner/punks`, painted by the Cog server at `target`; pictures are files at addresses of their own."""

    protocol_version = "HTTP/1.1"
    target: str
    token: str
    predictions: dict[str, dict[str, Any]]
    files: dict[str, bytes]

    def do_GET(self) -> None:
        if self.path.startswith("/files/"):
            assert "Authorization" not in self.headers
            found = self.files.get(self.path)
            return self._send(200 if found else 404, found or b"")
        if self.path == "/v1/models/owner/punks":
            return self._json(200, {"latest_version": {"id": "1" * 64}})
        found = self.predictions.get(self.path.rpartition("/")[2])
        return self._json(200, found) if found else self._json(404, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert (self.path, body["version"]) == ("/v1/predictions", "1" * 64)
        prediction = {"id": secrets.token_hex(8), "status": "starting"}
        self.predictions[prediction["id"]] = prediction
        threading.Thread(target=self._paint, args=(prediction, body["input"], f"http://{self.headers['Host']}")).start()
        return self._json(201, prediction)

    def _paint(self, prediction: dict[str, Any], inputs: dict[str, Any], host: str) -> None:
        url = f"{self.target}/predictions/{prediction['id']}"
        while (answer := httpx2.put(url, json={"input": inputs}, timeout=120)).status_code == 409:
            time.sleep(0.05)
        output = answer.json().get("output") or {}
        for kind in ("images", "pixels"):
            for i, uri in enumerate(output.get(kind, ())):
                path = f"/files/{prediction['id']}/{kind}{i}.png"
                self.files[path] = file_bytes(uri)
                output[kind][i] = host + path
        prediction.update(answer.json(), output=output)

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
