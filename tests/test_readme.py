"""What the README says is there: commands parse, scripts and linked files exist, tables agree with the registry."""

import re
import shlex

import pytest

from punks.cli import make_parser
from punks.variants import VARIANTS
from tests.support import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines() if line]


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_ones_that_exist(line: str):
    words = shlex.split(line, comments=True)
    if words[0] == "punks":
        if "--help" not in words:
            make_parser().parse_args(words[1:])
    elif words[0].startswith("script/"):
        assert (ROOT / words[0]).stat().st_mode & 0o111
        if words[0] == "script/generate":
            make_parser().parse_args(["generate", *words[1:]])
        elif words[0] == "script/serve":
            make_parser().parse_args(["serve", *words[1:]])
        elif words[0] == "script/download-weights":
            make_parser().parse_args(["weights", "--fetch", *words[1:]])


def test_there_are_commands():
    assert sum(line.startswith("script/") for line in COMMANDS) >= 3
    assert sum(line.startswith("punks ") for line in COMMANDS) >= 6


@pytest.mark.parametrize("name", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_linked_files_exist(name: str):
    assert (ROOT / name).exists()


def test_every_variant_is_in_the_table():
    rows = re.findall(r"^\| `([\w-]+)` \|", README, re.MULTILINE)
    assert rows == [name for name in VARIANTS if not name.startswith("tiny")]


def test_it_stays_short():
    assert len(README.splitlines()) < 170
