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
    found = {text: encode_text(model, text, length) for text in dict.fromkeys(texts)}
    words, pooled = zip(*(found[text] for text in texts), strict=True)
    return Embeddings(words=torch.cat(words), pooled=None if pooled[0] is None else torch.cat(pooled))


@torch.inference_mode()
def encode_text(model: Model, text: str, length: int) -> tuple[Tensor, Tensor | None]:
    """(1, length, width), length 77 or 227, and for SDXL the pooled embedding (1, width) of the first chunk."""
    if len(model.encoders) == 1:
        ids = _chunks(model.tokenizer, text, length).to(model.text_encoder.device)
        return _join(model.text_encoder(ids).last_hidden_state), None
    outputs = [
        encoder(_chunks(tokenizer, text, length).to(encoder.device), output_hidden_states=True)
        for tokenizer, encoder in model.encoders
    ]
    return torch.cat([_join(output.hidden_states[-2]) for output in outputs], dim=-1), outputs[-1].text_embeds[:1]


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


def _join(states: Tensor) -> Tensor:
    """(1 or 3, 77, width) -> (1, 77 or 227, width)."""
    return torch.cat([states[:1, :1], states[:, 1:-1].reshape(1, -1, states.shape[-1]), states[-1:, -1:]], dim=1)
