import pytest

from punks.prompts import complete

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
