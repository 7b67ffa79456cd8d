"""What a marketplace reads of a collection: ERC-721 metadata for each punk, and how rare each of them is."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from punks.batch.collection.draw import NONE, Collection
from punks.batch.manifest import Entry
from punks.errors import BatchError

METHOD = "sum over the traits of 1 / share of punks with the same value"
SOURCE = "https://raritytools.medium.com/ranking-rarity-understanding-rarity-calculation-methods-86ceaeb9b98c"
_RAREST = 10


def write_metadata(folder: Path, collection: Collection, entries: Iterable[Entry]) -> str:
    """Writes `metadata/NUMBER.json` for each punk that is done, and `rarity.json`. -> the rarity as a table.

    Entries are those of the manifest, with their traits. Files are called by number without zeros in front, as
    contracts make token URIs. Raises BatchError.
    """
    punks: dict[str, Mapping[str, str]] = {}
    try:
        (folder / "metadata").mkdir(exist_ok=True)
        for entry in entries:
            if entry["status"] != "done":
                continue
            punks[entry["name"]] = entry["traits"]
            text = json.dumps(metadata(collection, entry), ensure_ascii=False, indent=2)
            (folder / "metadata" / f"{entry['job']}.json").write_text(text + "\n", "utf-8")
        report = rarity(punks)
        (folder / "rarity.json").write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", "utf-8")
        for path in (folder / "metadata").iterdir():  # of a larger collection that was here before
            if re.fullmatch(r"[1-9]\d*\.json", path.name) and int(path.stem) > collection.count:
                path.unlink()
    except OSError as error:
        raise BatchError(f"{folder}: the metadata cannot be written ({error.strerror or error})") from error
    return rarity_table(report)


def metadata(collection: Collection, entry: Entry) -> dict[str, Any]:
    """ERC-721 metadata of a punk, with the attributes that marketplaces read; what it has none of is left out.

    Source: https://eips.ethereum.org/EIPS/eip-721, https://docs.opensea.io/docs/metadata-standards.
    """
    return {
        "name": collection.name.replace("{number}", str(entry["job"])),
        "description": collection.description,
        "image": collection.image + entry["files"]["image"].rpartition("/")[2],
        "attributes": [
            {"trait_type": name, "value": value} for name, value in entry["traits"].items() if value != NONE
        ],
    }


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
