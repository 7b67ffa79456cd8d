"""Collections: exact quotas whatever the seed and the rules, metadata as ERC-721 has it, rarity by its formula."""

import itertools
import json
import math
import tomllib
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.batch_folder import write_folder
from punks.batch.collection import settle as module
from punks.batch.collection.draw import NONE, Collection
from punks.batch.collection.file import parse_collection, read_collection
from punks.batch.collection.quotas import quotas
from punks.batch.manifest import entries
from punks.batch.run import run
from punks.errors import BatchError, PunkError, RecipeError
from punks.palette import background_color
from punks.report.metadata import metadata, rarity, rarity_table, write_metadata
from punks.report.show import show
from punks.request import divide
from tests.support import ROOT
from tests.support.batches import batch
from tests.support.drawn import Drawn

NIGHT = """
count = 200
seed = 7
name = "Night Watch #{number}"
image = "ipfs://CID/"

[traits.subject]
lady = 1
lad = 1

[traits.hair.colour]
red = 3
black = 1

[traits.hair.style]
long = 60
afro = 40

[traits.background]
blue = 99.5
gold = 0.5

[traits.wear.headwear]
none = 80
"top hat" = 15
"gold crown" = 5

[traits.wear.face]
none = 3
beard = 1

[[rules]]
when = { subject = "lady" }
never = { face = "beard" }

[[rules]]
when = { headwear = ["top hat", "gold crown"] }
always = { "hair style" = "long" }

[[rules]]
when = { headwear = "gold crown", subject = "lad" }
never = { "hair colour" = "red" }
"""


@pytest.fixture
def night(tmp_path: Path) -> Collection:
    path = tmp_path / "night.toml"
    path.write_text(NIGHT, "utf-8")
    return read_collection(path)


def table(types: dict[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"count": 10, "traits": {"subject": {"lady": 1}, "wear": types}, **more}


weights = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.one_of(st.integers(1, 1000), st.fractions(min_value=Fraction(1, 1000), max_value=1000)).map(Fraction),
    min_size=1,
    max_size=8,
)


@given(weights, st.integers(1, 5000))
@settings(deadline=None)
def test_quotas_are_the_shares_rounded_up_or_down_and_add_up(given: dict[str, Fraction], count: int) -> None:
    found = quotas(given, count)
    assert sum(found.values()) == count
    total = sum(given.values())
    shares = {value: count * weight / total for value, weight in given.items()}
    for value, number in found.items():
        assert number in (math.floor(shares[value]), math.ceil(shares[value]))
    assert all(number <= quotas(given, count + 1)[value] for value, number in found.items())


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_weights_that_add_up_to_the_count_are_the_counts(numbers: list[int]) -> None:
    given = {str(at): Fraction(number) for at, number in enumerate(numbers)}
    assert list(quotas(given, sum(numbers)).values()) == numbers


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_the_draw_is_exact_and_keeps_every_rule_with_any_seed(seed: int) -> None:
    made = parse_collection(tomllib.loads(NIGHT.replace("99.5", "199").replace("0.5", "1")) | {"seed": seed})
    columns = made.draw()
    assert Counter(columns["subject"]) == {"lady": 100, "lad": 100}
    assert Counter(columns["hair colour"]) == {"red": 150, "black": 50}
    assert Counter(columns["background"]) == {"blue": 199, "gold": 1}
    assert Counter(columns["headwear"]) == {NONE: 160, "top hat": 30, "gold crown": 10}
    assert Counter(columns["face"]) == {NONE: 150, "beard": 50}
    for row in range(200):
        punk = {name: column[row] for name, column in columns.items()}
        assert not (punk["subject"] == "lady" and punk["face"] == "beard")
        assert punk["headwear"] == NONE or punk["hair style"] == "long"
        assert not (punk["headwear"] == "gold crown" and punk["subject"] == "lad" and punk["hair colour"] == "red")


def test_a_seed_decides_the_draw_and_another_type_leaves_it_alone() -> None:
    types: dict[str, dict[str, Any]] = {"hat": {"fedora": 3, "none": 7}, "chain": {"gold chain": 5, "none": 5}}
    columns = parse_collection(table(types, seed=3)).draw()
    assert columns == parse_collection(table(types, seed=3)).draw()
    assert columns != parse_collection(table(types, seed=4)).draw()
    more = parse_collection(table(types | {"joint": {"joint": 1, "none": 1}}, seed=3)).draw()
    assert {name: more[name] for name in columns} == columns
    # the same on every version of Python, or collections could not be drawn again
    assert [row for row, hat in enumerate(columns["hat"]) if hat == "fedora"] == [1, 5, 6]


