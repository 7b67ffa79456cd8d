"""Tables as spreadsheets and other tools write them: rows of named values, read one by one."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from punks.errors import BatchError, PunkError, RecipeError, wrong
from punks.fields import parse_value
from punks.request import ALIASES, FIELDS

Row = dict[str, Any]
SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json")
_DELIMITERS = ",;\t|"
_NO_TEXT = "not a text table; save it as CSV UTF-8"
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def rows_of(path: Path) -> Iterator[Row | PunkError]:
    """The rows of a table, or what is wrong with one of them.

    .csv, .tsv: separated by commas, semicolons, tabs or bars; the first row has the names. .jsonl, .ndjson: a JSON
    object a line. .json: an array of objects. .txt: a prompt a line; # begins a comment. Raises RecipeError for another
    suffix, BatchError where no row can be read.
    """
    readers: dict[str, Callable[[Path], Iterator[Row | PunkError]]] = {
        ".csv": _csv,
        ".tsv": _csv,
        ".txt": _prompts,
        ".json": _array,
    }
    if path.suffix.lower() not in SUFFIXES:
        raise RecipeError("JOBS", str(path), f"use a {', '.join(SUFFIXES)} file, or a prompt as --prompt")
    return _read(path, readers.get(path.suffix.lower(), _lines))


def _read(path: Path, reader: Callable[[Path], Iterator[Row | PunkError]]) -> Iterator[Row | PunkError]:
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:  # in UTF-16
        raise BatchError(f"{path}: {_NO_TEXT}") from error


def named(name: str) -> str:
    """A column's name as fields are called: `Negative Prompt` is negative_prompt, `Steps` num_inference_steps."""
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    return ALIASES.get(plain, plain)


def once(names: Iterable[str], where: str) -> None:
    """Raises BatchError for a name that is there twice."""
    seen: set[str] = set()
    for name in filter(None, names):
        if name in seen:
            raise BatchError(f"{where}: duplicate column {name!r}")
        seen.add(name)


def _csv(path: Path) -> Iterator[Row | PunkError]:
    with _opened(path) as file:
        first = file.readline()
        delimiter = match[1] if (match := re.fullmatch(r"\s*sep=(.)\s*", first)) else None
        if delimiter is None:
            bare = re.sub(r'"[^"]*"', "", first)
            delimiter = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=bare.count)
            file.seek(0)
        reader, begin = csv.reader(file, delimiter=delimiter, strict=True), 1
        names: list[str] | None = None
        try:
            for cells in reader:
                begin = reader.line_num + 1
                if not any(cell.strip() for cell in cells):
                    continue
                if names is None:
                    names = [named(cell) for cell in cells]
                    once(names, str(path))
                    continue
                yield _row(names, cells)
        except csv.Error as error:
            raise BatchError(
                f"{path}: the row that begins in line {begin} is not valid CSV ({error}); "
                'close every quote, and write a quote inside a text twice ("")'
            ) from error


def _row(names: list[str], cells: list[str]) -> Row | PunkError:
    extra = [cell for cell in cells[len(names) :] if cell.strip()]
    extra += [cell for name, cell in zip(names, cells, strict=False) if not name and cell.strip()]
    if extra:
        return RecipeError("row", extra, "it has more cells than there are columns; quote a text with commas in it")
    if any(0xDC80 <= ord(letter) <= 0xDCFF for cell in cells for letter in cell):
        return BatchError("row: not UTF-8; save the table as CSV UTF-8")
    try:
        return {name: _value(name, cell) for name, cell in zip(names, cells, strict=False) if name and cell.strip()}
    except RecipeError as error:
        return error


def _value(name: str, text: str) -> Any:
    return text if name not in FIELDS else parse_value(FIELDS[name], text)


def _prompts(path: Path) -> Iterator[Row | PunkError]:
    with _opened(path) as file:
        yield from (_row(["prompt"], [line.strip()]) for line in file if line.strip() and line[0] != "#")


def _lines(path: Path) -> Iterator[Row | PunkError]:
    with _opened(path) as file:
        for line in file:
            if line.strip():
                yield _object(line.strip())


def _array(path: Path) -> Iterator[Row | PunkError]:
    with _opened(path) as file:
        try:
            values: Any = json.load(file, object_pairs_hook=_pairs)
        except BatchError:
            raise
        except (ValueError, RecursionError) as error:
            raise BatchError(f"{path}: not valid JSON ({wrong(error)})") from error
    if not isinstance(values, list):
        raise BatchError(f"{path}: use a JSON array of objects")
    for value in cast("list[Any]", values):
        yield _checked(value)


def _object(text: str) -> Row | PunkError:
    try:
        return _checked(json.loads(text, object_pairs_hook=_pairs))
    except BatchError as error:
        return error
    except (ValueError, RecursionError) as error:
        return RecipeError("row", text, f"it is not JSON ({wrong(error)})")


def _checked(value: Any) -> Row | PunkError:
    if isinstance(value, str):
        return {"prompt": value}
    if not isinstance(value, dict):
        return RecipeError("row", value, "use a JSON object of fields")
    return {named(str(name)): one for name, one in cast("dict[Any, Any]", value).items()}


def _pairs(pairs: list[tuple[str, Any]]) -> Row:
    once([named(name) for name, _ in pairs], "row")
    return dict(pairs)


def _opened(path: Path) -> IO[str]:
    """The text of a file; bytes that are not UTF-8 become lone surrogates, which spoil their own row only."""
    try:
        with path.open("rb") as raw:
            start = raw.read(64)
            encoding = next((name for bom, name in _BOMS.items() if start.startswith(bom)), "utf-8")
            # a spreadsheet's own file, UTF-32, UTF-16 without a mark
            if start[2:4] == b"\0\0" or (encoding != "utf-16" and b"\0" in start):
                raise BatchError(f"{path}: {_NO_TEXT}")
        errors = "strict" if encoding == "utf-16" else "surrogateescape"
        return path.open(encoding=encoding, errors=errors, newline="")
    except OSError as error:
        raise BatchError(f"{path}: cannot be read ({error.strerror or error})") from error
