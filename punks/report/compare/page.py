"""`index.html`: the comparison as one static page that works from disk, asks no network and keeps ratings."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any


def document(data: Mapping[str, Any]) -> str:
    """The page of what result.page_data has gathered."""
    room = resources.files("punks.report.compare") / "static"
    style, script = ((room / name).read_text("utf-8") for name in ("style.css", "main.js"))
    policy = (
        f"default-src 'none'; img-src 'self' file: data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(str(data["title"])),
        "style": style,
        "script": script,
        # nothing in it may end the element that it stands in
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    text = (room / "index.html").read_text("utf-8")
    pieces = text.split("{{")
    for at, piece in enumerate(pieces[1:], 1):
        name, _, rest = piece.partition("}}")
        pieces[at] = parts[name] + rest
    return "".join(pieces)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