values = st.lists(st.sampled_from(["p", "q", "r"]), min_size=1, max_size=2)


@st.composite
def rules(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, list[str]], bool]:
    one, other, *rest = draw(st.permutations(["a", "b", "c"]))
    when, then = {one: draw(values)}, {other: draw(values)}
    if draw(st.booleans()):
        draw(st.sampled_from([when, then]))[rest[0]] = draw(values)
    return when, then, draw(st.booleans())


small = st.fixed_dictionaries(
    {
        "count": st.integers(1, 4),
        "types": st.fixed_dictionaries({name: st.lists(st.integers(1, 3), min_size=3, max_size=3) for name in "abc"}),
        "rules": st.lists(rules(), min_size=1, max_size=3),
    }
)


@given(small)
@settings(max_examples=150, deadline=None)
def test_an_arrangement_is_found_where_there_is_one(case: dict[str, Any]) -> None:
    """Every arrangement of small collections is tried: the draw finds one if there is one, and else says so."""
    types = {name: dict(zip("pqr", case["types"][name], strict=True)) for name in "abc"}
    rules = [{"when": when, "always" if always else "never": then} for when, then, always in case["rules"]]
    made = parse_collection(table(types, rules=rules) | {"count": case["count"]})
    bags = [[v for v, n in quotas(one.weights, made.count).items() for _ in range(n)] for one in made.types[1:]]

    def holds(columns: tuple[tuple[str, ...], ...]) -> bool:
        rows = [dict(zip("abc", row, strict=True)) for row in zip(*columns, strict=True)]
        for when, then, always in case["rules"]:
            for row in rows:
                if all(row[name] in values for name, values in when.items()):
                    matched = all(row[name] in values for name, values in then.items())
                    if matched != always:
                        return False
        return True

    orders = [set(itertools.permutations(bag)) for bag in bags[1:]]
    possible = any(holds((tuple(bags[0]), *others)) for others in itertools.product(*orders))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TRIES", 5000)
        if not possible:
            with pytest.raises(BatchError, match="rule"):
                made.draw()
            return
        columns = made.draw()
    assert holds(tuple(tuple(columns[name]) for name in "abc"))
    assert [sorted(columns[name]) for name in "abc"] == [sorted(bag) for bag in bags]


def test_rules_without_any_slack_are_kept() -> None:
    half = {"p": 1, "none": 1}
    rules = [{"when": {"a": "p"}, "always": {"b": "p"}}, {"when": {"b": "p"}, "always": {"c": "p"}}]
    columns = parse_collection(table({"a": half, "b": half, "c": half}, rules=rules) | {"count": 300}).draw()
    assert columns["a"] == columns["b"] == columns["c"]
    assert columns["a"].count("p") == 150


def test_what_cannot_be_is_said_with_its_numbers() -> None:
    types: dict[str, dict[str, Any]] = {"hat": {"fedora": 6, "none": 4}, "chain": {"gold chain": 5, "none": 5}}
    rule = {"when": {"hat": "fedora"}, "never": {"chain": "gold chain"}}
    with pytest.raises(
        BatchError, match=r"rule 1 \(when hat fedora, never chain gold chain\) cannot hold: 6 of 10 .* only 5"
    ):
        parse_collection(table(types, rules=[rule])).draw()
    rule = {"when": {"hat": "fedora"}, "always": {"chain": "gold chain"}}
    with pytest.raises(BatchError, match="cannot hold: 6 of 10 punks have hat fedora, and only 5 of them may"):
        parse_collection(table(types, rules=[rule])).draw()


