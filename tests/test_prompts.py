import pytest

from punks import Recipe
from punks.batch.jobs import prompt_jobs
from punks.errors import RecipeError
from punks.prompts import Choices, complete, drawn, literal

FULL = (
    "pixel art, 24x24, portrait of bespoke punk lady, red hair, green eyes, light skin, blue solid background, "
    "sharp pixel edges, hard color borders, retro pixel art style"
)


@pytest.mark.parametrize(
    "bare",
    [
        "portrait of bespoke punk lady, red hair, green eyes, light skin, blue solid background",
        "lady, red hair, green eyes, light skin, blue solid background",
        "Lady, red hair, green eyes, light skin, blue solid background.",
        "a portrait of a lady, red hair, green eyes, light skin, blue solid background, ",
        "pixel art, portrait of bespoke punk lady, red hair, green eyes, light skin, blue solid background",
    ],
)
def test_a_bare_description_becomes_a_training_caption(bare: str):
    assert complete(bare) == FULL


def test_a_complete_prompt_is_left_alone():
    for prompt in (FULL, FULL.upper(), f" {FULL} "):
        assert complete(prompt) == prompt


@pytest.mark.parametrize(
    "prompt", ["a cat", "ladybird on a hat", "lad", "bespoke punk lad with a retro pixel art style"]
)
def test_completing_twice_is_completing_once(prompt: str):
    once = complete(prompt)
    assert complete(once) == once
    for words in (
        "pixel art",
        "24x24",
        "bespoke punk",
        "sharp pixel edges",
        "hard color borders",
        "retro pixel art style",
    ):
        assert words in once


def test_other_subjects_keep_their_words():
    assert ", portrait of bespoke punk, ladybird on a hat, " in complete("ladybird on a hat")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "lady, <lora:pixel:0.8>, red hair",
            ["prompt: <lora:pixel:0.8> is painted as text; name a LoRA"],
        ),
        (
            "lady, (red hair:1.3), ((sharp))",
            ["prompt: (red hair:1.3) is painted as text", "((sharp))"],
        ),
        (
            "lady, [red|blue] hair, [hat:0.5]",
            ["prompt: [red|blue] is painted as text", "[hat:0.5]"],
        ),
        ("lady, __hair/colors__", ["prompt: __hair/colors__ is painted as text; there are no wildcard files"]),
        ("{lady}, red hair", ["prompt: {lady} is painted as text; choices have a |"]),
        ("lady, red hair (curly), 1:2, a_b, 24x24, <3, it's 5 < 6", []),
    ],
)
def test_habits_of_other_programs_are_warned_of(text: str, said: list[str]):
    found = literal("prompt", text)
    assert len(found) == len(said)
    assert all(words in line for words, line in zip(said, found, strict=True))
    assert [line for line in Recipe(prompt=text, seed=1).warnings() if "painted as text" in line] == found


def test_choices_are_drawn_as_in_a_batch():
    recipes = Recipe(prompt="{lady|lad}, {red|blue|no} hair", seed=5, variant="tiny").outputs(40, draw=True)
    jobs = prompt_jobs("{lady|lad}, {red|blue|no} hair", 40, {"variant": "tiny"}, seed=5)
    assert recipes == [job.recipe for job in jobs]
    assert len({one.prompt for one in recipes}) == 6
    three = Recipe(prompt="{lady|lad}", seed=1, vary=0.2).outputs(3, draw=True)
    assert len({one.prompt for one in three}) == 1
    assert Recipe(prompt="{lady|lad}", seed=1).outputs(2)[0].prompt == "{lady|lad}"  # a recipe that was painted so
    assert drawn("a {b} c", 0, 0) == "a {b} c"
    with pytest.raises(RecipeError, match="braces hold choices"):
        drawn("{a|{b|c}}", 0, 0)


def test_weights_of_choices():
    choices = Choices("{3::red|blue} {0.5::a|b} {0::x|y} 1::2")
    found = [choices.drawn(0, number).split(" ") for number in range(2000)]
    assert sum(one[0] == "red" for one in found) / 2000 == pytest.approx(3 / 4, abs=0.03)
    assert sum(one[1] == "a" for one in found) / 2000 == pytest.approx(1 / 3, abs=0.03)
    assert {one[2] for one in found} == {"y"}
    assert choices.combinations == 8
    assert choices.combination(0) == "red a x 1::2"
    with pytest.raises(RecipeError, match="needs a weight above 0"):
        Choices("{0::a|0::b}")
