"""The local schema is, to the letter, what `cog build` writes of the same predictor."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.support import ROOT

PREDICTOR = '''
from typing import Optional
from cog import BaseModel, BasePredictor, Input, Path

class Output(BaseModel):
    images: list[Path]
    seed: int
    note: Optional[str] = None

class Predictor(BasePredictor):
    def predict(
        self,
        prompt: str = Input(description="What to paint.", max_length=9),
        steps: int = Input(default=20, ge=1, le=4294967295),
        scale: float = Input(default=1.0, ge=0, le=2.5),
        seed: Optional[int] = Input(default=None, ge=0),
        tiled: bool = Input(default=False),
        kind: str = Input(default="a", choices=["a", "b"]),
        eyes: Optional[str] = Input(default=None, choices=["red", "blue"], description="Eyes."),
        image_file: Optional[Path] = Input(default=None),
    ) -> Output:
        """Paints."""
'''

# by hand, after replicate/cog pkg/schema/openapi_spec.go: maps in Go print their keys sorted, integers as integers
PROPERTIES: dict[str, Any] = {
    "prompt": {"description": "What to paint.", "maxLength": 9, "title": "Prompt", "type": "string", "x-order": 0},
    "steps": {"default": 20, "maximum": 4294967295, "minimum": 1, "title": "Steps", "type": "integer", "x-order": 1},
    "scale": {"default": 1, "maximum": 2.5, "minimum": 0, "title": "Scale", "type": "number", "x-order": 2},
    "seed": {"default": None, "minimum": 0, "nullable": True, "title": "Seed", "type": "integer", "x-order": 3},
    "tiled": {"default": False, "title": "Tiled", "type": "boolean", "x-order": 4},
    "kind": {"allOf": [{"$ref": "#/components/schemas/kind"}], "default": "a", "x-order": 5},
    "eyes": {
        "allOf": [{"$ref": "#/components/schemas/eyes"}],
        "default": None,
        "description": "Eyes.",
        "nullable": True,
        "x-order": 6,
    },
    "image_file": {
        "default": None,
        "format": "uri",
        "nullable": True,
        "title": "Image File",
        "type": "string",
        "x-order": 7,
    },
}
SCHEMAS: dict[str, Any] = {
    "Input": {"properties": PROPERTIES, "required": ["prompt"], "title": "Input", "type": "object"},
    "Output": {
        "properties": {
            "images": {"items": {"format": "uri", "type": "string"}, "title": "Images", "type": "array"},
            "seed": {"title": "Seed", "type": "integer"},
            "note": {"nullable": True, "title": "Note", "type": "string"},
        },
        "required": ["images", "seed"],
        "title": "Output",
        "type": "object",
    },
    "kind": {"description": "An enumeration.", "enum": ["a", "b"], "title": "kind", "type": "string"},
    "eyes": {"description": "An enumeration.", "enum": ["red", "blue"], "title": "eyes", "type": "string"},
}


def printed(predictor: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "punks.service.schema", str(predictor)]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def text(value: object) -> str:
    """1 and 1.0 are equal numbers, but not the same text."""
    return json.dumps(value, sort_keys=True)


def test_the_schema_of_a_small_predictor(tmp_path: Path):
    (tmp_path / "small.py").write_text(PREDICTOR)
    schema = printed(tmp_path / "small.py")
    assert (schema["openapi"], schema["info"]) == ("3.0.2", {"title": "Cog", "version": version("cog")})
    schemas = schema["components"]["schemas"]
    assert text({name: schemas[name] for name in SCHEMAS}) == text(SCHEMAS)
    shared = ["PredictionRequest", "PredictionResponse", "Status", "HTTPValidationError", "ValidationError"]
    assert sorted(schemas) == sorted([*SCHEMAS, *shared])
    assert schemas["PredictionResponse"]["properties"]["created_at"] == {
        "format": "date-time",
        "title": "Created At",
        "type": "string",
    }
    assert schemas["PredictionResponse"]["properties"]["status"] == {"title": "Status", "type": "string"}
    assert sorted(schema["paths"]) == ["/", "/health-check", "/predictions", "/predictions/{prediction_id}/cancel"]
    responses = schema["paths"]["/predictions"]["post"]["responses"]
    invalid = responses["422"]["content"]["application/json"]["schema"]
    assert invalid == {"$ref": "#/components/schemas/HTTPValidationError"}