def test_jobs_have_the_caption_as_prompt_a_seed_each_and_their_traits(night: Collection) -> None:
    jobs = night.jobs({"variant": "demo", "num_inference_steps": 4})
    first = list(jobs)
    assert len(jobs) == len(first) == 200
    assert [job.number for job in first] == list(range(1, 201))
    assert [job.recipe.seed for job in first if job.recipe] == list(range(7, 207))
    assert list(jobs) == first
    for job in first:
        assert job.recipe
        drawn = jobs.values(job.number)
        assert job.recipe.variant == "demo"
        assert job.recipe.num_inference_steps == 4
        assert job.finish.background_rgb == background_color(drawn["background"])
        tags = job.recipe.prompt.split(", ")
        assert tags[0] == f"portrait of bespoke punk {drawn['subject']}"
        style = {"long": "long hair", "afro": "afro"}[drawn["hair style"]]
        assert tags[1] == f"{drawn['hair colour']} {style}"
        assert tags[-1] == f"{drawn['background']} solid background"
        worn = [f"wearing {drawn['headwear']}", drawn["face"]]
        assert tags[2:-1] == [tag for tag in worn if not tag.endswith(NONE)]
    with pytest.raises(RecipeError, match="palete"):
        night.jobs({"palete": "auto"})


def test_count_and_seed_can_be_given_anew(tmp_path: Path) -> None:
    path = tmp_path / "night.toml"
    path.write_text("\ufeff" + NIGHT, "utf-8")  # as Windows' editors begin a file
    made = read_collection(path, count=40, seed=9)
    assert (made.count, made.seed) == (40, 9)
    assert Counter(made.draw()["headwear"]) == {NONE: 32, "top hat": 6, "gold crown": 2}


def test_the_example_is_drawn_as_it_stands() -> None:
    made = read_collection(ROOT / "examples" / "collection.toml")
    jobs = made.jobs({})
    assert jobs.notices() == []
    for one in made.types:
        assert Counter(jobs.columns[one.name]) == quotas(one.weights, 1000)


def test_expression_and_lips_are_drawn_told_and_shown(tmp_path: Path) -> None:
    words = {"expression": {"neutral": 1, "slight smile": 1}, "lips": {"red": 1, "none": 1}}
    values = {"count": 4, "unique_traits": True, "traits": {"subject": {"lady": 1}, **words}}
    jobs = parse_collection(values).jobs({"variant": "demo"})
    ends = {"neutral expression", "slight smile", "neutral expression, red lips", "slight smile, red lips"}
    prompts = {job.recipe.prompt for job in jobs if job.recipe}
    assert prompts == {f"portrait of bespoke punk lady, {end}" for end in ends}
    assert jobs.notices() == []
    run(jobs, tmp_path, Drawn())
    show(tmp_path, jobs)
    found = [json.loads((tmp_path / f"metadata/{at}.json").read_text("utf-8")) for at in range(1, 5)]
    assert {one["trait_type"] for each in found for one in each["attributes"]} == {"subject", "expression", "lips"}
    report = json.loads((tmp_path / "rarity.json").read_text("utf-8"))
    assert report["traits"]["expression"]["slight smile"]["count"] == 2


def test_slips_and_values_that_nobody_gets_are_noticed() -> None:
    made = parse_collection(table({"hat": {"bandanna": 1, "none": 1}, "eyewear": {"glasses": 1, "none": 999}}))
    assert [line.split(";")[0] for line in made.jobs({}).notices()] == [
        "traits.wear: 'bandanna' is not in the training captions",
        "eyewear: none of 10 punks gets glasses",
    ]


