"""Traits become captions in the training's words and order; slips are named, never repaired."""

from typing import Any

import numpy as np
import pytest

from punks.errors import RecipeError
from punks.prompts import complete
from punks.traits import Traits
from punks.vocabulary import COLORS, TRAITS
from training.captions import prompt
from training.portraits import sample
from training.traits import BACKGROUNDS


def lady(**fields: Any) -> Traits:
    return Traits(**({"subject": "lady"} | fields))


def test_the_caption_follows_the_owners_template():
    traits = lady(
        hair="red, curly",
        expression="neutral",
        lips="red",
        eyes="green",
        skin="light",
        background="teal",
        wear=("gold crown", "golden earrings", "beard"),
    )
    assert complete(traits.caption()) == (
        "pixel art, 24x24, portrait of bespoke punk lady, red curly hair, wearing gold crown, wearing golden earrings, "
        "beard, neutral expression, red lips, green eyes, light skin, teal solid background, sharp pixel edges, "
        "hard color borders, retro pixel art style"
    )


def test_the_words_are_those_that_the_demo_was_trained_with():
    """Every tag of a caption from traits is a tag of the generator's caption, in its order."""
    for seed in range(200):
        one = sample(np.random.default_rng([77, seed]))
        tags = prompt(one).split(", ")
        worn = [tag.removeprefix("wearing ") for tag in tags if tag.startswith("wearing ")]
        worn += [{"stubble": "stubble"}.get(one.beard, one.beard)] if one.beard else []
        worn += ["joint"] if one.joint else []
        both = f"{one.background} and {one.second}" if one.second else one.background
        built = Traits(
            subject=one.kind,
            hair="bald" if one.hair == "bald" else f"{one.hair_color}, {one.hair}",
            expression="slight smile" if one.smile else "neutral",
            lips=one.lips,
            eyes=one.eyes,
            skin=one.skin,
            background=both if one.pattern == "solid" else f"{both} {one.pattern}",
            wear=tuple(worn),
        )
        ours = complete(built.caption()).split(", ")
        assert [tag for tag in tags if tag in ours] == ours
        assert built.warnings() == []


@pytest.mark.parametrize(
    ("field", "words", "tag"),
    [
        ("hair", "afro, black", "black afro"),
        ("hair", "bald", "bald"),
        ("hair", "long silver hair", "long silver hair"),
        ("expression", "neutral", "neutral expression"),
        ("expression", "slight smile", "slight smile"),
        ("expression", "smile", "smile"),
        ("expression", "surprised expression", "surprised expression"),
        ("lips", "dark red", "dark red lips"),
        ("eyes", "hazel eyes", "hazel eyes"),
        ("background", "blue checkered", "blue checkered background"),
        ("background", "bright lime background", "bright lime background"),
        ("background", "#6AE745", "bright neon green background (#6ae745)"),
        ("background", "sea green (#2e8b57)", "sea green background (#2e8b57)"),
    ],
)
def test_words_become_one_tag(field: str, words: str, tag: str):
    assert lady(**{field: words}).caption() == f"portrait of bespoke punk lady, {tag}"


def test_a_training_color_s_own_code_gets_its_name():
    for name, tone in BACKGROUNDS.items():
        assert lady(background="#{:02x}{:02x}{:02x}".format(*tone)).caption().split(", ")[1].startswith(f"{name} back")
    assert list(COLORS) == list(BACKGROUNDS)


@pytest.mark.parametrize(
    ("field", "slip", "near"),
    [
        ("hair", "blond, curly", "blonde"),
        ("eyes", "gren", "green"),
        ("expression", "nuetral", "neutral"),
        ("expression", "slight smlie", "slight smile"),
        ("lips", "purpel", "purple"),
        ("skin", "ligth", "light"),
        ("background", "tael", "teal"),
        ("wear", "bandanna", "bandana"),
        ("wear", "base ball cap", "baseball cap"),
    ],
)
def test_a_near_miss_is_suggested_and_not_repaired(field: str, slip: str, near: str):
    traits = lady(**{field: (slip,) if field == "wear" else slip})
    (notice,) = traits.warnings()
    assert notice.startswith(f"traits.{field}: ")
    assert f"is not in the training captions; did you mean {near!r}?" in notice
    assert slip.split(",")[0] in traits.caption()


def test_free_words_and_the_whole_vocabulary_pass_without_a_word():
    free = lady(
        hair="silver mullet",
        expression="grin",
        lips="teal",
        eyes="violet",
        skin="olive",
        background="a sunset",
        wear=("jetpack", "red fedora"),
    )
    assert free.warnings() == []
    for field, words in TRAITS.items():
        for word in words:
            traits = Traits(**({"subject": "lad"} | {field: (word,) if field == "wear" else word}))
            assert traits.warnings() == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "traits.subject: missing; use lady or lad"),
        ({"subject": "cat"}, "traits.subject: 'cat' is not allowed; use lady or lad"),
        ({"subject": "lady", "haar": "red"}, "traits.haar: 'red' is not allowed; traits are subject, hair, "),
        ({"subject": "lady", "hair": 3}, "traits.hair: 3 is not allowed; use words"),
        ({"subject": "lady", "eyes": " "}, "traits.eyes: ' ' is not allowed; use words"),
        *(({"subject": "lady", "background": one}, f"traits.background: {one!r} is not allowed") for one in ",;()"),
        ({"subject": "lady", "skin": "x" * 201}, "traits.skin: '201 characters' is not allowed; use at most 200"),
        ({"subject": "lady", "skin": "a\0b"}, "traits.skin: 'a\\x00b' is not allowed"),
        ({"subject": "lady", "wear": {"hat": 1}}, "traits.wear: {'hat': 1} is not allowed; use a list"),
        ({"subject": "lady", "wear": ["hat", None]}, "traits.wear: missing; use words"),
    ],
)
def test_bad_traits_are_refused_by_the_name_of_the_field(values: dict[str, Any], message: str):
    with pytest.raises(RecipeError) as caught:
        Traits.from_dict(values)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("text", ["{", "[]", "3", "lady"])
def test_what_is_no_json_object_is_refused(text: str):
    with pytest.raises(RecipeError, match="traits: "):
        Traits.of(text)


def test_worn_things_are_a_list_or_a_text_with_commas():
    listed = Traits.of('{"subject": "lad", "wear": ["gold chain", "beard"]}')
    assert listed == Traits.from_dict({"subject": "lad", "wear": "gold chain, beard"})
    assert listed.caption() == "portrait of bespoke punk lad, wearing gold chain, beard"


def test_none_in_any_case_is_no_trait():
    given = {"subject": "lad", "hair": "None", "wear": ["NONE", "gold crown"], "eyes": " none "}
    assert Traits.from_dict(given) == Traits(subject="lad", wear=("gold crown",))
    assert Traits.from_dict({"subject": "lad", "wear": "None"}) == Traits(subject="lad")
    with pytest.raises(RecipeError, match=r"traits\.subject"):
        Traits.from_dict({"subject": "none"})
