"""`index.html` of a gallery or a comparison: one static file that works from disk and asks no network."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any


def document(room: str, scripts: Sequence[str], title: str, data: Any, also: str = "") -> str:
    """The template of a folder below punks/report with its style, these scripts of it, and the data.

    Its own policy allows what it brings, and scripts from the sources `also`.
    """
    files = resources.files("punks.report") / room
    style = (files / "style.css").read_text("utf-8")
    script = "\n".join((files / name).read_text("utf-8") for name in scripts)
    policy = (
        f"default-src 'none'; img-src 'self' file: data:; style-src '{_hash(style)}'; "
        f"script-src {also}'{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    parts = {"policy": policy, "title": html.escape(title), "style": style, "script": script, "data": in_script(data)}
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], (files / "index.html").read_text("utf-8"))


def in_script(value: Any) -> str:
    """JSON that is safe inside a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