HAT = {"hat": {"fedora": 1, "none": 1}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "count: 0 is not allowed; say how many punks: a whole number from 1 to"),
        ({"count": True}, "count: True"),
        ({"count": None}, "count: missing"),
        ({"seed": -1}, "seed: -1"),
        ({"cuont": 5}, "cuont: 5 is not allowed; did you mean count? there are count, seed"),
        ({"name": "Punk"}, "name: 'Punk' is not allowed; put {number} into it"),
        ({"image": 5}, "image: 5 is not allowed; use a text"),
        ({"traits": None}, "traits: missing; give a table for each trait"),
        ({"traits": {"hair": {"red": 1}}}, "traits.subject: missing; give weights to lady"),
        ({"traits": {"subject": {"cat": 1}}}, "traits.subject: 'cat' is not allowed; use lady and lad"),
        ({"traits": {"subject": {"lady": 1}, "hat": {"fedora": 1}}}, "traits.hat: {'fedora': 1} is not allowed; "),
        (
            {"traits": {"subject": {"lady": 1}, "eye": {"red": 1}}},
            "traits.eye: {'red': 1} is not allowed; did you mean eyes?",
        ),
        (
            {"traits": {"subject": {"lady": 1}, "hair": {}}},
            "traits.hair: {} is not allowed; give its values and their weights",
        ),
        ({"traits": {"subject": {"lady": 0}}}, "traits.subject.lady: 0 is not allowed; use a weight from 0.000001"),
        (
            {"traits": {"subject": {"lady": 1}, "hair": {"colour": {"red": "5"}}}},
            "traits.hair.colour.red: '5' is not allowed",
        ),
        (
            {"traits": {"subject": {"lady": 1}, "hair": {"colour": {"red": 5}, "long": 5}}},
            "traits.hair.colour: {'red': 5}",
        ),
        ({"traits": {"subject": {"lady": 1}, "eyes": {" ": 5}}}, "traits.eyes: ' ' is not allowed; use words"),
        (
            {"traits": {"subject": {"lady": 1}, "wear": {"eyes": {"a": 5}}, "eyes": {"b": 1}}},
            "traits: 'eyes' is not allowed; two",
        ),
        ({"rules": {"when": 1}}, "rules: {'when': 1} is not allowed; write each as [[rules]]"),
        (
            {"rules": [{"when": {"hat": "fedora"}}]},
            "rules[1]: {'when': {'hat': 'fedora'}} is not allowed; a rule has when",
        ),
        (
            {"rules": [{"when": {"hta": "fedora"}, "never": {"hat": "none"}}]},
            "rules[1].when.hta: 'fedora' is not allowed; did you mean hat?",
        ),
        (
            {"rules": [{"when": {"hat": "fez"}, "never": {"hat": "none"}}]},
            "rules[1].when.hat: 'fez' is not allowed; its values are fedora, none",
        ),
        ({"rules": [{"when": {"hat": []}, "never": {"hat": "none"}}]}, "rules[1].when.hat: missing"),
        ({"rules": [{"when": {"hat": [["fedora"]]}, "never": {"hat": "none"}}]}, "rules[1].when.hat: ['fedora']"),
        (
            {"rules": [{"when": {"hat": "fedora"}, "never": {"hat": "none"}}]},
            "rules[1]: 'hat' is not allowed; a trait stands on one side",
        ),
    ],
)
def test_bad_values_are_refused_with_key_value_and_what_is_allowed(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_collection(table(HAT) | change)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("content", [b"count = ", b"\xff", b"count = 3\n[traits.subject]\nlady = inf", b""])
def test_bad_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "traits.toml"
    path.write_bytes(content)
    with pytest.raises(PunkError):
        read_collection(path)
    with pytest.raises(BatchError, match=r"nothing\.toml: cannot be read"):
        read_collection(tmp_path / "nothing.toml")


def test_a_collection_is_painted_described_and_shown(tmp_path: Path, tiny_weights: Path) -> None:
    path, folder = tmp_path / "night.toml", tmp_path / "out"
    collection = ("--collection", path, "--seed", 3, "--background", "keep")
    path.write_text(NIGHT, "utf-8")
    ended = batch(*collection, "-n", 4, folder, weights=tiny_weights)
    assert ended.returncode == 0, ended.stderr
    assert "headwear: none of 4 punks gets gold crown; the weight is too small" in ended.stderr
    drawn = read_collection(path, 4, 3).jobs({"variant": "tiny"})
    for job, entry in zip(drawn, entries(folder), strict=True):
        recipe, finish = divide(entry["recipe"])
        assert job.recipe
        assert (job.recipe.traits, job.recipe.prompt, job.recipe.seed) == (recipe.traits, recipe.prompt, recipe.seed)
        assert finish.background == "keep"
        found = json.loads((folder / "metadata" / f"{job.number}.json").read_text("utf-8"))
        jsonschema.validate(found, ERC721)
        told = {one["trait_type"]: one["value"] for one in found["attributes"]}
        assert told == {name: value for name, value in drawn.values(job.number).items() if value != NONE}
    assert rarity_table(json.loads((folder / "rarity.json").read_text("utf-8"))) in ended.stdout
    for name in ("index.html", "sheet.png", "gallery/0001.js", "gallery/0001.webp"):
        assert (folder / name).stat().st_size > 0
    # another place for the pictures: new metadata, and nothing is painted again
    path.write_text(NIGHT.replace("ipfs://CID/", "https://example.com/"), "utf-8")
    ended = batch(*collection, "--count", 4, folder, weights=tiny_weights, device="none")
    assert ended.stdout.startswith(f"{folder}: 4 kept\n")
    assert json.loads((folder / "metadata" / "2.json").read_text("utf-8"))["image"] == "https://example.com/000002.png"


# https://eips.ethereum.org/EIPS/eip-721 "ERC721 Metadata JSON Schema"; attributes as marketplaces read them
ERC721: dict[str, Any] = {
    "type": "object",
    "required": ["name", "description", "image", "attributes"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "description": {"type": "string"},
        "image": {"type": "string", "format": "uri"},
        "attributes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["trait_type", "value"],
                "additionalProperties": False,
                "properties": {"trait_type": {"type": "string"}, "value": {"type": "string"}},
            },
        },
    },
}


