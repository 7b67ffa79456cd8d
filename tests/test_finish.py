import pytest

from punks import Finish, Palette, Recipe
from punks.errors import RecipeError

LADY = Recipe(traits={"subject": "lady", "eyes": "green eyes", "background": "teal"}, seed=1)  # pyright: ignore


def test_what_is_not_given_follows_the_traits():
    assert Finish().of(LADY) == Finish(background="teal", eyes="green")
    assert Finish(background="keep", eyes="blue").of(LADY) == Finish(background="keep", eyes="blue")
    assert Finish().of(Recipe(prompt="lady, teal background", seed=1)) == Finish(background="keep", eyes="keep")
    assert Finish().of(None) == Finish(background="keep", eyes="keep")


def test_values_are_stored_in_one_form():
    finish = Finish(palette="#fff, Teal,#FFFFFF", background="dark blue solid background", eyes="grey")
    assert (str(finish.palette), finish.background, finish.eyes) == ("#ffffff,#148a8c", "#182060", "gray")
    assert finish.background_rgb == (24, 32, 96)
    assert Finish(palette=[(255, 255, 255), "teal"]).palette == finish.palette  # pyright: ignore[reportArgumentType]


def test_the_palette_of_a_prompt():
    recipe = Recipe(prompt="lady, bright background (#6AE745), palette: #6ae745, #bdd5c5", seed=1)
    assert Finish(palette="prompt").colors_for(recipe) == Palette.parse("#6ae745,#bdd5c5")
    assert Finish().colors_for(recipe) is None
    with pytest.raises(RecipeError, match="palette: 'prompt' is not allowed; there is no hex code"):
        Finish(palette="prompt").of(LADY)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("palette", ""),
        ("palette", "auto,#fff"),
        ("palette", "#12345"),
        ("palette", []),
        ("palette", 3),
        ("palette", "#" * 5001),
        ("colors", 1),
        ("colors", 577),
        ("colors", True),
        ("background", "nocolor"),
        ("background", "checkered"),
        ("background", "#ff00000g"),
        ("eyes", "red"),
        ("dither", True),
        ("output_size", 23),
        ("output_size", 4097),
    ],
)
def test_an_invalid_finish_cannot_exist(field: str, value: object):
    with pytest.raises(RecipeError) as caught:
        Finish(**{field: value})  # pyright: ignore
    assert str(caught.value).startswith(f"{field}: ")
    assert len(str(caught.value)) < 300
