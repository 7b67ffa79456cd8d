"""What the files around the code say of each other: versions are pinned, and CI tests those that are supported."""

import re
import tomllib

import yaml

from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(file: str) -> dict[str, str]:
    """The version of each package that the file pins."""
    found = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / file).read_text(), re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def test_a_checkout_pins_every_package_that_it_asks_for():
    asked = [*PROJECT["dependencies"], *(one for extra in PROJECT["optional-dependencies"].values() for one in extra)]
    names = {re.split(r"[\[<>=; ]", one)[0].lower().replace("_", "-") for one in asked} - {"punks"}
    assert names - pins("constraints.txt").keys() == set()


def test_the_image_has_the_versions_of_a_checkout_but_for_torch():
    image, checkout = pins("requirements.txt"), pins("constraints.txt")
    assert {name for name, version in image.items() if checkout.get(name) != version} <= {"torch"}


def test_ci_runs_the_oldest_and_the_newest_python_and_the_torch_of_the_image():
    rows = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())["jobs"]["check"]["strategy"]["matrix"]
    tested = {(row["python"], row["torch"]) for row in rows["include"]}
    pythons = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if "Python :: 3." in one]
    image = yaml.safe_load((ROOT / "cog.yaml").read_text())["build"]["python_version"]
    assert {(pythons[0], "newest"), (pythons[-1], "newest"), (image, "of the image")} <= tested


def test_the_changelog_describes_this_version():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert PROJECT["version"] in headings
    numbers = [[int(part) for part in heading.split(".")] for heading in headings if heading != "Unreleased"]
    assert numbers == sorted(numbers, reverse=True)
