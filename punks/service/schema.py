"""`python -m punks.service.schema`: the OpenAPI description of predict.py, in the form of Cog's own build.

Cog's build reads predict.py without running it (replicate/cog, pkg/schema); here Cog's inspector imports it.
"""

# Cog keeps the parts that read a predictor to itself
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

import json
import sys
import warnings
from pathlib import Path
from typing import Any

_SCHEMAS = "#/components/schemas"
_STATES = ["starting", "processing", "succeeded", "canceled", "failed"]


def openapi(module: str = "predict", name: str = "Predictor") -> dict[str, Any]:
    """OpenAPI 3.0.2 of a predictor that can be imported."""
    from cog._inspector import create_predictor

    with warnings.catch_warnings():
        # the names Predictor and predict() are what every version of Cog and of its tools knows
        warnings.simplefilter("ignore", DeprecationWarning)
        info = create_predictor(module, name)
    inputs = {field.name: _input(field) for field in info.inputs.values()}
    enums = {
        field.name: {
            "title": field.name,
            "description": "An enumeration.",
            "enum": field.choices,
            **field.type.json_type(),
        }
        for field in info.inputs.values()
        if field.choices
    }
    names = [
        field.name
        for field in info.inputs.values()
        if field.default is None and field.type.repetition.name in ("REQUIRED", "REPEATED")
    ]
    required = {"required": names} if names else {}
    texts = {key: {"title": key.replace("_", " ").title(), "type": "string"} for key in ("id", "error", "logs")}
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {
            "/predictions": {"post": _operation("Predict", "predict_predictions_post")},
            "/predictions/{prediction_id}/cancel": {"post": _cancel()},
            "/health-check": {"get": {"summary": "Healthcheck", "responses": {"200": {"description": "OK"}}}},
        },
        "components": {
            "schemas": {
                "Input": {"title": "Input", "type": "object", "properties": inputs} | required,
                "Output": info.output.json_type(),
                **enums,
                "PredictionRequest": {
                    "title": "PredictionRequest",
                    "type": "object",
                    "properties": {"id": texts["id"], "input": {"$ref": f"{_SCHEMAS}/Input"}},
                },
                "PredictionResponse": {
                    "title": "PredictionResponse",
                    "type": "object",
                    "properties": {
                        "input": {"$ref": f"{_SCHEMAS}/Input"},
                        "output": {"$ref": f"{_SCHEMAS}/Output"},
                        **texts,
                        "status": {"$ref": f"{_SCHEMAS}/Status"},
                        "metrics": {"title": "Metrics", "type": "object"},
                    },
                },
                "Status": {"title": "Status", "type": "string", "enum": _STATES},
            }
        },
    }


def _input(field: Any) -> dict[str, Any]:
    """One property of Input; `choices` are a schema of their own, as in Cog's build."""
    entry: dict[str, Any] = {"x-order": field.order}
    if field.choices:
        entry["allOf"] = [{"$ref": f"{_SCHEMAS}/{field.name}"}]
    else:
        entry |= {"title": field.name.replace("_", " ").title(), **field.type.json_type()}
    limits = {
        "default": field.default,
        "description": field.description,
        "minimum": field.ge,
        "maximum": field.le,
        "minLength": field.min_length,
        "maxLength": field.max_length,
        "pattern": field.regex,
        "nullable": field.type.repetition.name.startswith("OPTIONAL") or None,
    }
    return entry | {key: value for key, value in limits.items() if value is not None}


def _operation(summary: str, name: str) -> dict[str, Any]:
    def content(schema: str) -> dict[str, Any]:
        return {"content": {"application/json": {"schema": {"$ref": f"{_SCHEMAS}/{schema}"}}}}

    return {
        "summary": summary,
        "operationId": name,
        "requestBody": content("PredictionRequest"),
        "responses": {
            "200": {"description": "Successful Response", **content("PredictionResponse")},
            "422": {"description": "Validation Error"},
        },
    }


def _cancel() -> dict[str, Any]:
    name = {"title": "Prediction ID", "type": "string"}
    return {
        "summary": "Cancel",
        "operationId": "cancel_predictions__prediction_id__cancel_post",
        "parameters": [{"required": True, "schema": name, "name": "prediction_id", "in": "path"}],
        "responses": {"200": {"description": "Successful Response"}},
    }


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
    sys.stdout.write(json.dumps(openapi()) + "\n")
