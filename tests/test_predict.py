"""predict.py and cog.yaml as Cog's build reads them: literals that match the registry, and a complete image."""

import ast
import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from punks.fields import bounds, kinds
from punks.palette import Palette
from punks.request import FIELDS
from punks.service.schema import openapi
from punks.traits import Traits
from punks.variants import DEFAULT, VARIANTS
from tests.support import ROOT

TREE = ast.parse((ROOT / "predict.py").read_text())
# lora, image: files where a recipe has their hashes
OWN = ["lora", "num_outputs", "output_format", "return_painting", "image"]


def registered() -> list[str]:
    """The registry without the rows of the tests."""
    return [name for name in VARIANTS if not name.startswith("tiny")]


def method(name: str) -> ast.FunctionDef:
    (found,) = (node for node in ast.walk(TREE) if isinstance(node, ast.FunctionDef) and node.name == name)
    return found


def inputs() -> dict[str, tuple[str, dict[str, ast.expr]]]:
    """The annotation and the keywords of Input() of each parameter, as they are written."""
    arguments = method("predict").args
    found: dict[str, tuple[str, dict[str, ast.expr]]] = {}
    for argument, default in zip(arguments.args[1:], arguments.defaults, strict=True):
        assert isinstance(default, ast.Call)
        assert ast.unparse(default.func) == "Input"
        assert not default.args, f"{argument.arg}: a positional argument of Input() is dropped"
        assert argument.annotation
        keywords = {word.arg: word.value for word in default.keywords if word.arg}
        found[argument.arg] = (ast.unparse(argument.annotation), keywords)
    return found


@pytest.mark.parametrize("name", inputs())
def test_an_input_is_written_so_that_the_static_parser_reads_it(name: str):
    annotation, keywords = inputs()[name]
    inner = annotation.removeprefix("Optional[").removesuffix("]")
    assert inner in ("str", "int", "float", "bool", "Path")
    for word, value in keywords.items():
        literal = ast.literal_eval(value)  # an imported name, a sum or an f-string is no literal
        if isinstance(literal, str):
            written = ast.get_source_segment((ROOT / "predict.py").read_text(), value)
            assert written is not None
            assert written.count('"') == 2, f"{name}: {word} is more than one piece of text"
    if "default" in keywords and ast.literal_eval(keywords["default"]) is None:
        assert annotation.startswith("Optional["), f"{name}: None would make it required"


def test_the_output_is_a_flat_model_with_its_optional_fields_last():
    (model,) = (node for node in TREE.body if isinstance(node, ast.ClassDef) and node.name == "Output")
    fields = [node for node in model.body if isinstance(node, ast.AnnAssign)]
    assert all("list[list" not in ast.unparse(field.annotation) for field in fields)
    optional = ["Optional" in ast.unparse(field.annotation) for field in fields]
    assert optional == sorted(optional)
    assert [field.value is not None for field in fields] == optional


def test_the_inputs_are_the_fields_of_recipe_and_finish_and_what_concerns_files():
    assert {name for name in inputs() if name not in OWN} == {*FIELDS} - {"image_sha256", "loras"}
    assert [name for name in inputs() if name not in FIELDS] == OWN


@pytest.mark.parametrize("name", inputs())
def test_bounds_defaults_and_words_are_those_of_the_fields(name: str):
    schema = openapi()["components"]["schemas"]
    entry: dict[str, Any] = schema["Input"]["properties"][name]
    assert entry["description"].endswith(".")
    if name in OWN:
        assert name not in ("image", "lora") or entry["format"] == "uri"
        return
    field = FIELDS[name]
    limits, allowed = bounds(field), kinds(field)
    assert entry["description"] == limits.about
    assert (entry.get("minimum"), entry.get("maximum")) == (limits.ge, limits.le)
    assert entry.get("maxLength") == limits.max_length
    choices = registered() if name == "variant" else limits.choices and list(limits.choices)
    assert (schema[name]["enum"] if "allOf" in entry else None) == choices
    types = {str: "string", int: "integer", float: "number", bool: "boolean", Traits: "string", Palette: "string"}
    assert (schema[name] if "allOf" in entry else entry)["type"] == types[allowed[0]]
    assert entry.get("default") == field.default


def test_nothing_is_required_since_traits_may_stand_for_the_prompt():
    assert "required" not in openapi()["components"]["schemas"]["Input"]


@pytest.mark.parametrize("variant", ["demo", "sdxl-fixed"])
def test_another_default_variant_is_what_the_schema_says(variant: str, monkeypatch: pytest.MonkeyPatch):
    command = [
        sys.executable,
        "-c",
        "from punks.service.schema import openapi; print(openapi()['components']['schemas'])",
    ]
    monkeypatch.setenv("PUNKS_VARIANT", variant)
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert ast.literal_eval(said)["Input"]["properties"]["variant"]["default"] == variant


def test_the_default_variant_is_the_registry_s():
    assert ast.literal_eval(inputs()["variant"][1]["default"]) == DEFAULT
    assert ast.literal_eval(inputs()["variant"][1]["choices"]) == registered()