def test_metadata_and_rarity_lie_in_the_folder(tmp_path: Path, night: Collection) -> None:
    write_folder(tmp_path, 12, images=False, failures=2)
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "201.json").write_text("{}")
    said = write_metadata(tmp_path, night, entries(tmp_path))
    files = {path.name for path in (tmp_path / "metadata").iterdir()}
    assert files == {"_metadata.json", *(f"{number}.json" for number in range(1, 13))}
    together = json.loads((tmp_path / "metadata" / "_metadata.json").read_text("utf-8"))
    assert together == [json.loads((tmp_path / "metadata" / f"{at}.json").read_text("utf-8")) for at in range(1, 13)]
    for entry in entries(tmp_path):
        if entry["status"] != "done":
            continue
        found = json.loads((tmp_path / "metadata" / f"{entry['job']}.json").read_text("utf-8"))
        jsonschema.validate(found, ERC721)
        assert found["name"] == f"Night Watch #{entry['job']}"
        assert found["image"] == f"ipfs://CID/{entry['name']}.png"
        told = {one["trait_type"]: one["value"] for one in found["attributes"]}
        assert told == {name: value for name, value in entry["traits"].items() if value != NONE}
        assert found == metadata(night, entry)
    report = json.loads((tmp_path / "rarity.json").read_text("utf-8"))
    assert report["count"] == 12
    assert said.endswith(rarity_table(report))
    assert "no provenance hash yet: 12 of 200 punks are done" in said
    assert said.splitlines()[-1].startswith(f"rarest: {report['punks'][0]['name']} (")


def test_what_a_larger_collection_left_is_said_and_not_shown(tmp_path: Path) -> None:
    small, large = tmp_path / "small" / "out", tmp_path / "large" / "out"
    (tmp_path / "night.toml").write_text(NIGHT, "utf-8")
    jobs = read_collection(tmp_path / "night.toml", 10).jobs({})
    write_folder(small, 10)
    write_folder(large, 12)
    assert "larger collection" not in show(small, jobs)
    said = show(large, jobs)
    assert f"000011 to 000012 are of a larger collection that was here before, in {large / 'images'} too" in said
    for name in ("sheet.png", "rarity.json", "gallery/0001.js", "gallery/0001.webp"):
        assert (small / name).read_bytes() == (large / name).read_bytes()


traits = st.dictionaries(st.sampled_from(["hat", "eyes", "hair"]), st.sampled_from(["a", "b", NONE]))


@given(st.lists(traits, min_size=1, max_size=30))
def test_rarity_is_its_formula(drawn: list[dict[str, str]]) -> None:
    punks = {str(at): one for at, one in enumerate(drawn)}
    report = rarity(punks)
    types = {name for one in drawn for name in one}
    for one in report["punks"]:
        mine = punks[one["name"]]
        shares = [sum(mine.get(t, NONE) == other.get(t, NONE) for other in drawn) / len(drawn) for t in types]
        assert one["score"] == pytest.approx(sum(1 / share for share in shares), abs=1e-4)
        rarer = sum(other["score"] > one["score"] for other in report["punks"])
        assert one["rank"] == rarer + 1
    assert [one["score"] for one in report["punks"]] == sorted((one["score"] for one in report["punks"]), reverse=True)
    for values in report["traits"].values():
        assert sum(found["count"] for found in values.values()) == len(drawn)
        assert sum(found["share"] for found in values.values()) == pytest.approx(1)


def test_the_table_shows_every_value_and_an_empty_one_none(night: Collection) -> None:
    jobs = night.jobs({})
    said = rarity_table(rarity({str(number): jobs.values(number) for number in range(1, 201)}))
    assert ["headwear", "none", "160", "80.00%"] in [line.split() for line in said.splitlines()]
    assert ["gold", "crown", "10", "5.00%"] in [line.split() for line in said.splitlines()]
    assert rarity_table(rarity({})).splitlines()[-1] == "rarest: none yet"
