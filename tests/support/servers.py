"""Real servers on this machine for the tests of fetching: files with faults, and a small Hugging Face Hub."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from huggingface_hub.utils.sha import git_hash
from safetensors.numpy import save


def tensors(seed: int, size: int = 300_000) -> bytes:
    """A safetensors file of that many random bytes."""
    return save({"w": np.random.default_rng(seed).integers(0, 255, size, np.uint8)})


def lora(seed: int, *, rank: int = 32, encoder: str = "te") -> bytes:
    """A kohya LoRA of one module of SD 1.5, or of SDXL if the encoder is te1; 250 kB at rank 32."""
    random = np.random.default_rng(seed)
    shapes = {"down": (rank, 768), "up": (3072, rank)}
    name = f"lora_{encoder}_text_model_encoder_layers_0_mlp_fc1.lora"
    return save({f"{name}_{side}.weight": random.random(s).astype(np.float16) for side, s in shapes.items()})


@dataclass(kw_only=True)
class Fault:
    """What one answer does wrong."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    ignore_range: bool = False
    ignore_if_range: bool = False
    pace: float = 0
    more: int = 0  # bytes after the end, of a length that is not given


class Site:
    """A file server: `files` by path, `faults` by path (one for each answer), `asked` as (path, headers)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.redirects: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.token: str | None = None
        self.sent = 0
        site = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def publish(self, repo: str, revision: str, files: dict[str, bytes], cdn: "Site") -> None:
        """Serves a repository as the Hub does: a listing, small files, and LFS files behind a redirect elsewhere."""
        tree: list[dict[str, object]] = [{"type": "directory", "path": "unet", "oid": "0" * 40, "size": 0}]
        for path, body in files.items():
            entry = {"type": "file", "path": path, "size": len(body), "oid": git_hash(body)}
            if path.endswith((".safetensors", ".bin", ".ckpt")):
                digest = hashlib.sha256(body).hexdigest()
                entry["lfs"] = {"oid": digest, "size": len(body), "pointerSize": 134}
                cdn.files[f"/{digest}"] = body
                self.redirects[f"/{repo}/resolve/{revision}/{path}"] = f"{cdn.url}/{digest}?signature=cdnsecret"
            else:
                self.files[f"/{repo}/resolve/{revision}/{path}"] = body
            tree.append(entry)
        self.files[f"/api/models/{repo}/tree/{revision}"] = json.dumps(tree).encode()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        self.asked.append((path, {name.lower(): value for name, value in request.headers.items()}))
        faults = self.faults.get(path, [])
        fault = faults.pop(0) if faults else Fault()
        body, status, start = self.files.get(path, b"absent"), fault.status, 0
        headers = {"ETag": f'"{hashlib.md5(body).hexdigest()}"', **fault.headers}
        if path in self.redirects:
            status, headers, body = 302, {"Location": self.redirects[path]}, b""
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        unchanged = request.headers.get("If-Range", headers.get("ETag")) == headers.get("ETag")
        if wanted and (unchanged or fault.ignore_if_range) and not status and not fault.ignore_range:
            start, status = int(wanted[1]), 206
            headers.setdefault("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            if start >= len(body):
                status, headers["Content-Range"] = 416, f"bytes */{len(body)}"
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            status, body, start = 401, b"no", 0
        request.send_response(status or (200 if path in self.files else 404))
        length = {} if fault.more else {"Content-Length": str(len(body) - start)}
        for name, value in {**length, **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        end = fault.cut or len(body) + fault.more
        for at in range(start, end, 10_000):
            piece = body[at : min(at + 10_000, end)] or bytes(10_000)
            try:
                request.wfile.write(piece)
            except OSError:
                break
            self.sent += len(piece)
            time.sleep(fault.pace)
        request.close_connection = fault.cut is not None or fault.more > 0 or "Content-Length" in fault.headers

    def ranges(self, path: str) -> list[str | None]:
        return [headers.get("range") for asked, headers in self.asked if asked == path]


@contextmanager
def serving() -> Iterator[Site]:
    """A site that is closed at the end."""
    site = Site()
    try:
        yield site
    finally:
        site.server.shutdown()
        site.server.server_close()
