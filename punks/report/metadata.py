"""What a marketplace reads of a collection: ERC-721 metadata for each punk, and how rare each of them is."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from punks.batch.collection.draw import NONE, Collection
from punks.batch.manifest import Entry
from punks.errors import BatchError
from punks.files.svg import write_svg
from punks.report.provenance import write_provenance
from punks.report.sheet import read_pixels

METHOD = "sum over the traits of 1 / share of punks with the same value"
SOURCE = "https://raritytools.medium.com/ranking-rarity-understanding-rarity-calculation-methods-86ceaeb9b98c"
ALL = "_metadata.json"
_RAREST, _SVG_SIDE = 10, 1024


def write_metadata(folder: Path, collection: Collection, entries: Iterable[Entry]) -> str:
    """Writes `metadata/NUMBER.json` for each punk that is done and one file of all, `rarity.json` and the provenance.

    Pictures become SVG, too, where the collection says so. Entries are those of the manifest, with their traits. Files
    are called by number without zeros in front, as contracts make token URIs. -> what to say: where things are, and
    the rarity as a table. Raises BatchError, ImageError.
    """
    punks: dict[str, Mapping[str, str]] = {}
    pictures: list[str] = []
    every: list[dict[str, Any]] = []
    form, hidden = collection.labels.image_format, collection.labels.hidden
    try:
        for name in ("metadata", *(["svg"] if form == "svg" else [])):
            (folder / name).mkdir(exist_ok=True)
        for entry in entries:
            if entry["status"] != "done":
                continue
            punks[entry["name"]] = {name: value for name, value in entry["traits"].items() if name not in hidden}
            pictures.append(picture_of(entry, form))
            if form == "svg":
                cells = np.asarray(read_pixels(folder / entry["files"]["pixels"]))
                write_svg(cells, _SVG_SIDE, folder / pictures[-1], {})
            every.append(metadata(collection, entry))
            _write(folder / "metadata" / f"{entry['job']}.json", every[-1])
        _write(folder / "metadata" / ALL, every)
        report = rarity(punks)
        _write(folder / "rarity.json", report)
        for path in (*(folder / "metadata").glob("*.json"), *(folder / "svg").glob("*.svg")):  # of a larger one before
            if re.fullmatch(r"\d+", path.stem) and int(path.stem) > collection.count:
                path.unlink()
    except OSError as error:
        raise BatchError(f"{folder}: the metadata cannot be written ({error.strerror or error})") from error
    said = write_provenance(folder, pictures, collection.count)
    return f"metadata: {folder / 'metadata'}, all of them in {ALL}\n{said}\n\n{rarity_table(report)}"


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")


def picture_of(entry: Entry, form: str) -> str:
    """The picture of a punk that its metadata name, by its place in the folder."""
    return f"svg/{entry['name']}.svg" if form == "svg" else entry["files"]["image"]


def metadata(collection: Collection, entry: Entry) -> dict[str, Any]:
    """ERC-721 metadata of a punk, with the attributes that marketplaces read; what it has none of is left out.

    Source: https://eips.ethereum.org/EIPS/eip-721, https://docs.opensea.io/docs/metadata-standards.
    """
    labels, number = collection.labels, entry["job"]
    one = collection.ones.get(number)
    name = (one and one.name) or (labels.names[number - 1] if labels.names else "")
    words = {**{kind.name: NONE for kind in collection.types}, **entry["traits"], "number": str(number)}

    def filled(text: str) -> str:
        return re.sub(r"\{([^{}]*)\}", lambda match: words.get(match[1], match[0]), text)

    words["name"] = name
    words["name"] = name if one and one.name else filled(labels.name)
    file = picture_of(entry, labels.image_format).rpartition("/")[2]
    base = labels.image if not labels.image or labels.image.endswith(("/", "=")) else labels.image + "/"
    found = {
        "name": words["name"],
        "description": filled(labels.description),
        "image": base + file,
        "external_url": filled(labels.external_url),
        "attributes": [
            {"trait_type": kind, "value": value}
            for kind, value in entry["traits"].items()
            if value != NONE and kind not in labels.hidden
        ],
    }
    return {key: value for key, value in found.items() if value or key != "external_url"}


def rarity(punks: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Traits by name of the punk -> how many have each value, and each punk's score and rank; 1 is the rarest.

    A punk that lacks a trait has the value `none` of it. Equal scores share a rank. Source: METHOD, at SOURCE.
    """
    types = list(dict.fromkeys(name for traits in punks.values() for name in traits))
    counts = {one: Counter(traits.get(one, NONE) for traits in punks.values()) for one in types}
    scores = {
        name: sum((Fraction(len(punks), counts[one][traits.get(one, NONE)]) for one in types), Fraction())
        for name, traits in punks.items()
    }
    ordered = sorted(scores, key=lambda name: -scores[name])
    ranks: dict[Fraction, int] = {}
    for place, name in enumerate(ordered, 1):
        ranks.setdefault(scores[name], place)
    return {
        "count": len(punks),
        "method": METHOD,
        "source": SOURCE,
        "traits": {
            one: {value: {"count": n, "share": n / len(punks)} for value, n in counts[one].most_common()}
            for one in types
        },
        "punks": [
            {"name": name, "rank": ranks[scores[name]], "score": round(float(scores[name]), 4)} for name in ordered
        ],
    }


def rarity_table(report: Mapping[str, Any]) -> str:
    """The report as lines to read: each trait's values, the rarest last, and the rarest punks."""
    rows: list[Sequence[str]] = [("trait", "value", "punks", "share")]
    for name, values in report["traits"].items():
        for at, (value, found) in enumerate(values.items()):
            rows.append((name if at == 0 else "", value, f"{found['count']:,}", f"{found['share']:.2%}"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}" for a, b, c, d in rows]
    rarest = ", ".join(f"{one['name']} ({one['score']:.1f})" for one in report["punks"][:_RAREST]) or "none yet"
    return "\n".join([*lines, "", f"rarest: {rarest}"])
