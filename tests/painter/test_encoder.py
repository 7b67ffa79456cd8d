"""Up to 75 tokens: diffusers' embeddings bit for bit. Above: kohya's stitched form, against an independent formula."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from punks.errors import RecipeError
from punks.painter.encoder import count_tokens, encode


@pytest.fixture(scope="module", params=["tiny", "tiny-xl"])
def pipeline(request: pytest.FixtureRequest, tiny_weights: Path) -> Any:
    return DiffusionPipeline.from_pretrained(tiny_weights / request.param, variant="fp16", dtype=torch.float32)


def words(count: int) -> str:
    """A text of `count` tokens: every word of it is one."""
    some = ("lady", "red", "hair", "blue", "eyes", "skin", "golden", "crown")
    return " ".join(some[(5 * i + i // 7) % 8] for i in range(count))


@pytest.mark.parametrize("count", [0, 1, 40, 75])
@pytest.mark.parametrize("guided", [True, False])
def test_short_prompts_equal_diffusers_bit_for_bit(pipeline: Any, count: int, guided: bool):
    got = encode(pipeline, words(count), "blurry, smooth", guided=guided)
    with torch.inference_mode():
        want = pipeline.encode_prompt(
            prompt=words(count),
            device="cpu",
            num_images_per_prompt=1,
            do_classifier_free_guidance=guided,
            negative_prompt="blurry, smooth",
        )
    assert torch.equal(got.prompt, want[0])
    assert got.prompt.shape[1] == 77
    assert (got.negative is None) == (not guided)
    if guided:
        assert torch.equal(got.negative, want[1])
    if len(want) == 4:
        assert torch.equal(got.pooled, want[2])


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


@pytest.mark.parametrize("count", [76, 140, 149, 150, 151, 224, 225])
def test_long_prompts_are_stitched_as_kohya_trained_them(pipeline: Any, count: int):
    xl = hasattr(pipeline, "text_encoder_2")
    negative = "blurry, smooth"
    got = encode(pipeline, words(count), negative, guided=True)
    for ours, pooled, text in ((got.prompt, got.pooled, words(count)), (got.negative, got.negative_pooled, negative)):
        assert ours is not None
        parts = [stitched(pipeline.tokenizer, pipeline.text_encoder, text, xl=xl)]
        if xl:
            parts.append(stitched(pipeline.tokenizer_2, pipeline.text_encoder_2, text, xl=True))
            torch.testing.assert_close(pooled, parts[1][1])
        torch.testing.assert_close(ours, torch.cat([part[0] for part in parts], dim=-1))
        assert ours.shape[1] == 227


def test_the_last_word_of_a_long_prompt_matters(pipeline: Any):
    one = encode(pipeline, words(220) + " crown", "", guided=False)
    other = encode(pipeline, words(220) + " eyes", "", guided=False)
    assert not torch.equal(one.prompt, other.prompt)


def test_a_long_negative_prompt_makes_both_long(pipeline: Any):
    got = encode(pipeline, "lady", words(80), guided=True)
    assert got.negative is not None
    assert got.prompt.shape == got.negative.shape
    assert got.prompt.shape[1] == 227


@pytest.mark.parametrize(("prompt", "negative", "field"), [(226, 1, "prompt"), (1, 300, "negative_prompt")])
def test_past_225_tokens_is_an_error_that_counts_them(pipeline: Any, prompt: int, negative: int, field: str):
    with pytest.raises(RecipeError, match=rf"^{field}: '{max(prompt, negative)} tokens' .* at most 225"):
        encode(pipeline, words(prompt), words(negative), guided=True)


def test_the_negative_prompt_is_not_counted_without_guidance(pipeline: Any):
    assert encode(pipeline, "lady", words(300), guided=False).prompt.shape[1] == 77


def test_words_are_tokens(pipeline: Any):
    assert [count_tokens(pipeline, words(n)) for n in (0, 75, 225)] == [0, 75, 225]