# the keys of cog.yaml that Cog documents (docs/yaml.md, pkg/config), those that this project may use
COG_YAML = {
    "type": "object",
    "required": ["build", "predict"],
    "additionalProperties": False,
    "properties": {
        "build": {
            "type": "object",
            "required": ["python_version"],
            "additionalProperties": False,
            "properties": {
                "gpu": {"type": "boolean"},
                "cuda": {"type": "string", "pattern": r"^\d+\.\d+(\.\d+)?$"},
                "python_version": {"type": "string", "pattern": r"^3\.(10|11|12|13)$"},
                "python_requirements": {"type": "string"},
                "sdk_version": {"type": "string"},
                "system_packages": {"type": "array", "items": {"type": "string"}},
                "run": {"type": "array", "items": {"type": "string"}},
            },
        },
        "image": {"type": "string"},
        "predict": {"type": "string", "pattern": r"^[\w/]+\.py:\w+$"},
        "environment": {"type": "array", "items": {"type": "string", "pattern": "^[A-Z_]+=.*$"}},
        "concurrency": {"type": "object", "required": ["max"], "properties": {"max": {"type": "integer"}}},
    },
}


def test_cog_yaml_has_documented_keys_and_names_what_there_is():
    config = yaml.safe_load((ROOT / "cog.yaml").read_text())
    pytest.importorskip("jsonschema").validate(config, COG_YAML)
    file, name = config["predict"].split(":")
    assert any(
        isinstance(node, ast.ClassDef) and node.name == name for node in ast.parse((ROOT / file).read_text()).body
    )
    pins = (ROOT / config["build"]["python_requirements"]).read_text()
    assert re.search(r"^torch==\d+\.\d+\.\d+$", pins, re.MULTILINE), "Cog wants torch pinned where there is a GPU"
    assert not re.search("^cog==", pins, re.MULTILINE), "Cog brings its own SDK"
    for setting in config["environment"]:
        assert not re.match("PATH=|PYTHONPATH=|CUDA_|HF_ENDPOINT=|NVIDIA_", setting), f"Cog refuses {setting}"


def test_the_image_has_bytecode(tmp_path: Path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    (packages,) = tmp_path.glob("lib/python*/site-packages")
    (packages / "installed.py").write_text("print(1)\n")
    (packages / "broken.py").write_text("print 1\n")
    for command in yaml.safe_load((ROOT / "cog.yaml").read_text())["build"]["run"]:
        subprocess.run(command, shell=True, check=True, env={"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.defpath}"})
    assert list((packages / "__pycache__").glob("installed.*.pyc"))


def context() -> set[str]:
    """The files of the repository that .dockerignore lets into the image."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True)
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert not any(rule.startswith("!") for rule in rules)

    def ignored(path: str) -> bool:
        parents = ["/".join(path.split("/")[:i]) for i in range(1, path.count("/") + 2)]
        return any(fnmatch(p, rule) or fnmatch(f"/{p}", rule.replace("**/", "*/")) for p in parents for rule in rules)

    return {path for path in listed.stdout.decode().splitlines() if not ignored(path)}


def test_the_image_has_all_that_predict_py_imports_and_nothing_of_the_tests():
    # what the service imports when it paints, asked of a fresh interpreter
    code = (
        "import sys, pathlib, predict, punks.painter.warm\n"
        "root = str(pathlib.Path().resolve())\n"
        "files = [m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)]\n"
        "print(*[f[len(root) + 1:] for f in files if f.startswith(root + '/p')], sep='\\n')"
    )
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    needed = set(loaded.split())
    assert {"predict.py", "punks/service/__init__.py", "punks/snap/__init__.py"} <= needed
    assert needed <= context()
    assert "requirements.txt" in context()
    kept = {path.split("/")[0] for path in context()}
    assert not kept & {"tests", "bench", "training", "script", "examples", ".github", "docs"}
    # weights lie beside the code, as the layer that --separate-weights makes of them
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert not any(fnmatch("weights/sd15/unet/diffusion_pytorch_model.fp16.safetensors", rule) for rule in rules)


def test_the_service_needs_nothing_that_the_image_lacks():
    pins = (ROOT / "requirements.txt").read_text()
    installed = {re.split("[=<>]", line)[0].replace("-", "_") for line in pins.splitlines() if line[:1].isalpha()}
    modules = {"PIL": "pillow", "cog": None, "cuda": None}  # torch brings cuda.bindings
    elsewhere = ("punks/cli/", "punks/batch/", "punks/report/", "punks/page/")  # entrances of their own
    for path in (path for path in context() if path.endswith(".py") and not path.startswith(elsewhere)):
        if path in (
            "punks/service/proxy.py",
            "punks/service/run.py",
            "punks/service/schema.py",
            "punks/service/server.py",
            "punks/lora/fetch.py",
            "punks/files/transfer.py",
        ):
            continue  # these run where a model is served without Docker or weights are fetched, never in the image
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            for name in (name.split(".")[0] for name in names):
                wanted = modules.get(name, name)
                if name not in sys.stdlib_module_names and name != "punks" and wanted:
                    assert wanted in installed, f"{path} imports {name}, which requirements.txt lacks"


def test_predict_stays_thin():
    for name in ("setup", "healthcheck", "predict"):
        body = method(name).body
        assert len(body) <= 3, f"{name}() does more than hand on"
