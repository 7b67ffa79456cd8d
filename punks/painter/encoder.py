"""Prompt to embeddings: up to 75 tokens exactly as diffusers does, longer ones stitched as kohya trained them.

The stitched form (kohya-ss/sd-scripts, library/strategy_sd.py and strategy_sdxl.py, max_token_length=225): 227 ids are
cut into three chunks [BOS, 75 ids, EOS], each encoded alone, and joined as BOS of the first, 3 x 75, EOS of the last.
"""

# torch is typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from punks.errors import RecipeError
from punks.painter.device import sent
from punks.painter.model import Model
from punks.recipe import Recipe

SHORT, LONG = 75, 225


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """What a U-Net reads of a batch of N: `words` (N, 77 or 227, width), for SDXL `pooled` (N, width).

    With guidance N counts twice, the negative prompts first.
    """

    words: Tensor
    pooled: Tensor | None


def count_tokens(model: Model, text: str) -> int:
    """CLIP tokens of a text, without the begin and end marks."""
    return len(model.tokenizer(text, verbose=False).input_ids) - 2


def embedding_length(model: Model, recipe: Recipe) -> int:
    """77, or 227 when a text of the recipe needs more. Raises RecipeError when one has more than 225 tokens."""
    texts = {"prompt": recipe.painted_prompt} | ({"negative_prompt": recipe.negative_prompt} if recipe.guided else {})
    counts = {field: count_tokens(model, text) for field, text in texts.items()}
    for field, count in counts.items():
        if count > LONG:
            raise RecipeError(field, f"{count} tokens", f"at most {LONG} tokens fit; shorten it by {count - LONG}")
    return (LONG if max(counts.values()) > SHORT else SHORT) + 2


@torch.inference_mode()
def encode(model: Model, recipes: Sequence[Recipe]) -> Embeddings:
    """Embeddings of recipes of one `embedding_length`; each text is encoded once."""
    length = embedding_length(model, recipes[0])
    texts = [recipe.negative_prompt for recipe in recipes if recipe.guided]
    texts += [recipe.painted_prompt for recipe in recipes]
    each = list(dict.fromkeys(texts))
    # a GPU encodes all at once; on a CPU one alone is the same to the bit, and as fast
    batches = [each] if model.text_encoder.device.type == "cuda" else [[text] for text in each]
    words, pooled = zip(*(encode_texts(model, batch, length) for batch in batches), strict=True)

    def rows(encoded: tuple[Tensor, ...]) -> Tensor:
        of_text = dict(zip(each, torch.cat(encoded).split(1), strict=True))
        return torch.cat([of_text[text] for text in texts])

    return Embeddings(words=rows(words), pooled=None if pooled[0] is None else rows(pooled))


@torch.inference_mode()
def encode_texts(model: Model, texts: Sequence[str], length: int) -> tuple[Tensor, Tensor | None]:
    """(N, length, width), length 77 or 227, and for SDXL the pooled embeddings (N, width) of the first chunks."""
    many, parts = len(model.encoders) > 1, length // SHORT
    states: list[Tensor] = []
    pooled = None
    for tokenizer, encoder in model.encoders:
        ids = sent(torch.cat([_chunks(tokenizer, text, length) for text in texts]), encoder.device)
        output = encoder(ids, output_hidden_states=True) if many else encoder(ids)
        states.append(_join(output.hidden_states[-2] if many else output.last_hidden_state, parts))
        pooled = output.text_embeds[::parts] if encoder is model.text_encoder_2 else None
    return torch.cat(states, dim=-1), pooled


def _chunks(tokenizer: Any, text: str, length: int) -> Tensor:
    """Token ids, (1 or 3, 77)."""
    ids = tokenizer(text, padding="max_length", max_length=length, truncation=True, verbose=False).input_ids
    rows = [[ids[0], *ids[i : i + SHORT], ids[-1]] for i in range(1, length - 2, SHORT)]
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    if pad != end and len(rows) > 1:
        # SDXL's second tokenizer pads with 0: a full chunk still ends with EOS, an empty one begins with it
        for row in rows:
            if row[-2] not in (end, pad):
                row[-1] = end
            if row[1] == pad:
                row[1] = end
    return torch.tensor(rows)


def _join(states: Tensor, parts: int) -> Tensor:
    """Of N texts in 1 or 3 parts each: (N * parts, 77, width) -> (N, 77 or 227, width)."""
    states = states.unflatten(0, (-1, parts))
    return torch.cat([states[:, 0, :1], states[:, :, 1:-1].flatten(1, 2), states[:, -1, -1:]], dim=1)
