"""The generator of portraits: its known cells show its traits, and its captions keep to template and vocabulary."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.captions import ENDING, STYLE, Wording, prompt
from training.portraits import GRID, HATS, caption, draw, sample
from training.reading import PARTS, asked, pattern_gap, read, shows_pattern
from training.traits import BACKGROUNDS, EYES, LIPS, PATTERNS, SKIN, Traits, ramp

seeds = st.integers(0, 2**32 - 1)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_known_cells_show_their_traits(seed: int) -> None:
    traits = sample(rng(seed))
    portrait = draw(traits, rng(seed))
    assert portrait.cells.shape == (GRID, GRID, 3)
    assert portrait.cells.dtype == np.uint8
    covered = np.sum(list(portrait.masks.values()), axis=0)
    assert covered.max() == 1, "a cell shows one trait at most"
    if traits.pattern == "solid":
        assert np.all(portrait.cells[portrait.masks["background"]] == BACKGROUNDS[traits.background])
    tones = ramp(SKIN[traits.skin])
    face = portrait.cells[portrait.masks["skin"]]
    assert np.mean((face[:, None] == tones[None]).all(-1).any(-1)) > 0.8
    if traits.glasses is None:
        for side in ("left eye", "right eye"):
            assert (portrait.cells[portrait.masks[side]] == EYES[traits.eyes]).all(-1).any()
    for part in ("glasses", "earrings", "necklace", "beard"):
        assert (part in portrait.masks) == bool(getattr(traits, part))
    assert portrait.masks.get("hat", np.zeros(1)).any() == (traits.hat is not None)


def test_the_same_seed_draws_the_same_portrait_and_another_one_another() -> None:
    traits = sample(rng(1))
    assert np.array_equal(draw(traits, rng(2)).cells, draw(traits, rng(2)).cells)
    different = {draw(traits, rng(seed)).cells.tobytes() for seed in range(256)}
    assert len(different) >= 200


def test_portraits_have_as_many_colors_as_the_hand_made_ones() -> None:
    counts = [len(np.unique(draw(sample(rng(s)), rng(s)).cells.reshape(-1, 3), axis=0)) for s in range(200)]
    assert 15 <= np.median(counts) <= 25
    assert max(counts) <= 40


def test_the_reader_agrees_with_the_generator() -> None:
    names = ("background", "skin", "eyes", "hair", "lips", "smile", *PARTS)
    right: dict[str, list[bool]] = {name: [] for name in names}
    for seed in range(10_000, 10_016):
        traits = sample(rng(seed))
        found = read(draw(traits, rng(seed)).cells, traits)
        if found.background is not None:
            right["background"].append(found.background < 1)
        right["skin"].append(found.skin)
        right["eyes"] += [] if found.eyes is None else [found.eyes]
        right["hair"] += [] if found.hair is None else [found.hair]
        right["lips"] += [] if found.lips is None else [found.lips]
        right["smile"].append(found.smile == traits.smile)
        for part in PARTS:
            right[part].append(found.parts[part] == asked(traits, part))
    for name, results in right.items():
        assert np.mean(results) >= 0.9, (name, np.mean(results))


@pytest.mark.parametrize("second", [None, "pink"])
def test_a_pattern_is_told_from_others_and_from_patches(second: str | None) -> None:
    traits = replace(sample(rng(3)), background="teal", second=second)
    drawn = {name: draw(replace(traits, pattern=name), rng(0)).cells for name in PATTERNS}
    blocks = rng(1).random((8, 8, 1)).repeat(3, 0).repeat(3, 1) < 0.5
    patches = np.where(blocks, drawn["split"][0, 0], drawn["split"][0, -1])
    for wanted in PATTERNS[1:]:
        asked_for = replace(traits, pattern=wanted)
        assert [name for name, cells in drawn.items() if shows_pattern(cells, asked_for)] == [wanted]
        assert pattern_gap(drawn[wanted], asked_for) < 1
        assert not shows_pattern(patches, asked_for)


def test_lips_are_read_by_their_color() -> None:
    traits = replace(sample(rng(3)), kind="lady", beard=None, joint=False)
    for smile in (False, True):
        for name, other in itertools.pairwise([*LIPS, "red"]):
            asked_for = replace(traits, lips=name, smile=smile)
            assert read(draw(asked_for, rng(0)).cells, asked_for).lips
            assert not read(draw(replace(asked_for, lips=other), rng(0)).cells, asked_for).lips


def test_a_shade_beside_the_skin_is_read_as_that_skin() -> None:
    for seed in range(8):
        traits = sample(rng(seed))
        cells = draw(traits, rng(seed)).cells
        darker = np.clip(cells.astype(int) - 10, 0, 255).astype(np.uint8)
        assert read(darker, traits).skin


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_a_caption_keeps_its_first_two_tags_and_names_what_is_drawn(seed: int) -> None:
    traits = sample(rng(seed))
    tags = caption(traits, rng(seed), Wording(drop=0, sparse=0, loose=0)).split(", ")
    assert tuple(tags[:2]) == STYLE
    assert sorted(set(tags) - set(ENDING)) == sorted(set(prompt(traits).split(", ")) - set(ENDING))


def test_the_prompt_follows_the_owners_template() -> None:
    traits = Traits(
        kind="lady", hair="curly", hair_color="red", eyes="brown", skin="light", background="teal", hat="gold crown"
    )
    assert "slight smile, dark red lips, brown eyes" in prompt(replace(traits, smile=True, lips="dark red"))
    assert prompt(traits) == (
        "pixel art, 24x24, portrait of bespoke punk lady, red curly hair, wearing gold crown, neutral expression, "
        "brown eyes, light skin, teal solid background, black shirt, "
        "sharp pixel edges, hard color borders, retro pixel art style"
    )
    assert "teal background (#148a8c)" in prompt(traits, BACKGROUNDS["teal"])


def test_captions_can_be_long_and_can_leave_the_style_out() -> None:
    traits = sample(rng(5))
    long = [caption(traits, rng(seed), Wording(long=1, sparse=0)) for seed in range(20)]
    assert all(len(text.split()) > 55 for text in long)
    plain = caption(traits, rng(5), Wording(style=0))
    assert not any(word in plain for word in (*STYLE, *ENDING, "punk"))


@pytest.mark.parametrize("hat", HATS)
def test_a_hat_leaves_the_eyes_free(hat: str) -> None:
    traits = Traits(kind="lad", hair="afro", hair_color="red", eyes="blue", skin="dark", background="pink", hat=hat)
    for seed in range(20):
        masks = draw(traits, rng(seed)).masks
        assert masks["left eye"][11, 9]
        assert masks["right eye"][11, 13]
