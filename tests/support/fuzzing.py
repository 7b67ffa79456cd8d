"""Random requests against the running server, from its schema: what it must never do whatever it is asked."""

import base64
import json
import random
import string
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.support.cog_server import FAST, Cog, data_uri, until

STRINGS = [
    "",
    " ",
    "lady",
    "/etc/passwd",
    "../../etc/passwd",
    "file:///etc/passwd",
    "$(touch punks-was-here)",
    "`touch punks-was-here`; touch punks-was-here",
    "\x00",
    "\ud800",
    "é漢字🙂\u202e",
    "{prompt.__class__}",
    "%s%n",
    "auto",
    "prompt",
    "#ff0000",
    "#f00,#00f",
    "transparent",
    "teal",
    "http://127.0.0.1:9/x.png",
    "data:",
    "data:image/png;base64,AAAA",
    "data:image/png,%89PNG",
    "x" * 5000,
]
NUMBERS = [-1, 0, 1, 2, 3, 7, 10, 24, 48, 0.5, 1.0, 2.5, 1e-300, 1e300, 2**31, 2**32 - 1, 2**32, 2**63, 2**64, -0.0]
# texts that are right where they stand; elsewhere any text may be
TEXTS = {
    "traits": ['{"subject": "lad", "hair": "black"}'],
    "palette": ["auto", "#f00,#00f,#000", "teal,white"],
    "background": ["keep", "solid", "transparent", "teal", "#6ae745"],
    "steer_color": ["teal", "#f00"],
}
OTHERS = [None, True, False, [], {}, [1], {"a": 1}, ["lady"]]


def requests(schema: dict[str, Any], pictures: list[str], seed: int) -> Callable[[], dict[str, Any]]:
    """A source of inputs: most are nearly right, some are anything at all."""
    draw = random.Random(seed)
    schemas = schema["components"]["schemas"]

    def right(name: str, entry: dict[str, Any]) -> Any:
        if "allOf" in entry:
            return draw.choice(schemas[name]["enum"])
        low, high = entry.get("minimum", 0), entry.get("maximum", 1)
        match entry["type"]:
            case "integer":
                return draw.choice([int(low), draw.randint(int(low), int(high))])
            case "number":
                return draw.choice([low, high, draw.uniform(low, high)])
            case "boolean":
                return draw.random() < 0.5
            case _:
                if name in TEXTS:
                    return draw.choice(TEXTS[name])
                text = "".join(draw.choices(string.printable, k=draw.randint(1, 30)))
                return draw.choice(pictures) if entry.get("format") == "uri" else draw.choice([text, "lady", "#f00"])

    def one() -> dict[str, Any]:
        drawn = [name for name in schemas["Input"]["properties"] if name == "prompt" or draw.random() < 0.3]
        names = [name for name in drawn if name != "lora"]  # no picture is one
        inputs = {name: right(name, schemas["Input"]["properties"][name]) for name in names}
        # what is painted is painted in one or two steps, once or twice; all else stays as it was drawn
        inputs |= FAST | {"num_inference_steps": draw.randint(1, 2), "variant": "sd15-perfect"}
        inputs |= {"num_outputs": draw.randint(1, 2), "output_size": draw.randint(24, 96)}
        for name in draw.sample(list(schemas["Input"]["properties"]), k=draw.choice([0, 0, 0, 1, 1, 2, 5])):
            if name not in ("num_inference_steps", "num_outputs", "variant"):
                inputs[name] = draw.choice([*STRINGS, *NUMBERS, *OTHERS])
            else:
                inputs[name] = draw.choice([*STRINGS, *OTHERS, -1, 0, 1.0, 2.5, 2**64])
        if draw.random() < 0.1:
            inputs["unknown " + draw.choice(STRINGS)] = draw.choice(OTHERS)
        if draw.random() < 0.05:
            inputs.pop("prompt", None)
        return inputs

    return one


def bodies(draw: random.Random) -> bytes:
    """A body that is hardly a request."""
    junk = [b"", b"{", b"[]", b"null", b'{"input": 5}', b'{"input": {"prompt": NaN}}', b"\xff\xfe", b"[" * 500]
    return draw.choice([*junk, draw.randbytes(draw.randint(1, 200))])


def fuzz(cog: Cog, count: int, seed: int, watch: Callable[[], None] = lambda: None) -> Counter[str]:
    """Sends that many requests; counts the answers by kind. Raises AssertionError with the request at fault."""
    from PIL import Image

    draw = random.Random(seed)
    png = data_uri(Image.new("RGB", (30, 20), "teal"))
    bomb = data_uri(Image.new("1", (9000, 9000)))  # a few KB that unpack to more than is taken
    cut = f"data:image/png;base64,{base64.b64encode(base64.b64decode(png.partition(',')[2])[:60]).decode()}"
    gif = data_uri(Image.new("P", (3, 3)), "gif")
    source = requests(cog.ask("GET", "/openapi.json").json(), [png, png, bomb, cut, gif, *STRINGS[:6]], seed)
    worker, counts = cog.worker(), Counter[str]()
    for number in range(count):
        inputs: Any = bodies(draw) if draw.random() < 0.05 else source()
        raw = inputs if isinstance(inputs, bytes) else json.dumps({"input": inputs}).encode()
        what = f"request {number} of seed {seed}: {raw[:2000]!r}"
        try:
            response = cog.ask("POST", "/predictions", content=raw, headers={"Content-Type": "application/json"})
        except httpx2.TransportError as error:
            raise AssertionError(f"{what}: no answer ({error!r})") from error
        assert response.status_code in (200, 400, 413, 422), f"{what}: {response.status_code} {response.text[:500]}"
        answer = response.json() if response.status_code == 200 else {}
        kind = str(answer.get("status", response.status_code))
        if kind == "failed":
            assert answer["error"], what
            known = ("RecipeError: ", "ImageError: ", "LoraError: ", "WeightsError: ", "Input validation error: ")
            assert any(word in answer["error"] for word in known), f"{what}: {answer['error']}"
        elif kind == "succeeded":
            output = answer["output"]
            assert len(output["images"]) == len(output["seeds"]) == len(output["pixels"]), what
        else:
            assert kind in ("400", "413", "422"), what
        counts[kind] += 1
        watch()
    until(lambda: cog.health() == "READY")
    assert cog.worker() == worker, "the worker was replaced"
    assert worker.status() != psutil.STATUS_ZOMBIE
    return counts


def strays(before: set[Path], *folders: Path) -> set[Path]:
    """Files in the folders that were not there before."""
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()} - before
