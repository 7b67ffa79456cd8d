"""Prompt to embeddings: up to 75 tokens exactly as diffusers does, longer ones stitched as kohya trained them.

The stitched form (kohya-ss/sd-scripts, library/strategy_sd.py and strategy_sdxl.py, max_token_length=225): 227 ids are
cut into three chunks [BOS, 75 ids, EOS], each encoded alone, and joined as BOS of the first, 3 x 75, EOS of the last.
"""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from punks.errors import RecipeError

SHORT, LONG = 75, 225


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Text embeddings (1, 77 or 227, width); `pooled` (1, width) only for SDXL; negatives only with guidance."""

    prompt: Tensor
    negative: Tensor | None = None
    pooled: Tensor | None = None
    negative_pooled: Tensor | None = None


def count_tokens(pipeline: Any, text: str) -> int:
    """CLIP tokens of a text, without the begin and end marks."""
    return len(pipeline.tokenizer(text, verbose=False).input_ids) - 2


def embedding_length(pipeline: Any, prompt: str, negative_prompt: str, *, guided: bool) -> int:
    """77, or 227 when one of the texts needs more. Raises RecipeError when one has more than 225 tokens."""
    texts = {"prompt": prompt, "negative_prompt": negative_prompt} if guided else {"prompt": prompt}
    counts = {field: count_tokens(pipeline, text) for field, text in texts.items()}
    for field, count in counts.items():
        if count > LONG:
            raise RecipeError(field, f"{count} tokens", f"at most {LONG} tokens fit; shorten it by {count - LONG}")
    return (LONG if max(counts.values()) > SHORT else SHORT) + 2


@torch.inference_mode()
def encode(pipeline: Any, prompt: str, negative_prompt: str, *, guided: bool) -> Embeddings:
    """Embeddings of one prompt and, when guided, of its negative prompt in the same length. Raises RecipeError."""
    if embedding_length(pipeline, prompt, negative_prompt, guided=guided) > SHORT + 2:
        positive = _stitch(pipeline, prompt)
        negative = _stitch(pipeline, negative_prompt) if guided else (None, None)
        return Embeddings(prompt=positive[0], pooled=positive[1], negative=negative[0], negative_pooled=negative[1])
    # diffusers returns (prompt, negative), and for SDXL (prompt, negative, pooled, negative pooled)
    found = pipeline.encode_prompt(
        prompt=prompt,
        device=pipeline.device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=guided,
        negative_prompt=negative_prompt if guided else None,
    )
    return Embeddings(**dict(zip(("prompt", "negative", "pooled", "negative_pooled"), found, strict=False)))


def joined(embeddings: list[Embeddings]) -> dict[str, Tensor]:
    """The embeddings of a batch, as arguments of the pipeline."""
    names = {
        "prompt": "prompt_embeds",
        "negative": "negative_prompt_embeds",
        "pooled": "pooled_prompt_embeds",
        "negative_pooled": "negative_pooled_prompt_embeds",
    }
    parts = {theirs: [getattr(one, ours) for one in embeddings] for ours, theirs in names.items()}
    return {name: torch.cat(tensors) for name, tensors in parts.items() if tensors[0] is not None}


def _stitch(pipeline: Any, text: str) -> tuple[Tensor, Tensor | None]:
    """(1, 227, width) and the pooled embedding of the first chunk, None where the base has no second encoder."""
    if getattr(pipeline, "text_encoder_2", None) is None:
        states = pipeline.text_encoder(_chunks(pipeline.tokenizer, text).to(pipeline.device)).last_hidden_state
        return _join(states), None
    joined: list[Tensor] = []
    pooled = None
    for tokenizer, encoder in (
        (pipeline.tokenizer, pipeline.text_encoder),
        (pipeline.tokenizer_2, pipeline.text_encoder_2),
    ):
        output = encoder(_chunks(tokenizer, text).to(pipeline.device), output_hidden_states=True)
        joined.append(_join(output.hidden_states[-2]))
        pooled = output[0][:1]
    return torch.cat(joined, dim=-1), pooled


def _chunks(tokenizer: Any, text: str) -> Tensor:
    """(3, 77) token ids."""
    length = LONG + 2
    ids = tokenizer(text, padding="max_length", max_length=length, truncation=True, verbose=False).input_ids
    rows = [[ids[0], *ids[i : i + SHORT], ids[-1]] for i in range(1, LONG, SHORT)]
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    if pad != end:
        # SDXL's second tokenizer pads with 0: a full chunk still ends with EOS, an empty one begins with it
        for row in rows:
            if row[-2] not in (end, pad):
                row[-1] = end
            if row[1] == pad:
                row[1] = end
    return torch.tensor(rows)


def _join(states: Tensor) -> Tensor:
    """(3, 77, width) -> (1, 227, width)."""
    inner = states[:, 1:-1].reshape(1, LONG, -1)
    return torch.cat([states[:1, :1], inner, states[-1:, -1:]], dim=1)
