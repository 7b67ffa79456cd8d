"""What is minted: metadata as marketplaces read it, names and addresses, and a provenance that anybody can verify."""

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bench.batch_folder import write_folder
from punks.batch.collection.draw import CollectionJobs
from punks.batch.collection.file import parse_collection
from punks.batch.manifest import entries
from punks.cli import main
from punks.errors import BatchError
from punks.files.checksums import sha256
from punks.report.provenance import NAME, verify
from punks.report.show import show
from tests.support import ROOT

TYPES = {"subject": {"lady": 1, "lad": 1}, "hair": {"red": 1}, "wear": {"hat": {"none": 2, "gold crown": 1}}}
# https://docs.opensea.io/docs/metadata-standards: its fields, and those of attributes
TEXT = {"type": "string", "minLength": 1}
OPENSEA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "description", "image", "attributes"],
    "additionalProperties": False,
    "properties": {
        "image": {"type": "string", "pattern": r"^(ipfs|https)://[^ ]+[^/]\.(png|svg)$"},
        "image_data": TEXT,
        "external_url": {"type": "string", "pattern": r"^https?://[^ ]+$"},
        "description": {"type": "string"},
        "name": TEXT,
        "attributes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["value"],
                "additionalProperties": False,
                "properties": {
                    "trait_type": TEXT,
                    "value": {"type": ["string", "number"]},
                    "display_type": {"enum": ["number", "boost_number", "boost_percentage", "date"]},
                    "max_value": {"type": "number"},
                },
            },
        },
        "background_color": {"type": "string", "pattern": "^[0-9a-fA-F]{6}$"},
        "animation_url": TEXT,
        "youtube_url": TEXT,
    },
}


def made(count: int = 6, **more: Any) -> CollectionJobs:
    return parse_collection({"count": count, "image": "ipfs://CID", "traits": TYPES, **more}).jobs({})


def metadata(folder: Path, jobs: CollectionJobs) -> list[dict[str, Any]]:
    """The metadata of all punks of a folder, after they were checked against the published fields."""
    show(folder, jobs)
    found = [json.loads((folder / f"metadata/{number}.json").read_text("utf-8")) for number in range(1, len(jobs) + 1)]
    for one in found:
        jsonschema.validate(one, OPENSEA)
    assert json.loads((folder / "metadata/_metadata.json").read_text("utf-8")) == found
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mint")
    write_folder(path, 6)
    return path


def test_texts_are_filled_for_each_punk(folder: Path):
    names = ["Ada", "Bo", "Cy", "Di", "Ed", "Flo"]
    texts = {"name": "{name} #{number}", "description": "{name}: {subject}, {hair} hair, {hat}. {x}"}
    jobs = made(
        **(texts | {"description": texts["description"][:-5]}), names=names, external_url="https://a.b/{number}"
    )
    for number, one in enumerate(metadata(folder, jobs), 1):
        values = jobs.values(number)
        assert one["name"] == f"{names[number - 1]} #{number}"
        assert one["description"] == f"{one['name']}: {values['subject']}, red hair, {values['hat']}"
        assert one["external_url"] == f"https://a.b/{number}"
        assert one["image"] == f"ipfs://CID/00000{number}.png"
    assert {one["name"] for one in metadata(folder, made(names=names))} == set(names)


def test_names_come_from_a_file_too(folder: Path, tmp_path: Path):
    (tmp_path / "names.txt").write_text("\n".join("abcdef") + "\n\n")
    jobs = parse_collection({"count": 6, "names": "names.txt", "image": "https://x/", "traits": TYPES}, tmp_path).jobs(
        {}
    )
    assert [one["name"] for one in metadata(folder, jobs)] == list("abcdef")


@pytest.mark.parametrize("base", ["ipfs://CID", "ipfs://CID/"])
@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_picture_is_named_by_its_address(base: str, form: str, folder: Path):
    for number, one in enumerate(metadata(folder, made(image=base, image_format=form)), 1):
        assert one["image"] == f"ipfs://CID/00000{number}.{form}"
    files = json.loads((folder / NAME).read_text())["files"]
    assert all(name.endswith(form) and (folder / name).is_file() for name in files)


def test_hidden_traits_and_nothing_are_not_told_and_not_counted(folder: Path):
    jobs = made(hidden=["hair"])
    for number, one in enumerate(metadata(folder, jobs), 1):
        told = {attribute["trait_type"]: attribute["value"] for attribute in one["attributes"]}
        values = jobs.values(number)
        assert told == {name: value for name, value in values.items() if name != "hair" and value != "none"}
    assert json.loads((folder / "rarity.json").read_text())["traits"].keys() == {"subject", "hat"}


def test_a_one_of_one_has_its_own_name_and_is_the_rarest(folder: Path):
    ones = [{"number": 4, "prompt": "lady", "name": "The Sleeper"}, {"number": 5, "prompt": "lad"}]
    found = metadata(folder, made(one_of_ones=ones))
    assert found[3]["name"] == "The Sleeper"
    assert found[3]["attributes"] == [{"trait_type": "one of one", "value": "The Sleeper"}]
    assert found[4]["name"] == "Punk #5"
    ranks = {one["name"]: one["rank"] for one in json.loads((folder / "rarity.json").read_text())["punks"]}
    assert ranks["000004"] == ranks["000005"] == 1


def independent(folder: Path) -> str:
    """The provenance as collections publish it, computed from the pictures alone."""
    joined = ""
    for path in sorted((folder / "images").glob("*.png")):
        joined += hashlib.sha256(path.read_bytes()).hexdigest()
    return hashlib.sha256(joined.encode("ascii")).hexdigest()


def test_the_provenance_is_that_of_an_independent_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_folder(tmp_path, 6)
    said = show(tmp_path, made())
    match = re.search(r"^provenance: ([0-9a-f]{64}) ", said, re.MULTILINE)
    assert match
    assert match[1] == independent(tmp_path)
    # the line of docs/collections.md
    line = re.search(r"^sha256sum .*$", (ROOT / "docs/collections.md").read_text(), re.MULTILINE)
    assert line
    done = subprocess.run(["sh", "-c", line[0]], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.split()[0] == match[1]
    assert list(json.loads((tmp_path / NAME).read_text())["files"].values()) == [
        sha256(tmp_path / entry["files"]["image"]) for entry in entries(tmp_path)
    ]
    for published in ([], [match[1]], ["0x" + match[1].upper()]):
        assert main(["provenance", str(tmp_path), *published]) == 0
        assert capsys.readouterr().out.startswith(f"{match[1]}\n")
    assert main(["provenance", str(tmp_path), "0" * 64]) == 1
    assert f"published: provenance {'0' * 64}, where the pictures give {match[1]}" in capsys.readouterr().err
    with (tmp_path / "images/000002.png").open("ab") as file:
        file.write(b"x")
    (tmp_path / "images/000005.png").unlink()
    found, wrong = verify(tmp_path)
    assert found != match[1]
    assert [line.rpartition("images/")[2] for line in wrong[:2]] == ["000002.png: changed", "000005.png: missing"]
    assert main(["provenance", str(tmp_path)]) == 1


def test_a_part_of_a_collection_has_no_provenance(tmp_path: Path):
    write_folder(tmp_path, 6)
    show(tmp_path, made())
    assert "no provenance hash yet: 6 of 8 punks are done" in show(tmp_path, made(8))
    with pytest.raises(BatchError, match=r"provenance\.json: missing; `punks batch --collection` writes it"):
        verify(tmp_path)
    (tmp_path / NAME).write_text('{"files": []}')
    with pytest.raises(BatchError, match="cannot be read"):
        verify(tmp_path)
