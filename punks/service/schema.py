"""`python -m punks.service.schema predict.py`: the OpenAPI schema of a predictor, equal to what `cog build` writes.

`cog build` parses predict.py without running it (replicate/cog, pkg/schema); here Cog's inspector imports it.
openapi.json holds the parts that are the same for every predictor.
"""

# Cog's inspector is private and untyped
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

import json
import sys
import warnings
from importlib import metadata, resources
from pathlib import Path
from typing import Any

_SCHEMAS = "#/components/schemas"


def openapi(module: str = "predict", name: str = "Predictor") -> dict[str, Any]:
    """OpenAPI 3.0.2 of a predictor that can be imported."""
    from cog._inspector import create_predictor

    with warnings.catch_warnings():
        # the names Predictor and predict() are what every version of Cog and of its tools knows
        warnings.simplefilter("ignore", DeprecationWarning)
        info = create_predictor(module, name)
    fields = info.inputs.values()
    schema = json.loads(resources.files("punks.service").joinpath("openapi.json").read_text())
    schema["info"]["version"] = metadata.version("cog")
    required = [field.name for field in fields if field.default is None and not _optional(field.type)]
    schema["components"]["schemas"] |= {
        "Input": {"title": "Input", "type": "object", "properties": {field.name: _input(field) for field in fields}}
        | ({"required": required} if required else {}),
        "Output": info.output.json_type(),
        **{field.name: _enum(field) for field in fields if field.choices},
    }
    return schema


def _input(field: Any) -> dict[str, Any]:
    """One property of Input; `choices` are a schema of their own."""
    title = {"title": _title(field.name), **field.type.json_type()}
    reference = {"allOf": [{"$ref": f"{_SCHEMAS}/{field.name}"}]}
    limits = {
        "description": field.description,
        "minimum": _whole(field.ge),
        "maximum": _whole(field.le),
        "minLength": field.min_length,
        "maxLength": field.max_length,
        "pattern": field.regex,
        "nullable": _optional(field.type) or None,
    }
    default = {} if field.default is None and not _optional(field.type) else {"default": _whole(field.default)}
    given = {key: value for key, value in limits.items() if value is not None}
    return {"x-order": field.order, **(reference if field.choices else title), **default, **given}


def _enum(field: Any) -> dict[str, Any]:
    return {"title": field.name, "description": "An enumeration.", "enum": field.choices, **field.type.json_type()}


def _optional(kind: Any) -> bool:
    return kind.repetition.name.startswith("OPTIONAL")


def _title(name: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _whole(value: Any) -> Any:
    """1.0 as 1: the inspector turns bounds into floats, `cog build` writes them as integers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


if __name__ == "__main__":
    predictor = Path(sys.argv[1])
    sys.path.insert(0, str(predictor.parent))
    sys.stdout.write(json.dumps(openapi(predictor.stem)) + "\n")
