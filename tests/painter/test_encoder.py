"""Up to 75 tokens: diffusers' embeddings bit for bit. Above: kohya's stitched form, against an independent formula."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from punks import Recipe
from punks.errors import RecipeError
from punks.painter.encoder import count_tokens, embedding_length, encode, encode_texts
from punks.painter.model import Model, load_model


@pytest.fixture(scope="module", params=["tiny", "tiny-xl"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name: str, tiny_weights: Path) -> Model:
    return load_model(tiny_weights / name, torch.float32)


def recipe(prompt: str, negative_prompt: str = "", guidance_scale: float = 7.5) -> Recipe:
    given: dict[str, Any] = {"variant": "tiny", "template": False, "seed": 1}
    return Recipe(prompt=prompt, negative_prompt=negative_prompt, guidance_scale=guidance_scale, **given)


def words(count: int) -> str:
    """A text of `count` tokens: every word of it is one."""
    some = ("lady", "red", "hair", "blue", "eyes", "skin", "golden", "crown")
    return " ".join(some[(5 * i + i // 7) % 8] for i in range(count))


@pytest.mark.parametrize("count", [0, 1, 40, 75])
def test_short_texts_equal_diffusers_bit_for_bit(model: Model, name: str, tiny_weights: Path, count: int):
    stock = DiffusionPipeline.from_pretrained(tiny_weights / name, variant="fp16", dtype=torch.float32)
    with torch.inference_mode():
        want = stock.encode_prompt(
            prompt=words(count), device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
        )
    embedding, pooled = encode_texts(model, [words(count)], 77)
    assert torch.equal(embedding, want[0])
    assert embedding.shape[1] == 77
    assert pooled is None if len(want) == 2 else torch.equal(pooled, want[2])


@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
def test_a_batch_has_its_negative_prompts_first(model: Model, guidance_scale: float):
    pair = [recipe(text, "blurry, smooth", guidance_scale) for text in ("lady", "red hair")]
    texts = [*["blurry, smooth"] * (2 if guidance_scale > 1 else 0), "lady", "red hair"]
    found = encode(model, pair)
    apart = [encode_texts(model, [text], 77) for text in texts]
    assert torch.equal(found.words, torch.cat([words for words, _ in apart]))
    assert (found.pooled is None) == (model.text_encoder_2 is None)
    if found.pooled is not None:
        assert torch.equal(found.pooled, torch.cat([pooled for _, pooled in apart]))


def stitched(tokenizer: Any, encoder: Any, text: str, *, xl: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """What the file says in words: token by token, with no reshape and no batch."""
    inner = tokenizer(text, add_special_tokens=False).input_ids
    begin, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    rows, first_pooled = [], None
    for start in (0, 75, 150):
        ids = inner[start : start + 75]
        # after the text comes its end mark, where there is room for it, then padding
        if len(ids) < 75 and (ids or pad != end):
            ids = [*ids, end]
        chunk = [begin, *ids, *[pad] * (75 - len(ids)), end if len(ids) == 75 and ids[-1] not in (end, pad) else pad]
        assert len(chunk) == 77
        with torch.inference_mode():
            output = encoder(torch.tensor([chunk]), output_hidden_states=True)
        rows.append(output.hidden_states[-2][0] if xl else output.last_hidden_state[0])
        first_pooled = output[0] if first_pooled is None and xl else first_pooled
    picked = [rows[0][0], *(rows[c][i] for c in range(3) for i in range(1, 76)), rows[2][76]]
    return torch.stack(picked)[None], first_pooled


@pytest.mark.parametrize("count", [0, 2, 76, 140, 149, 150, 151, 224, 225])
def test_long_texts_are_stitched_as_kohya_trained_them(model: Model, count: int):
    xl = model.text_encoder_2 is not None
    embedding, pooled = encode_texts(model, [words(count)], 227)
    parts = [stitched(*pair, words(count), xl=xl) for pair in model.encoders]
    torch.testing.assert_close(embedding, torch.cat([part for part, _ in parts], dim=-1))
    assert embedding.shape[1] == 227
    if xl:
        torch.testing.assert_close(pooled, parts[1][1])


@pytest.mark.parametrize("count", [3, 80])
def test_texts_encoded_at_once_are_as_each_alone(model: Model, count: int):
    texts = [words(count), "blurry", f"crown {words(count)}"]
    length = embedding_length(model, recipe(texts[0]))
    together, pooled = encode_texts(model, texts, length)
    apart = [encode_texts(model, [text], length) for text in texts]
    torch.testing.assert_close(together, torch.cat([one for one, _ in apart]))
    if pooled is not None:
        torch.testing.assert_close(pooled, torch.cat([one for _, one in apart]))


def test_the_last_word_of_a_long_prompt_matters(model: Model):
    texts = [words(220) + " crown", words(220) + " eyes"]
    one, other = (encode_texts(model, [text], 227)[0] for text in texts)
    assert not torch.equal(one, other)


def test_a_long_negative_prompt_makes_both_long(model: Model):
    assert encode(model, [recipe("lady", words(80))]).words.shape[:2] == (2, 227)


@pytest.mark.parametrize(("prompt", "negative", "field"), [(226, 1, "prompt"), (1, 300, "negative_prompt")])
def test_past_225_tokens_is_an_error_that_counts_them(model: Model, prompt: int, negative: int, field: str):
    with pytest.raises(RecipeError, match=rf"^{field}: '{max(prompt, negative)} tokens' .* at most 225"):
        embedding_length(model, recipe(words(prompt), words(negative)))


def test_the_negative_prompt_is_not_counted_without_guidance(model: Model):
    assert embedding_length(model, recipe("lady", words(300), 1.0)) == 77


def test_words_are_tokens(model: Model):
    assert [count_tokens(model, words(n)) for n in (0, 75, 225)] == [0, 75, 225]
